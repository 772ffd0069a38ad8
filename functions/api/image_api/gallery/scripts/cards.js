// The grid: one card per image, in justified rows. Nothing moves when pictures and captions arrive.

import { byId, el, setText } from "./dom.js";
import { altText, canRetry, caption, failureReason, isFinished, progress, title } from "./display.js";
import { justify } from "./layout.js";
import { drawPlaceholder } from "./placeholders.js";
import { dropRendition, renditionFor, showRendition } from "./renditions.js";

/** @import { ImageResponse, Placeholder } from "../../../types/api.d.ts" */
/** @import { Box } from "./layout.js" */

/**
 * @typedef {object} CardActions
 * @property {(id: string, event: Event) => void} open
 * @property {(id: string) => void} retry
 * @property {(id: string, event: Event) => void} select the user has checked or unchecked a card
 *
 * @typedef {ReturnType<typeof create>} Card
 * @typedef {{ url: string, ratio: number }} Preview of a file that this page uploaded: a blob URL, width / height
 */

const UNKNOWN_RATIO = 4 / 3;

/** @type {Map<string, Card>} */
const cards = new Map(); // by id
/** @type {Map<string, Preview>} */
const previews = new Map(); // by id

/**
 * Sets a local picture to show until the thumbnail exists.
 * @param {string} id
 * @param {Preview | null} preview
 */
export function setPreview(id, preview) {
  if (preview) previews.set(id, preview);
}

/**
 * @param {ImageResponse} image
 * @param {CardActions} actions
 */
function create(image, actions) {
  const id = image.data.image_id;
  const placeholder = el("canvas", { "aria-hidden": "true", width: 0, height: 0 });
  const picture = el("img", { alt: "", loading: "lazy", decoding: "async" });
  const name = el("span", { className: "name", dir: "auto" });
  const tags = el("span", { className: "card-tags", dir: "auto" });
  const frame = el(
    "span",
    { className: "picture" },
    placeholder,
    picture,
    el("span", { className: "over" }, name, tags),
  );
  const line = el("span", { className: "caption", dir: "auto" });
  const open = el(
    "button",
    { type: "button", className: "open", onclick: (event) => actions.open(id, event) },
    frame,
    line,
  );
  const tick = el("input", { type: "checkbox", className: "tick", onclick: (event) => actions.select(id, event) });
  const retry = el("button", {
    type: "button",
    className: "retry",
    text: "Retry",
    onclick: () => actions.retry(id),
  });
  picture.addEventListener("error", () => picture.classList.add("broken"));
  picture.addEventListener("load", () => {
    picture.classList.remove("broken");
    placeholder.hidden = true; // else it would show through a transparent picture
  });
  return {
    item: el("li", { className: "card", dataset: { id } }, open, tick, retry),
    frame,
    picture,
    placeholder,
    name,
    tags,
    line,
    tick,
    retry,
    open,
    ratio: 0, // that it was laid out with
    fitted: "", // the size and the screen that its picture was chosen for
    /** @type {ImageResponse | null} */
    image: null, // that it shows
  };
}

/**
 * @param {Card} card
 * @param {ImageResponse} image
 */
function update(card, image) {
  const { data, status } = image;
  const label = title(image);
  card.image = image;
  card.fitted = "";
  card.item.dataset.status = status;
  card.open.title = label;
  setText(card.name, label);
  setText(card.tags, data.tags.join(" · "));
  setText(card.line, isFinished(image) ? failureReason(image) || caption(image) : progress(image));
  card.retry.hidden = !canRetry(image);
  card.retry.setAttribute("aria-label", `Retry ${label}`);
  card.tick.setAttribute("aria-label", `Select ${label}`);
  const alt = altText(image);
  if (card.picture.alt !== alt) card.picture.alt = alt;
  card.line.ariaHidden = String(alt === card.line.textContent); // read once is enough
  card.frame.classList.toggle("see-through", data.metadata?.has_alpha ?? false);
  showPlaceholder(card, data.metadata?.placeholder);
}

/**
 * Gives a card its size, and the picture that is sharp in it.
 * @param {Card} card
 * @param {Box} box
 * @param {boolean} isPlaced otherwise the size will change, so it is too early to choose a picture
 */
function fit(card, { width, height }, isPlaced) {
  const { picture, item, image } = card;
  const fitted = `${width} ${height} ${window.devicePixelRatio}`;
  if (card.fitted === fitted || !image) return;
  card.fitted = isPlaced ? fitted : "";
  item.style.width = `${width}px`;
  item.style.setProperty("--height", `${height}px`);
  if (!isPlaced) return;
  const id = image.data.image_id;
  const preview = previews.get(id);
  const rendition = renditionFor(image.data.renditions ?? [], { width, height, fit: "cover" });
  if (rendition) {
    showRendition(picture, id, rendition);
    if (preview) URL.revokeObjectURL(preview.url);
    previews.delete(id);
  } else if (preview && !picture.src) picture.src = preview.url;
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

/**
 * The proportions of an image as far as they are known.
 * @param {ImageResponse} image
 */
function ratioOf({ data: { image_id: id, metadata } }) {
  if (metadata) return metadata.width / metadata.height;
  return previews.get(id)?.ratio ?? UNKNOWN_RATIO;
}

let layoutKey = ""; // of what the boxes depend on

/**
 * Shows these images in this order in the grid. Changes only elements that differ.
 *
 * A card keeps the proportions that it got first until the list or the width changes: a picture that arrives moves nothing.
 * @param {ImageResponse[]} images
 * @param {CardActions} actions
 * @param {boolean} hasMore whether further images will be appended: then the last row stays invisible until it is full
 */
export function render(images, actions, hasMore) {
  const grid = byId("grid");
  const shown = images.map((image) => {
    const id = image.data.image_id;
    let card = cards.get(id);
    if (!card) cards.set(id, (card = create(image, actions)));
    if (card.image !== image) update(card, image);
    return card;
  });
  const style = getComputedStyle(grid);
  const [width, rowHeight, gap] = [
    grid.getBoundingClientRect().width,
    parseFloat(style.getPropertyValue("--row")),
    parseFloat(style.columnGap),
  ];
  const key = [width, rowHeight, gap, ...images.map((image) => image.data.image_id)].join();
  if (key !== layoutKey) images.forEach((image, index) => shown[index] && (shown[index].ratio = ratioOf(image)));
  layoutKey = key;
  const { boxes, full } = justify(
    shown.map((card) => card.ratio),
    { width, rowHeight, gap },
  );
  let next = grid.firstElementChild;
  shown.forEach((card, index) => {
    const box = boxes[index];
    const isPlaced = !hasMore || index < full;
    if (box) fit(card, box, isPlaced);
    card.item.classList.toggle("unplaced", !isPlaced);
    if (card.item === next) next = next.nextElementSibling;
    else grid.insertBefore(card.item, next);
  });
  const kept = new Set(shown);
  for (const [id, card] of cards) {
    if (kept.has(card)) continue;
    dropRendition(card.picture);
    card.item.remove();
    cards.delete(id);
  }
}

/**
 * Marks these images as selected.
 * @param {ReadonlySet<string>} ids
 */
export function showSelected(ids) {
  for (const [id, { item, tick }] of cards) {
    const isSelected = ids.has(id);
    if (tick.checked !== isSelected) tick.checked = isSelected;
    item.classList.toggle("selected", isSelected);
  }
}

/**
 * Moves the focus to an image's card, if it has one.
 * @param {string} id
 */
export function focusCard(id) {
  cards.get(id)?.open.focus();
}
