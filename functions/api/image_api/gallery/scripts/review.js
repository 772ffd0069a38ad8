// The review: one image after the other whose caption nobody has accepted, replaced or declared needless yet.

import { hasStatus, listImages, messageOf, patchImage } from "./api.js";
import { caption, confidence, title } from "./display.js";
import { byId, pluralize, setText, toast } from "./dom.js";
import { createStage, preload } from "./stage.js";

/** @import { ImagePatch, ImageResponse } from "../../../types/api.d.ts" */

/**
 * @typedef {object} Decision about the image at this place of the queue
 * @property {number} place
 * @property {Promise<boolean>} [saved] whether it could be saved; undefined if the image was skipped
 */

const PAGE_SIZE = 30;

const dialog = byId("review", HTMLDialogElement);
const form = byId("review-form", HTMLFormElement);
const text = byId("review-text", HTMLTextAreaElement);
const reload = byId("review-reload", HTMLButtonElement);
const buttons = {
  accept: byId("review-accept", HTMLButtonElement),
  edit: byId("review-edit", HTMLButtonElement),
  decorative: byId("review-decorative", HTMLButtonElement),
  next: byId("review-next", HTMLButtonElement),
  undo: byId("review-undo", HTMLButtonElement),
};

/** @type {ImageResponse[]} */
let queue = [];
let place = 0; // of the image that is shown
let total = 0;
/** @type {string | null | undefined} */
let cursor; // of the next page; null after the last one, undefined before the first one
/** @type {Promise<void> | null} */
let loading = null;
let problem = ""; // why the next page could not be loaded
/** @type {Decision[]} */
let decisions = [];
/** @type {Promise<unknown>} */
let saves = Promise.resolve();
/** @type {(image: ImageResponse) => void} */
let onChange = () => {};

/** @param {{ onChange: (image: ImageResponse) => void, onClose: () => void }} events */
export function initReview(events) {
  onChange = events.onChange;
  dialog.addEventListener("close", events.onClose);
  byId("review-close").addEventListener("click", () => dialog.close());
  reload.addEventListener("click", continueLoading);
  // The second click of a double click would decide about a picture that nobody has seen.
  buttons.accept.addEventListener("click", (event) => event.detail < 2 && decide({ alt_text_from: "caption" }));
  buttons.edit.addEventListener("click", edit);
  buttons.decorative.addEventListener("click", (event) => event.detail < 2 && decide({ alt_text: "" }));
  buttons.next.addEventListener("click", skip);
  buttons.undo.addEventListener("click", undo);
  byId("review-cancel").addEventListener("click", () => showForm(false));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (text.value.trim()) decide({ alt_text: text.value });
  });
  // Not on the dialog: a button that is disabled loses the focus to the page.
  document.addEventListener("keydown", (event) => dialog.open && onKey(event));
}

export const isReviewOpen = () => dialog.open;

export const closeReview = () => dialog.close();

/** Opens the review, with the least certain captions first. */
export async function openReview() {
  [queue, place, total, cursor, decisions, loading] = [[], 0, 0, undefined, [], null];
  if (!dialog.open) dialog.showModal();
  dialog.focus(); // not a button: which one is useful is known after loading
  await continueLoading();
}

/** Loads the next page, and shows its first image if the user waits for it. */
async function continueLoading() {
  if (loading) return;
  problem = "";
  const page = loadPage().catch((error) => void (problem = messageOf(error)));
  loading = page;
  if (!queue[place]) show();
  await page;
  if (loading !== page) return; // the review was opened again
  loading = null;
  if (byId("review-stage").childElementCount === 0) show();
}

async function loadPage() {
  const waiting = queue;
  const page = await listImages({ review: "open", limit: PAGE_SIZE, cursor: cursor ?? null });
  if (queue !== waiting) return; // the review was opened again
  cursor = page.next_cursor;
  const known = new Set(queue.map((image) => image.data.image_id));
  queue.push(...page.data.filter((image) => !known.has(image.data.image_id)));
  total = Math.max(page.review_count ?? total, queue.length);
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === text) {
    if (event.key === "Escape") showForm(false);
    else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) form.requestSubmit();
    else return;
    event.preventDefault(); // Escape closes the dialog, Enter adds a line
    return;
  }
  /** @type {Record<string, HTMLButtonElement>} */
  const keys = { a: buttons.accept, e: buttons.edit, d: buttons.decorative, n: buttons.next, z: buttons.undo };
  const button = keys[event.key.toLowerCase()];
  if (!button) return;
  event.preventDefault();
  if (!button.disabled && !event.repeat) button.click();
}

function show() {
  const image = queue[place];
  showForm(false);
  for (const name of /** @type {const} */ (["edit", "decorative", "next"])) buttons[name].disabled = !image;
  buttons.accept.disabled = !image || !caption(image);
  buttons.undo.disabled = decisions.length === 0;
  setText(byId("review-caption"), image ? caption(image) || "No caption" : endText());
  setText(byId("review-about"), image ? [title(image), confidence(image)].filter(Boolean).join(" · ") : "");
  setText(
    byId("review-progress"),
    image ? `${(place + 1).toLocaleString("en")} of ${total.toLocaleString("en")}` : "",
  );
  const stage = image && createStage(image.data.image_id, { onSwipe: (offset) => (offset > 0 ? skip() : undo()) });
  byId("review-stage").replaceChildren(...(stage ? [stage.node] : []));
  if (image) stage?.update(image);
  preload(queue[place + 1]);
  if (cursor && !problem && queue.length - place < PAGE_SIZE / 2) continueLoading();
  reload.hidden = Boolean(image) || !problem;
  // The focus stays on the button that was used, if it still can be used.
  if (loading && !image) return;
  if (!document.activeElement?.matches("dialog, body, :disabled")) return;
  [buttons.accept, buttons.next, reload, byId("review-close", HTMLButtonElement)]
    .find((button) => !button.disabled && !button.hidden)
    ?.focus();
}

function endText() {
  if (problem) return `The captions could not be loaded. ${problem}`;
  if (loading || cursor !== null) return "Loading …";
  const saved = decisions.filter((decision) => decision.saved).length;
  return saved
    ? `Done: ${pluralize(saved, "image")} reviewed.`
    : "Every image has an alt text. There is nothing to review.";
}

/** @param {boolean} isShown */
function showForm(isShown) {
  const hadFocus = form.contains(document.activeElement);
  byId("review-actions").hidden = isShown;
  if (isShown) form.hidden = false;
  if (isShown) text.focus();
  else if (hadFocus) (buttons.edit.disabled ? byId("review-close") : buttons.edit).focus(); // before its element disappears
  form.hidden = !isShown;
}

function edit() {
  const image = queue[place];
  if (!image) return;
  text.value = caption(image);
  showForm(true);
  text.select();
}

/**
 * Saves a decision in the background, and shows the next image.
 * @param {ImagePatch} patch
 */
function decide(patch) {
  const image = queue[place];
  if (!image) return;
  decisions.push({ place, saved: save(image, patch) });
  place += 1;
  show();
}

function skip() {
  if (!queue[place]) return;
  decisions.push({ place });
  place += 1;
  show();
}

/** Shows the image before, and takes back what was decided about it. */
function undo() {
  const last = decisions.pop();
  if (!last) return;
  place = last.place;
  const image = queue[place];
  show();
  if (image && last.saved) save(image, { alt_text: null }, last.saved);
}

/**
 * Saves after all earlier decisions, so that each one knows the ETag of the one before it.
 * @param {ImageResponse} image
 * @param {ImagePatch} patch
 * @param {Promise<boolean>} [undone] whether the decision that this takes back was saved
 */
function save(image, patch, undone) {
  const saved = saves.then(async () => (undone && !(await undone) ? false : send(image, patch)));
  saves = saved;
  return saved;
}

/**
 * Resolves to whether it could be saved. Nothing is lost: an image whose decision could not be saved comes again at the end.
 * @param {ImageResponse} image
 * @param {ImagePatch} patch
 */
async function send(image, patch) {
  try {
    const { warnings, ...changed } = await patchImage(image.data.image_id, patch, image.data.text_etag);
    image.data.text_etag = changed.data.text_etag;
    onChange(changed);
    if (patch.alt_text && warnings.length) toast(`Saved. ${warnings.join(" ")}`); // of a caption, they are the same each time
    return true;
  } catch (error) {
    if (hasStatus(error, 404)) return false; // deleted since
    if (hasStatus(error, 412)) toast(`${title(image)}: someone else has changed it. Their text was kept.`);
    else {
      queue.push(image);
      total = Math.max(total, queue.length);
      toast(`${title(image)} was not saved and comes again at the end. ${messageOf(error)}`);
      if (place === queue.length - 1) show();
    }
    return false;
  }
}
