// The picture in the viewer: a placeholder, the rendition that fits, and the original when the user zooms in.

import { getOriginalBlob, getOriginalUrl } from "./api.js";
import { altText } from "./display.js";
import { clickLink, el, formatFileSize, setText, toast } from "./dom.js";
import { drawPlaceholder } from "./placeholders.js";
import { preloadRendition, renditionFor, replaceRendition, savesData, showRendition } from "./renditions.js";
import { zoomable } from "./zoom.js";

/** @import { ImageResponse, Metadata } from "../../../types/api.d.ts" */

const BROWSER_FORMATS = new Set(["jpeg", "png", "gif", "webp", "avif", "bmp"]); // originals that browsers can show
const ANIMATED_FORMATS = new Set(["gif", "webp", "png", "avif"]); // a JPEG of several pictures does not play
const MAX_AUTOMATIC_BYTES = 30_000_000; // a larger original loads only when the user asks for it

/** @param {Metadata} metadata */
const canShowOriginal = ({ format }) => BROWSER_FORMATS.has(format);

/** @param {Metadata} metadata */
const isAnimation = ({ format, frames }) => (frames ?? 1) > 1 && ANIMATED_FORMATS.has(format);

const windowBox = () => ({
  width: window.innerWidth,
  height: window.innerHeight,
  fit: /** @type {const} */ ("contain"),
});

/**
 * Loads the picture of an image that may be shown next.
 * @param {ImageResponse | undefined} image
 */
export function preload(image) {
  const rendition = renditionFor(image?.data.renditions ?? [], windowBox());
  if (image && rendition) preloadRendition(image.data.image_id, rendition);
}

/**
 * Returns the stage for one image. `update` shows it, and shows it again when it has changed.
 * @param {string} id
 * @param {{ onSwipe: (offset: number) => void }} events
 */
export function createStage(id, { onSwipe }) {
  const placeholder = el("canvas", { "aria-hidden": "true", width: 0, height: 0 });
  const picture = el("img", { alt: "", decoding: "async", draggable: "false" });
  picture.addEventListener("load", () => (placeholder.hidden = true));
  const frame = el("div", { className: "frame" }, placeholder, picture);
  const original = el("button", { type: "button", className: "original", onclick: () => showOriginal() });
  const node = el("div", { className: "stage" }, frame, original);
  const percent = el("span", { className: "percent" });
  const zoom = zoomable(node, frame, { onChange: onZoom, onSwipe });
  /** @type {Metadata | null} */
  let metadata = null;
  let largestSide = 0; // of the rendition that is shown
  /** @type {"rendition" | "loading" | "original"} */
  let shown = "rendition";
  let hasZoomedIn = false; // so far that the original was loaded, or could not be

  /** @param {ImageResponse} image */
  function update(image) {
    const renditions = image.data.renditions ?? [];
    const isFirst = !metadata;
    metadata = image.data.metadata;
    const alt = altText(image);
    if (picture.alt !== alt) picture.alt = alt;
    picture.hidden = !renditions.length;
    original.hidden = !metadata || !canShowOriginal(metadata) || shown === "original";
    if (!metadata) return;
    frame.classList.toggle("see-through", metadata.has_alpha ?? false);
    setText(
      original,
      `${isAnimation(metadata) ? "Play" : "Show"} the original (${formatFileSize(metadata.size_bytes)})`,
    );
    const rendition = renditionFor(renditions, windowBox());
    if (metadata.placeholder && shown !== "original") drawPlaceholder(placeholder, metadata.placeholder);
    if (rendition && shown !== "original") {
      largestSide = Math.max(rendition.width, rendition.height);
      showRendition(picture, id, rendition);
    }
    if (isFirst) zoom.show(metadata);
  }

  /** Loads the original if the user has zoomed in further than the rendition is sharp. */
  function onZoom() {
    if (!metadata) return;
    setText(percent, `${Math.round(zoom.pixelScale() * 100)}%`);
    const visibleSide = Math.max(metadata.width, metadata.height) * zoom.pixelScale();
    const isWanted = zoom.isZoomed() && largestSide > 0 && visibleSide > largestSide * 1.05;
    const isCheap = metadata.size_bytes <= MAX_AUTOMATIC_BYTES && !savesData();
    if (!isWanted || !isCheap || hasZoomedIn || !canShowOriginal(metadata) || isAnimation(metadata)) return;
    hasZoomedIn = true;
    showOriginal({ quiet: true });
  }

  /** Replaces the rendition with the original. */
  async function showOriginal({ quiet = false } = {}) {
    if (shown !== "rendition") return;
    shown = "loading";
    original.disabled = true;
    try {
      const url = URL.createObjectURL(await getOriginalBlob(id));
      const loaded = new Image();
      loaded.src = url;
      await loaded.decode();
      shown = "original";
      original.hidden = true;
      replaceRendition(picture, url);
      setTimeout(() => URL.revokeObjectURL(url), 10_000); // it has been shown by then
    } catch {
      // The bucket may not allow this page to read it, or the browser cannot show it.
      shown = "rendition";
      if (!quiet) toast("The original cannot be shown here. Download it instead.");
    } finally {
      original.disabled = false;
    }
  }

  /** Opens the original in another tab, or downloads it if browsers cannot show it. */
  async function openOriginal() {
    if (!metadata || !canShowOriginal(metadata)) return clickLink(await getOriginalUrl(id));
    const tab = window.open("", "_blank"); // at once: later, the browser would block it
    try {
      const url = URL.createObjectURL(await getOriginalBlob(id));
      if (tab) tab.location.href = url;
      else clickLink(url, "original");
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      tab?.close();
      throw error;
    }
  }

  return { node, percent, zoom, update, openOriginal };
}
