// The grid: one card per image. All cards have the same size, so that nothing moves when pictures and captions arrive.

import { byId, el, setText } from "./dom.js";
import { altText, caption, failureReason, progress, title } from "./display.js";
import { drawPlaceholder } from "./placeholders.js";
import { dropRendition, renditionFor, showRendition } from "./renditions.js";

/** @import { ImageResponse, Placeholder } from "../../../types/api.d.ts" */

/**
 * @typedef {{ open: (id: string) => void, retry: (id: string) => void }} CardActions
 * @typedef {ReturnType<typeof create>} Card
 */

/** @type {Map<string, Card>} */
const cards = new Map(); // by id

/** @type {Map<string, string>} */
const previews = new Map(); // by id: blob URL of the file that this page uploaded

/**
 * Sets a local picture to show until the thumbnail exists.
 * @param {string} id
 * @param {string | null} url
 */
export function setPreview(id, url) {
  if (url) previews.set(id, url);
}

/**
 * @param {ImageResponse} image
 * @param {CardActions} actions
 */
function create(image, actions) {
  const id = image.data.image_id;
  const placeholder = el("canvas", { "aria-hidden": "true", width: 0, height: 0 });
  const picture = el("img", { alt: "", loading: "lazy", decoding: "async", width: 300, height: 300 });
  const frame = el("span", { className: "picture" }, placeholder, picture);
  const name = el("span", { className: "name", dir: "auto" });
  const captionText = el("span", { className: "caption", dir: "auto" });
  const state = el("span", { className: "state", dir: "auto" });
  const retry = el("button", {
    type: "button",
    className: "retry",
    text: "Retry",
    onclick: () => actions.retry(id),
  });
  const open = el(
    "button",
    { type: "button", className: "open", onclick: () => actions.open(id) },
    frame,
    el("span", { className: "card-text" }, name, captionText, state),
  );
  picture.addEventListener("error", () => picture.classList.add("broken"));
  picture.addEventListener("load", () => {
    picture.classList.remove("broken");
    placeholder.hidden = true; // else it would show through a transparent picture
  });
  return {
    item: el("li", { className: "card", dataset: { id } }, open, retry),
    frame,
    picture,
    placeholder,
    name,
    captionText,
    state,
    retry,
    open,
  };
}

/**
 * @param {Card} card
 * @param {ImageResponse} image
 * @param {number} side of the card in CSS pixels
 */
function update(card, image, side) {
  const { data, status } = image;
  card.item.dataset.status = status;
  setText(card.name, title(image));
  setText(card.captionText, failureReason(image) || caption(image));
  setText(card.state, status === "success" ? data.tags.join(" · ") : progress(image));
  card.retry.hidden = status !== "failed";
  card.retry.setAttribute("aria-label", `Retry ${title(image)}`);
  const alt = altText(image);
  if (card.picture.alt !== alt) card.picture.alt = alt;
  card.frame.classList.toggle("see-through", data.metadata?.has_alpha ?? false);
  const preview = previews.get(data.image_id);
  showPlaceholder(card, data.metadata?.placeholder);
  const rendition = renditionFor(data.renditions ?? [], { width: side, height: side, fit: "cover" });
  if (rendition) {
    showRendition(card.picture, data.image_id, rendition);
    if (preview) {
      URL.revokeObjectURL(preview);
      previews.delete(data.image_id);
    }
  } else if (preview && !card.picture.src) {
    card.picture.src = preview;
  }
}

/**
 * @param {Card} card
 * @param {Placeholder | null} [placeholder]
 */
function showPlaceholder({ placeholder: canvas }, placeholder) {
  if (!placeholder || canvas.dataset.shown === placeholder.thumbhash) return;
  canvas.dataset.shown = placeholder.thumbhash;
  drawPlaceholder(canvas, placeholder);
}

/** The width of the grid's columns in CSS pixels. */
const columnWidth = () => parseFloat(getComputedStyle(byId("grid")).gridTemplateColumns) || 300;

/**
 * Shows these images in this order in the grid. Changes only elements that differ.
 * @param {ImageResponse[]} images
 * @param {CardActions} actions
 */
export function render(images, actions) {
  const grid = byId("grid");
  const side = columnWidth();
  const shownIds = new Set();
  let nextItem = grid.firstElementChild;
  for (const image of images) {
    const id = image.data.image_id;
    shownIds.add(id);
    let card = cards.get(id);
    if (!card) cards.set(id, (card = create(image, actions)));
    update(card, image, side);
    if (card.item === nextItem) nextItem = nextItem.nextElementSibling;
    else grid.insertBefore(card.item, nextItem);
  }
  for (const [id, card] of cards) {
    if (shownIds.has(id)) continue;
    dropRendition(card.picture);
    card.item.remove();
    cards.delete(id);
  }
}

/**
 * Moves the focus to an image's card, if it has one.
 * @param {string} id
 */
export function focusCard(id) {
  cards.get(id)?.open.focus();
}
