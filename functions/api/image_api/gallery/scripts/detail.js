// The dialog of one image: the large picture, its details, and the actions.

import { getOriginalBlob, getOriginalUrl, getThumbnailBlob } from "./api.js";
import { byId, el, renderIfChanged, setText, toast } from "./dom.js";
import { showExif, showMetadata } from "./metadata.js";
import { detailsForm } from "./details_form.js";
import { replaceThumbnail, showThumbnail } from "./thumbnails.js";
import {
  altText,
  caption,
  failureReason,
  progress,
  thumbnailSize,
  thumbnailSizes,
  thumbnailVersion,
  title,
} from "./display.js";

// Originals that browsers can show, up to this size. Others show a thumbnail.
const BROWSER_FORMATS = new Set(["jpeg", "png", "gif", "webp", "avif", "bmp"]);
const MAX_ORIGINAL_BYTES = 15_000_000;

const dialog = byId("detail");
let parts = null; // the elements of the open image
let actions = null;

/** `actions`: `get(id)`, `refresh(id)`, `neighbor(id, offset)`, `retry(id)`, `remove(id)`, `changed(image)`, `closed(id)`. */
export function initDetail(detailActions) {
  actions = detailActions;
  dialog.addEventListener("close", () => {
    const id = parts?.id;
    parts = null;
    dialog.replaceChildren();
    if (id) actions.closed(id);
  });
  // A click on the backdrop hits the dialog itself.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("form")) return; // switching images would discard the typed text
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
  });
}

/** Shows an image in the dialog. */
export function openDetail(id) {
  const image = actions.get(id);
  if (!image) return;
  build(image);
  if (!dialog.open) dialog.showModal();
  parts.close.focus();
  actions.refresh(id); // the listed data may be outdated
}

/** The id of the open image, or null. */
export const openImageId = () => parts?.id ?? null;

export const closeDetail = () => dialog.close();

function step(offset) {
  const id = parts && actions.neighbor(parts.id, offset);
  if (id) openDetail(id);
}

const button = (text, onclick, properties = {}) => el("button", { type: "button", text, onclick, ...properties });

function build(image) {
  const id = image.data.image_id;
  parts = {
    id,
    heading: el("h2", { id: "detail-title", dir: "auto" }),
    picture: el("img", { alt: "", decoding: "async" }),
    caption: el("p", { className: "caption", dir: "auto" }),
    model: el("p", { className: "model" }),
    state: el("p", { className: "state" }),
    metadata: el("dl", { className: "metadata" }),
    exif: el("div", { className: "exif" }),
    close: button("Close", () => dialog.close(), { className: "close" }),
    previous: button("‹", () => step(-1), { className: "step", "aria-label": "Previous image" }),
    next: button("›", () => step(1), { className: "step", "aria-label": "Next image" }),
    retry: button("Process again", () => actions.retry(id)),
    form: detailsForm(image, actions.changed),
    downloads: el("div", { className: "buttons", role: "group", "aria-label": "Download" }),
  };
  const remove = button("Delete", () => actions.remove(id), { className: "danger" });
  dialog.replaceChildren(
    el("header", {}, parts.heading, parts.previous, parts.next, parts.close),
    el(
      "div",
      { className: "body" },
      el("div", { className: "shown" }, parts.picture),
      el(
        "div",
        { className: "about" },
        parts.caption,
        parts.model,
        parts.state,
        parts.downloads,
        parts.form.node,
        parts.metadata,
        parts.exif,
        el("div", { className: "buttons" }, parts.retry, remove),
      ),
    ),
  );
  updateDetail(image);
}

/** Updates the dialog, but keeps text that the user is typing. */
export function updateDetail(image) {
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
  parts.picture.alt = altText(image);
  const size = thumbnailSize(image, "large", "medium");
  parts.picture.hidden = !size;
  showDownloads(parts.downloads, image);
  if (metadata) {
    // Reserve the space of the original, so that nothing moves when it replaces the thumbnail.
    parts.picture.width = metadata.width;
    parts.picture.height = metadata.height;
  }
  if (size && !parts.showsOriginal) showThumbnail(parts.picture, parts.id, size, thumbnailVersion(image));
  if (
    size &&
    !parts.showsOriginal &&
    BROWSER_FORMATS.has(metadata?.format) &&
    metadata.size_bytes <= MAX_ORIGINAL_BYTES
  ) {
    parts.showsOriginal = true;
    showOriginal(parts);
  }
  parts.previous.disabled = !actions.neighbor(parts.id, -1);
  parts.next.disabled = !actions.neighbor(parts.id, 1);
  parts.form.update(image);
  showMetadata(parts.metadata, image);
  showExif(parts.exif, metadata?.exif ?? {}, metadata?.gps);
}

function showDownloads(group, image) {
  const id = image.data.image_id;
  renderIfChanged(group, thumbnailSizes(image), (sizes) => [
    el("span", { text: "Download:" }),
    button("Original", () => downloadOriginal(id)),
    ...sizes.map((size) => button(capitalized(size), () => downloadThumbnail(id, size))),
  ]);
}

const capitalized = (name) => name.charAt(0).toUpperCase() + name.slice(1);

async function showOriginal(detail) {
  try {
    const url = URL.createObjectURL(await getOriginalBlob(detail.id));
    const original = new Image();
    original.src = url;
    await original.decode();
    replaceThumbnail(detail.picture, url);
    setTimeout(() => URL.revokeObjectURL(url), 10_000); // it has been shown by then
  } catch {
    // Keep the thumbnail: the bucket may not allow this page to read the original, or the browser cannot show it.
  }
}

async function downloadOriginal(id) {
  await attempt(async () => clickLink(await getOriginalUrl(id)));
}

async function downloadThumbnail(id, size) {
  await attempt(async () => {
    const blob = await getThumbnailBlob(id, size);
    const url = URL.createObjectURL(blob);
    clickLink(url, `${id}-${size}.${blob.type === "image/png" ? "png" : "jpg"}`);
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  });
}

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    toast(error.message);
  }
}

function clickLink(href, download = "") {
  el("a", { href, download, rel: "noopener" }).click();
}
