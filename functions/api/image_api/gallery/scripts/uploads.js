// The list of uploads: a few run at a time, each with its progress, cancel and retry.

import { ApiError, isTransient } from "./api.js";
import { announce, bringToFront, byId, el, formatFileSize, pluralize, setText } from "./dom.js";
import { uploadFile } from "./transfer.js";

/** @import { Preview } from "./cards.js" */

/** @typedef {"waiting" | "sending" | "done" | "failed" | "canceled"} UploadState */
/** @typedef {ReturnType<typeof create>} Upload */

const MAX_CONCURRENT_UPLOADS = 3;
const MAX_ATTEMPTS = 4;
const BASE_DELAY_MS = 500;
const MAX_PREVIEW_BYTES = 20_000_000;
const PREVIEW_MS = 500; // as long as an uploaded image waits for the size of its preview
const LONG_NAME = 24; // characters
const TAIL_LENGTH = 12; // characters at the end of a long name that are always visible
const PERMANENT_STATUSES = new Set([400, 413, 415, 422]); // the same file would be refused again

/** @type {Upload[]} */
const uploads = [];
let activeCount = 0;
/** @type {(imageId: string, preview: Preview | null) => void} */
let onUploaded = () => {};

/**
 * Sets up the list.
 * @param {(imageId: string, preview: Preview | null) => void} listener called for each uploaded file
 */
export function initUploads(listener) {
  onUploaded = listener;
  byId("uploads-retry").addEventListener("click", () =>
    uploads.filter((upload) => upload.state === "failed" && upload.canRetry).forEach(retry),
  );
  byId("uploads-fold").addEventListener("click", () => fold(!byId("uploads").classList.contains("folded")));
  byId("uploads-cancel").addEventListener("click", () => uploads.filter(isUnfinished).forEach(cancel));
  byId("uploads-clear").addEventListener("click", () =>
    uploads.filter((upload) => !isUnfinished(upload)).forEach(remove),
  );
}

/** @param {boolean} isFolded */
function fold(isFolded) {
  byId("uploads").classList.toggle("folded", isFolded);
  const button = byId("uploads-fold");
  button.setAttribute("aria-expanded", String(!isFolded));
  setText(button, isFolded ? "Show" : "Hide");
}

/**
 * Uploads these files.
 * @param {File[]} files
 */
export function addUploads(files) {
  for (const file of files) uploads.push(create(file));
  byId("upload-list").append(...uploads.slice(-files.length).map((upload) => upload.row));
  bringToFront("uploads");
  announce(`Uploading ${pluralize(files.length, "file")}`);
  startNext();
}

/** Whether leaving the page now would interrupt uploads. */
export const hasUnfinishedUploads = () => uploads.some(isUnfinished);

/** @param {Upload} upload */
const isUnfinished = (upload) => upload.state === "waiting" || upload.state === "sending";

/** @param {File} file */
function create(file) {
  const bar = el("progress", { max: Math.max(file.size, 1), value: 0, "aria-label": `Progress of ${file.name}` });
  const note = el("span", { className: "note", text: formatFileSize(file.size) });
  const button = el("button", {
    type: "button",
    onclick: () => (isUnfinished(upload) ? cancel : upload.canRetry ? retry : remove)(upload),
  });
  // Only the middle of a long name is left out: its end distinguishes files.
  const characters = [...file.name];
  const split = characters.length > LONG_NAME ? characters.length - TAIL_LENGTH : characters.length;
  const name = el(
    "span",
    { className: "file", title: file.name },
    el("span", { className: "head", dir: "auto", text: characters.slice(0, split).join("") }),
    el("span", { className: "tail", dir: "auto", text: characters.slice(split).join("") }),
  );
  const upload = {
    file,
    state: /** @type {UploadState} */ ("waiting"),
    key: randomKey(),
    isRejected: false, // by the API or the bucket
    canRetry: true,
    controller: new AbortController(), // of the current attempt
    row: el("li", {}, name, bar, note, button),
    bar,
    note,
    button,
  };
  updateRow(upload);
  return upload;
}

// crypto.randomUUID exists only on secure origins, and a stack on another machine of the network is not one.
function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function startNext() {
  for (const upload of uploads) {
    if (activeCount >= MAX_CONCURRENT_UPLOADS) break;
    if (upload.state === "waiting") start(upload);
  }
  updateSummary();
}

/** @param {Upload} upload */
async function start(upload) {
  activeCount += 1;
  upload.controller = new AbortController();
  setState(upload, "sending", "Starting");
  try {
    const id = await withRetries(upload, () =>
      uploadFile(upload.file, upload.key, upload.controller.signal, (sent) => showProgress(upload, sent)),
    );
    setState(upload, "done", "Uploaded");
    onUploaded(id, await previewOf(upload.file));
    remove(upload);
  } catch (error) {
    if (upload.controller.signal.aborted) setState(upload, "canceled", "Canceled");
    else {
      upload.isRejected = error instanceof ApiError && !error.isTransient;
      upload.canRetry = !(error instanceof ApiError && PERMANENT_STATUSES.has(error.status));
      setState(upload, "failed", error instanceof ApiError ? error.message : "The file could not be read.");
    }
  }
  activeCount -= 1;
  startNext();
}

/**
 * Returns a picture to show until the thumbnail exists; null if the browser cannot show the file soon.
 * @param {File} file
 * @returns {Promise<Preview | null>}
 */
async function previewOf(file) {
  if (file.size > MAX_PREVIEW_BYTES) return null;
  const url = URL.createObjectURL(file);
  const picture = new Image();
  const size = new Promise((resolve) => {
    picture.onload = () => resolve(picture.naturalWidth / picture.naturalHeight);
    picture.onerror = () => resolve(0);
    setTimeout(resolve, PREVIEW_MS, 0);
  });
  picture.src = url;
  const ratio = /** @type {number} */ (await size);
  if (ratio) return { url, ratio };
  URL.revokeObjectURL(url);
  return null;
}

/**
 * @param {Upload} upload
 * @param {number} sent
 */
function showProgress(upload, sent) {
  upload.bar.value = sent;
  setText(upload.note, `${formatFileSize(sent)} of ${formatFileSize(upload.file.size)}`);
}

/**
 * Sends until it succeeds, up to `MAX_ATTEMPTS` times.
 * @template T
 * @param {Upload} upload
 * @param {() => Promise<T>} send
 */
async function withRetries(upload, send) {
  const { signal } = upload.controller;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send();
    } catch (error) {
      if (!isTransient(error) || attempt === MAX_ATTEMPTS || signal.aborted) throw error;
      const delay = Math.max((error.retryAfter ?? 0) * 1000, BASE_DELAY_MS * 2 ** attempt * (0.5 + Math.random()));
      setText(upload.note, "Retrying …");
      await new Promise((resolve) => {
        setTimeout(resolve, delay);
        signal.addEventListener("abort", resolve, { once: true });
      });
      signal.throwIfAborted();
    }
  }
}

/** @param {Upload} upload */
function cancel(upload) {
  if (upload.state === "sending") upload.controller.abort();
  else setState(upload, "canceled", "Canceled");
  startNext();
}

/** @param {Upload} upload */
function retry(upload) {
  // After a lost connection or a cancel the file may still have arrived: the same key finds its image. A rejected key
  // would be rejected again.
  if (upload.isRejected) upload.key = randomKey();
  upload.isRejected = false;
  upload.bar.value = 0;
  setState(upload, "waiting", "Waiting");
  startNext();
}

/** @param {Upload} upload */
function remove(upload) {
  const index = uploads.indexOf(upload);
  if (index >= 0) uploads.splice(index, 1);
  upload.row.remove();
  updateSummary();
}

/**
 * @param {Upload} upload
 * @param {UploadState} state
 * @param {string} note
 */
function setState(upload, state, note) {
  upload.state = state;
  setText(upload.note, note);
  updateRow(upload);
}

/** @param {Upload} upload */
function updateRow(upload) {
  upload.row.dataset.state = upload.state;
  setText(upload.button, isUnfinished(upload) ? "Cancel" : upload.canRetry ? "Retry" : "Remove");
  upload.button.setAttribute("aria-label", `${upload.button.textContent} ${upload.file.name}`);
  upload.button.hidden = upload.state === "done";
  upload.bar.hidden = upload.state === "failed" || upload.state === "canceled";
}

function updateSummary() {
  const unfinished = uploads.filter(isUnfinished).length;
  const failed = uploads.filter((upload) => upload.state === "failed").length;
  const finished = uploads.length - unfinished;
  byId("uploads").hidden = uploads.length === 0;
  byId("uploads-retry").hidden = !uploads.some((upload) => upload.state === "failed" && upload.canRetry);
  byId("uploads-cancel").hidden = unfinished === 0;
  byId("uploads-clear").hidden = finished === 0;
  const parts = [unfinished && `${pluralize(unfinished, "file")} left`, failed && `${failed} failed`].filter(
    Boolean,
  );
  setText(byId("uploads-title"), parts.length ? `Uploads: ${parts.join(", ")}` : "Uploads");
  if (failed && !unfinished) announce(`${pluralize(failed, "upload")} failed`);
}
