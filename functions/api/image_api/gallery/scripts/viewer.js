// The viewer: one image fills the window, with its texts, facts and actions beside it.

import { getOriginalUrl, getRenditionBlob, messageOf, patchImage } from "./api.js";
import { detailsForm } from "./details_form.js";
import { caption, confidence, failureReason, progress, title } from "./display.js";
import { byId, clickLink, copyText, el, renderIfChanged, setText, toast } from "./dom.js";
import { showExif, showFacts, showFileDetails } from "./metadata.js";
import { createStage, preload } from "./stage.js";

/** @import { ImageResponse, Rendition } from "../../../types/api.d.ts" */

/**
 * @typedef {object} ViewerActions
 * @property {(id: string) => ImageResponse | undefined} get
 * @property {(id: string) => void} refresh fetches the image again
 * @property {(id: string, offset: number) => string | undefined} neighbor the id of a previous or next image
 * @property {(id: string) => void} retry
 * @property {(id: string) => void} remove
 * @property {(image: ImageResponse) => void} onChange called with an image whose texts have changed
 * @property {(id: string) => void} onOpen
 * @property {(id: string) => void} onClose
 * @property {(tag: string) => void} searchTag
 */

/** @typedef {ReturnType<typeof build>} Parts the elements of the open image, and its id */

const dialog = byId("viewer", HTMLDialogElement);
const content = byId("viewer-content");
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
    content.replaceChildren();
    if (id) actions.onClose(id);
  });
  dialog.addEventListener("keydown", (event) => {
    // In the form, other keys would discard or change the typed text.
    if (event.target instanceof Element && event.target.closest("form")) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (parts && onKey(event.key, parts)) event.preventDefault();
  });
}

/**
 * Returns whether the key did something.
 * @param {string} key
 * @param {Parts} viewer
 */
function onKey(key, { stage: { zoom } }) {
  /** @type {Record<string, () => void>} */
  const keys = { "+": zoom.zoomIn, "=": zoom.zoomIn, "-": zoom.zoomOut, 0: zoom.fit, 1: zoom.actual };
  /** @type {Record<string, [number, number]>} */
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const arrow = arrows[key];
  if (keys[key]) keys[key]();
  else if (arrow && zoom.isZoomed()) zoom.pan(...arrow);
  else if (arrow?.[0]) step(arrow[0]);
  else return false;
  return true;
}

/**
 * Shows an image in the viewer.
 * @param {string} id
 */
export function openViewer(id) {
  const image = actions.get(id);
  if (!image) return;
  parts = build(image);
  content.replaceChildren(parts.stageArea, parts.about);
  if (!dialog.open) dialog.showModal();
  updateViewer(image);
  parts.close.focus();
  actions.onOpen(id);
  actions.refresh(id); // the listed data may be outdated
  for (const offset of [1, -1]) preload(actions.get(actions.neighbor(id, offset) ?? ""));
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
  const stage = createStage(id, { onSwipe: step });
  const { zoom } = stage;
  const close = button("←", () => dialog.close(), { className: "close", "aria-label": "Close" });
  const previous = button("‹", () => step(-1), { className: "step previous", "aria-label": "Previous image" });
  const next = button("›", () => step(1), { className: "step next", "aria-label": "Next image" });
  const tools = el(
    "div",
    { className: "tools", role: "toolbar", "aria-label": "View" },
    close,
    el("span", { className: "space" }),
    button("−", zoom.zoomOut, { className: "fine", "aria-label": "Zoom out" }),
    stage.percent,
    button("+", zoom.zoomIn, { className: "fine", "aria-label": "Zoom in" }),
    button("Fit", zoom.fit),
    button("100%", zoom.actual),
    button("Copy link", () => copyText(location.href, "Link")),
    button("Open original", () => attempt(stage.openOriginal)),
  );
  const heading = el("h2", { id: "viewer-title", dir: "auto" });
  const captionText = el("p", { className: "caption", dir: "auto" });
  const model = el("span");
  const accept = button("Use as alt text", () => parts && acceptCaption(parts), { className: "link" });
  const state = el("p", { className: "state" });
  const duplicate = el("p", { className: "duplicate" });
  const facts = el("dl", { className: "metadata" });
  const exif = el("div", { className: "exif" });
  const file = el("details", { className: "file" });
  const tags = el("div", { className: "tag-links" });
  const form = detailsForm(image, actions.onChange);
  const downloads = el("div", { className: "buttons", role: "group", "aria-label": "Download" });
  const buttons = el(
    "div",
    { className: "buttons" },
    button("Reprocess", () => actions.retry(id)),
    button("Delete", () => actions.remove(id), { className: "danger" }),
  );
  const by = el("p", { className: "model" }, model, accept);
  return {
    id,
    stage,
    stageArea: el("div", { className: "stage-area" }, stage.node, tools, previous, next),
    about: el(
      "aside",
      { className: "about" },
      heading,
      captionText,
      by,
      state,
      tags,
      form.node,
      facts,
      downloads,
      buttons,
      exif,
      file,
      duplicate, // it may arrive later than the rest
    ),
    heading,
    captionText,
    model,
    accept,
    by,
    state,
    duplicate,
    facts,
    exif,
    file,
    tags,
    close,
    previous,
    next,
    form,
    downloads,
    image,
  };
}

/**
 * Updates the viewer, but keeps text that the user is typing.
 * @param {ImageResponse} image
 */
export function updateViewer(image) {
  if (!parts || image.data.image_id !== parts.id) return;
  const { data } = image;
  const { metadata } = data;
  parts.image = image;
  setText(parts.heading, title(image));
  setText(parts.captionText, caption(image));
  setText(parts.model, [metadata?.caption_model, confidence(image)].filter(Boolean).join(" · "));
  parts.by.hidden = !caption(image);
  parts.accept.hidden = data.alt_text === caption(image);
  setText(
    parts.state,
    failureReason(image) ? `Failed: ${failureReason(image)} (${image.error?.code ?? "error"})` : progress(image),
  );
  parts.state.dataset.status = image.status;
  if (metadata?.duplicate_of) showDuplicate(parts.duplicate, metadata.duplicate_of);
  showDownloads(parts.downloads, image);
  showTags(parts.tags, data.tags);
  parts.stage.update(image);
  parts.previous.disabled = !actions.neighbor(parts.id, -1);
  parts.next.disabled = !actions.neighbor(parts.id, 1);
  parts.form.update(image);
  showFacts(parts.facts, image);
  showExif(parts.exif, metadata?.exif ?? {}, metadata?.gps);
  showFileDetails(parts.file, image);
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
 * Tags as links to all images with the same tag.
 * @param {HTMLElement} group
 * @param {string[]} shown
 */
function showTags(group, shown) {
  renderIfChanged(group, shown, (tags) =>
    tags.map((tag) =>
      button(tag, () => actions.searchTag(tag), {
        className: "chip",
        dir: "auto",
        title: "Show all with this tag",
      }),
    ),
  );
}

/**
 * @param {HTMLElement} group
 * @param {ImageResponse} image
 */
function showDownloads(group, image) {
  const id = image.data.image_id;
  renderIfChanged(group, image.data.renditions ?? [], (renditions) => [
    el("span", { text: "Download:" }),
    button("Original", () => attempt(async () => clickLink(await getOriginalUrl(id)))),
    ...renditions.map((one) => button(capitalized(one.name), () => attempt(() => downloadRendition(id, one)))),
  ]);
}

/** @param {string} name */
const capitalized = (name) => name.charAt(0).toUpperCase() + name.slice(1);

/**
 * Makes the caption the alt text, as if the user had written it.
 * @param {Parts} viewer
 */
async function acceptCaption({ id, image, accept }) {
  accept.disabled = true;
  await attempt(async () =>
    actions.onChange(await patchImage(id, { alt_text_from: "caption" }, image.data.text_etag)),
  );
  accept.disabled = false;
}

/**
 * @param {string} id
 * @param {Rendition} rendition
 */
async function downloadRendition(id, rendition) {
  const url = URL.createObjectURL(await getRenditionBlob(id, rendition));
  clickLink(url, `${id}-${rendition.name}.${rendition.format === "jpeg" ? "jpg" : rendition.format}`);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** @param {() => Promise<void>} action */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    toast(messageOf(error));
  }
}
