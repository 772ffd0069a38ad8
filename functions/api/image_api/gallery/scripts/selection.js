// The selection of many images, and the bar with what can be done to them.

import { showSelected } from "./cards.js";
import { announce, byId, pluralize, setText } from "./dom.js";

/** @import { Images } from "./images.js" */
/** @import { imageActions } from "./actions.js" */

/** @type {Set<string>} */
const selected = new Set();
let isSelecting = false; // a click selects, instead of opening an image
/** @type {string | null} */
let anchor = null; // Shift extends the selection from here
/** @type {Images} */
let images;

const bar = byId("selection");
const tagForm = byId("tag-form", HTMLFormElement);
const tagInput = byId("tag-input", HTMLInputElement);

/**
 * @param {Images} shownImages
 * @param {ReturnType<typeof imageActions>} actions
 */
export function initSelection(shownImages, actions) {
  images = shownImages;
  /** @type {(id: string, action: (ids: string[]) => unknown, keeps?: boolean) => void} */
  const onButton = (id, action, keeps = false) =>
    byId(id).addEventListener("click", () => {
      const ids = chosen();
      if (!keeps) clearSelection();
      if (ids.length) action(ids);
    });
  onButton("select-delete", (ids) => actions.remove(ids));
  onButton("select-reprocess", actions.reprocess);
  onButton("select-download", actions.download, true);
  onButton("select-copy", actions.copyAltTexts, true);
  byId("select-none").addEventListener("click", clearSelection);
  byId("select-all").addEventListener("click", selectAll);
  byId("select").addEventListener("click", () => (isSelecting ? clearSelection() : update(true)));
  byId("select-tags").addEventListener("click", () => {
    tagForm.hidden = !tagForm.hidden;
    tagInput.focus();
  });
  tagForm.addEventListener("submit", (event) => {
    event.preventDefault();
    const tags = tagInput.value.split(",").map((tag) => tag.trim()).filter(Boolean); // prettier-ignore
    if (tags.length) actions.addTags(chosen(), tags);
    tagInput.value = "";
    tagForm.hidden = true;
  });
  tagInput.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    tagForm.hidden = true;
    byId("select-tags").focus();
  });
  images.on("change", () => selected.size && update());
}

/** The selected images that are still shown, in the order of the list. */
function chosen() {
  return shownIds().filter((id) => selected.has(id));
}

const shownIds = () => images.shown().map((image) => image.data.image_id);

/** Whether a click on an image selects it. */
export const isSelectionOpen = () => isSelecting;

/**
 * Selects an image, or deselects it; with Shift also all images from the one before.
 * @param {string} id
 * @param {Event} event
 */
export function toggleSelected(id, event) {
  const isOn = !selected.has(id);
  const ids = shownIds();
  const [from, to] = [ids.indexOf(anchor ?? id), ids.indexOf(id)].sort((a, b) => a - b);
  const range =
    event instanceof MouseEvent && event.shiftKey && from !== undefined && from >= 0
      ? ids.slice(from, (to ?? 0) + 1)
      : [id];
  for (const one of range) {
    if (isOn) selected.add(one);
    else selected.delete(one);
  }
  anchor = id;
  update(true);
}

export function selectAll() {
  for (const id of shownIds()) selected.add(id);
  update(true);
}

export function clearSelection() {
  selected.clear();
  anchor = null;
  update(false);
}

/** @param {boolean} [isOpen] */
function update(isOpen = isSelecting) {
  const wasOpen = isSelecting;
  isSelecting = isOpen;
  const ids = chosen();
  if (ids.length < selected.size) {
    selected.clear(); // some are no longer shown
    for (const id of ids) selected.add(id);
  }
  showSelected(selected);
  document.body.classList.toggle("selecting", isSelecting);
  byId("select").setAttribute("aria-pressed", String(isSelecting));
  if (!isSelecting && bar.contains(document.activeElement)) byId("select").focus(); // before its element disappears
  bar.hidden = !isSelecting;
  setText(byId("selected-count"), ids.length ? `${ids.length.toLocaleString("en")} selected` : "Select images");
  for (const button of bar.querySelectorAll("button[data-needs]")) {
    if (button instanceof HTMLButtonElement) button.disabled = ids.length === 0;
  }
  if (!isSelecting) tagForm.hidden = true;
  if (isSelecting || wasOpen) announce(`${pluralize(ids.length, "image")} selected`);
}
