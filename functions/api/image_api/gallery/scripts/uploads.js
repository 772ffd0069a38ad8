// The list of uploads: a few run at a time, each with its progress, cancel and retry.

import { ApiError } from "./api.js";
import { announce, byId, el, formatFileSize, pluralize, setText } from "./dom.js";
import { uploadFile } from "./transfer.js";

const MAX_CONCURRENT_UPLOADS = 3;
const MAX_ATTEMPTS = 4;
const BASE_DELAY_MS = 500;
const MAX_PREVIEW_BYTES = 20_000_000;

const uploads = [];
let activeCount = 0;
let onUploaded = () => {};

/** Sets up the list. `uploaded(imageId, previewUrl)` is called for each uploaded file. */
export function initUploads(uploaded) {
  onUploaded = uploaded;
  byId("uploads-retry").addEventListener("click", () =>
    uploads.filter((upload) => upload.state === "failed").forEach(retry),
  );
  byId("uploads-cancel").addEventListener("click", () => uploads.filter(isUnfinished).forEach(cancel));
  byId("uploads-clear").addEventListener("click", () =>
    uploads.filter((upload) => !isUnfinished(upload)).forEach(remove),
  );
}

/** Uploads these files. */
export function addUploads(files) {
  for (const file of files) uploads.push(create(file));
  byId("upload-list").append(...uploads.slice(-files.length).map((upload) => upload.row));
  announce(`Uploading ${pluralize(files.length, "file")}`);
  startNext();
}

/** Whether leaving the page now would interrupt uploads. */
export const hasUnfinishedUploads = () => uploads.some(isUnfinished);

const isUnfinished = (upload) => upload.state === "waiting" || upload.state === "sending";

function create(file) {
  const upload = { file, state: "waiting", key: randomKey(), isRejected: false, controller: null };
  upload.bar = el("progress", { max: Math.max(file.size, 1), value: 0, "aria-label": `Progress of ${file.name}` });
  upload.note = el("span", { className: "note", text: formatFileSize(file.size) });
  upload.button = el("button", {
    type: "button",
    onclick: () => (isUnfinished(upload) ? cancel(upload) : retry(upload)),
  });
  upload.row = el(
    "li",
    {},
    el("span", { className: "file", dir: "auto", text: file.name }),
    upload.bar,
    upload.note,
    upload.button,
  );
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

async function start(upload) {
  activeCount += 1;
  upload.controller = new AbortController();
  setState(upload, "sending", "Starting");
  try {
    const id = await withRetries(upload, () =>
      uploadFile(upload.file, upload.key, upload.controller.signal, (sent) => showProgress(upload, sent)),
    );
    const preview = upload.file.size <= MAX_PREVIEW_BYTES ? URL.createObjectURL(upload.file) : null;
    setState(upload, "done", "Uploaded");
    onUploaded(id, preview);
    remove(upload);
  } catch (error) {
    if (upload.controller.signal.aborted) setState(upload, "cancelled", "Canceled");
    else {
      upload.isRejected = error instanceof ApiError && !error.transient;
      setState(upload, "failed", error instanceof ApiError ? error.message : "The file could not be read.");
    }
  }
  activeCount -= 1;
  startNext();
}

function showProgress(upload, sent) {
  upload.bar.value = sent;
  setText(upload.note, `${formatFileSize(sent)} of ${formatFileSize(upload.file.size)}`);
}

async function withRetries(upload, send) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send();
    } catch (error) {
      if (!error.transient || attempt === MAX_ATTEMPTS || upload.controller.signal.aborted) throw error;
      const delay = Math.max((error.retryAfter ?? 0) * 1000, BASE_DELAY_MS * 2 ** attempt * (0.5 + Math.random()));
      setText(upload.note, "Retrying …");
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, delay);
        upload.controller.signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
      });
      upload.controller.signal.throwIfAborted();
    }
  }
}

function cancel(upload) {
  if (upload.state === "sending") upload.controller.abort();
  else setState(upload, "cancelled", "Canceled");
  startNext();
}

function retry(upload) {
  // After a lost connection or a cancel the file may still have arrived: the same key finds its image. A rejected key
  // would be rejected again.
  if (upload.isRejected) upload.key = randomKey();
  upload.isRejected = false;
  upload.bar.value = 0;
  setState(upload, "waiting", "Waiting");
  startNext();
}

function remove(upload) {
  const index = uploads.indexOf(upload);
  if (index >= 0) uploads.splice(index, 1);
  upload.row.remove();
  updateSummary();
}

function setState(upload, state, note) {
  upload.state = state;
  setText(upload.note, note);
  updateRow(upload);
}

function updateRow(upload) {
  upload.row.dataset.state = upload.state;
  setText(upload.button, isUnfinished(upload) ? "Cancel" : "Retry");
  upload.button.setAttribute("aria-label", `${upload.button.textContent} ${upload.file.name}`);
}

function updateSummary() {
  const unfinished = uploads.filter(isUnfinished).length;
  const failed = uploads.filter((upload) => upload.state === "failed").length;
  const finished = uploads.length - unfinished;
  byId("uploads").hidden = uploads.length === 0;
  byId("uploads-retry").hidden = failed === 0;
  byId("uploads-cancel").hidden = unfinished === 0;
  byId("uploads-clear").hidden = finished === 0;
  const parts = [unfinished && `${pluralize(unfinished, "file")} left`, failed && `${failed} failed`].filter(
    Boolean,
  );
  setText(byId("uploads-title"), parts.length ? `Uploads: ${parts.join(", ")}` : "Uploads");
  if (failed && !unfinished) announce(`${pluralize(failed, "upload")} failed`);
}
