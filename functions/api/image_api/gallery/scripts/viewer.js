// The dialog of one image: the large picture, its details, and the actions.

import { getOriginalBlob, getOriginalUrl, getRenditionBlob, messageOf } from "./api.js";
import { detailsForm } from "./details_form.js";
import { altText, caption, failureReason, progress, title } from "./display.js";
import { byId, el, formatFileSize, renderIfChanged, setText, toast } from "./dom.js";
import { showExif, showMetadata } from "./metadata.js";
import { drawPlaceholder } from "./placeholders.js";
import { renditionFor, replaceRendition, showRendition } from "./renditions.js";

/** @import { ImageResponse, Metadata, Rendition } from "../../../types/api.d.ts" */

/**
 * @typedef {object} ViewerActions
 * @property {(id: string) => ImageResponse | undefined} get
 * @property {(id: string) => void} refresh fetches the image again
 * @property {(id: string, offset: number) => string | undefined} neighbor the id of a previous or next image
 * @property {(id: string) => void} retry
 * @property {(id: string) => void} remove
 * @property {(image: ImageResponse) => void} onChange called with an image whose texts have changed
 * @property {(id: string) => void} onClose
 */

/** @typedef {ReturnType<typeof build>} Parts the elements of the open image, and its id */

const BROWSER_FORMATS = new Set(["jpeg", "png", "gif", "webp", "avif", "bmp"]); // originals that browsers can show
const ANIMATED_FORMATS = new Set(["gif", "webp", "png", "avif"]); // a JPEG of several pictures does not play
const LONG = 4; // times as long as wide: a picture that would be a stripe in the dialog, so it scrolls

const dialog = byId("viewer", HTMLDialogElement);
/** @type {Parts | null} */
let parts = null;
/** @type {ViewerActions} */
let actions;

/** @param {ViewerActions} viewerActions */
export function initViewer(viewerActions) {
  actions = viewerActions;
  dialog.addEventListener("close", () => {
    const id = parts?.id;
    parts = null;
    dialog.replaceChildren();
    if (id) actions.onClose(id);
  });
  // A click on the backdrop hits the dialog itself.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    // In the form, switching images would discard the typed text. A long picture scrolls.
    if (event.target instanceof Element && event.target.closest("form, .frame.long")) return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
  });
}

/**
 * Shows an image in the dialog.
 * @param {string} id
 */
export function openViewer(id) {
  const image = actions.get(id);
  if (!image) return;
  parts = build(image);
  dialog.replaceChildren(parts.header, parts.body);
  updateViewer(image);
  if (!dialog.open) dialog.showModal();
  parts.close.focus();
  actions.refresh(id); // the listed data may be outdated
}

/** The id of the open image, or null. */
export const openImageId = () => parts?.id ?? null;

export const closeViewer = () => dialog.close();

/** @param {number} offset */
function step(offset) {
  const id = parts && actions.neighbor(parts.id, offset);
  if (id) openViewer(id);
}

/** @type {(text: string, onclick: () => void, properties?: Record<string, string>) => HTMLButtonElement} */
const button = (text, onclick, properties = {}) => el("button", { type: "button", text, onclick, ...properties });

/** @param {ImageResponse} image */
function build(image) {
  const id = image.data.image_id;
  const heading = el("h2", { id: "viewer-title", dir: "auto" });
  const placeholder = el("canvas", { "aria-hidden": "true", width: 0, height: 0 });
  const picture = el("img", { alt: "", decoding: "async" });
  picture.addEventListener("load", () => (placeholder.hidden = true));
  const frame = el("div", { className: "frame" }, placeholder, picture);
  const original = button("", () => parts && showOriginal(parts), { className: "original" });
  const caption = el("p", { className: "caption", dir: "auto" });
  const model = el("p", { className: "model" });
  const state = el("p", { className: "state" });
  const duplicate = el("p", { className: "duplicate" });
  const metadata = el("dl", { className: "metadata" });
  const exif = el("div", { className: "exif" });
  const close = button("Close", () => dialog.close(), { className: "close" });
  const previous = button("‹", () => step(-1), { className: "step", "aria-label": "Previous image" });
  const next = button("›", () => step(1), { className: "step", "aria-label": "Next image" });
  const retry = button("Process again", () => actions.retry(id));
  const remove = button("Delete", () => actions.remove(id), { className: "danger" });
  const form = detailsForm(image, actions.onChange);
  const downloads = el("div", { className: "buttons", role: "group", "aria-label": "Download" });
  const buttons = el("div", { className: "buttons" }, retry, remove);
  const about = [caption, model, state, duplicate, downloads, form.node, metadata, exif, buttons];
  return {
    id,
    header: el("header", {}, heading, previous, next, close),
    body: el(
      "div",
      { className: "body" },
      el("div", { className: "shown" }, frame, original),
      el("div", { className: "about" }, about),
    ),
    heading,
    frame,
    picture,
    placeholder,
    original,
    caption,
    model,
    state,
    duplicate,
    metadata,
    exif,
    close,
    previous,
    next,
    form,
    downloads,
    showsOriginal: false,
  };
}

/**
 * Updates the dialog, but keeps text that the user is typing.
 * @param {ImageResponse} image
 */
export function updateViewer(image) {
  if (!parts || image.data.image_id !== parts.id) return;
  const { data } = image;
  const { metadata } = data;
  setText(parts.heading, title(image));
  setText(parts.caption, caption(image));
  setText(parts.model, metadata?.caption_model ? `Caption by ${metadata.caption_model}` : "");
  setText(
    parts.state,
    failureReason(image) ? `Failed: ${failureReason(image)} (${image.error?.code ?? "error"})` : progress(image),
  );
  parts.state.dataset.status = image.status;
  if (metadata?.duplicate_of) showDuplicate(parts.duplicate, metadata.duplicate_of);
  parts.picture.alt = altText(image);
  showDownloads(parts.downloads, image);
  showPicture(parts, metadata, data.renditions ?? []);
  parts.previous.disabled = !actions.neighbor(parts.id, -1);
  parts.next.disabled = !actions.neighbor(parts.id, 1);
  parts.form.update(image);
  showMetadata(parts.metadata, image);
  showExif(parts.exif, metadata?.exif ?? {}, metadata?.gps);
}

/**
 * Shows the rendition that fits, and offers the original.
 * @param {Parts} viewer
 * @param {Metadata | null} metadata
 * @param {Rendition[]} renditions
 */
function showPicture(viewer, metadata, renditions) {
  const { frame, picture, placeholder, original } = viewer;
  picture.hidden = !renditions.length;
  original.classList.toggle("absent", !metadata || viewer.showsOriginal);
  if (!metadata) return;
  original.hidden = !BROWSER_FORMATS.has(metadata.format);
  const { width, height } = metadata;
  const isLong = Math.max(width / height, height / width) > LONG;
  frame.classList.toggle("see-through", metadata.has_alpha ?? false);
  frame.classList.toggle("long", isLong);
  if (isLong) frame.tabIndex = 0; // for scrolling with the keyboard
  // Reserve the space of the original, so that nothing moves when it replaces the rendition.
  frame.style.setProperty("--width", String(width));
  frame.style.setProperty("--height", String(height));
  if (metadata.placeholder && !viewer.showsOriginal) drawPlaceholder(placeholder, metadata.placeholder);
  setText(original, originalLabel(metadata));
  const box = { width: window.innerWidth, height: window.innerHeight, fit: /** @type {const} */ ("contain") };
  const rendition = renditionFor(renditions, box);
  if (rendition && !viewer.showsOriginal) showRendition(picture, viewer.id, rendition);
}

/** @param {Metadata} metadata */
function originalLabel({ format, frames, size_bytes }) {
  const isAnimation = (frames ?? 1) > 1 && ANIMATED_FORMATS.has(format);
  return `${isAnimation ? "Play" : "Show"} the original (${formatFileSize(size_bytes)})`;
}

/**
 * It stays when a list, which does not look for duplicates, updates the image.
 * @param {HTMLElement} line
 * @param {string} original
 */
function showDuplicate(line, original) {
  renderIfChanged(line, original, () => [
    document.createTextNode("This file was already here: "),
    el("a", { href: `#${original}`, text: "show the first upload" }),
  ]);
}

/**
 * @param {HTMLElement} group
 * @param {ImageResponse} image
 */
function showDownloads(group, image) {
  const id = image.data.image_id;
  renderIfChanged(group, image.data.renditions ?? [], (renditions) => [
    el("span", { text: "Download:" }),
    button("Original", () => downloadOriginal(id)),
    ...renditions.map((one) => button(capitalized(one.name), () => downloadRendition(id, one))),
  ]);
}

/** @param {string} name */
const capitalized = (name) => name.charAt(0).toUpperCase() + name.slice(1);

/**
 * Replaces the rendition with the original.
 * @param {Parts} viewer
 */
async function showOriginal(viewer) {
  viewer.original.disabled = true;
  try {
    const url = URL.createObjectURL(await getOriginalBlob(viewer.id));
    const original = new Image();
    original.src = url;
    await original.decode();
    viewer.showsOriginal = true;
    viewer.original.classList.add("absent");
    replaceRendition(viewer.picture, url);
    setTimeout(() => URL.revokeObjectURL(url), 10_000); // it has been shown by then
  } catch {
    // The bucket may not allow this page to read it, or the browser cannot show it.
    toast("The original cannot be shown here. Download it instead.");
  } finally {
    viewer.original.disabled = false;
  }
}

/** @param {string} id */
async function downloadOriginal(id) {
  await attempt(async () => clickLink(await getOriginalUrl(id)));
}

/**
 * @param {string} id
 * @param {Rendition} rendition
 */
async function downloadRendition(id, rendition) {
  await attempt(async () => {
    const url = URL.createObjectURL(await getRenditionBlob(id, rendition));
    clickLink(url, `${id}-${rendition.name}.${rendition.format === "jpeg" ? "jpg" : rendition.format}`);
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  });
}

/** @param {() => Promise<void>} action */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    toast(messageOf(error));
  }
}

/**
 * @param {string} href
 * @param {string} [download] the file name
 */
function clickLink(href, download = "") {
  el("a", { href, download, rel: "noopener" }).click();
}
