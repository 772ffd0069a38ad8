// The list of uploads: a few run at a time, each with its progress, cancel and retry.

import { ApiError } from "./api.js";
import { announce, byId, count, el, fileSize, setText } from "./dom.js";
import { transfer } from "./transfer.js";

const AT_ONCE = 3;
const TRIES = 4;
const FIRST_WAIT_MS = 500;
const PREVIEW_BYTES = 20_000_000;

const uploads = [];
let active = 0;
let onUploaded = () => {};

/** Sets up the list. `uploaded(imageId, previewUrl)` is called for each uploaded file. */
export function installUploads(uploaded) {
  onUploaded = uploaded;
  byId("uploads-retry").addEventListener("click", () => uploads.filter((u) => u.state === "failed").forEach(again));
  byId("uploads-cancel").addEventListener("click", () => uploads.filter(isOpen).forEach(cancel));
  byId("uploads-clear").addEventListener("click", () => uploads.filter((u) => !isOpen(u)).forEach(remove));
}

/** Uploads these files. */
export function upload(files) {
  for (const file of files) uploads.push(create(file));
  byId("upload-list").append(...uploads.slice(-files.length).map((one) => one.row));
  announce(`Uploading ${count(files.length, "file")}`);
  next();
}

/** Whether leaving the page now would interrupt uploads. */
export const uploadsAreOpen = () => uploads.some(isOpen);

const isOpen = (one) => one.state === "waiting" || one.state === "sending";

function create(file) {
  const one = { file, state: "waiting", key: randomKey(), isRefused: false, abort: null };
  one.bar = el("progress", { max: Math.max(file.size, 1), value: 0, "aria-label": `Progress of ${file.name}` });
  one.note = el("span", { className: "note", text: fileSize(file.size) });
  one.button = el("button", { type: "button", onclick: () => (isOpen(one) ? cancel(one) : again(one)) });
  one.row = el(
    "li",
    {},
    el("span", { className: "file", dir: "auto", text: file.name }),
    one.bar,
    one.note,
    one.button,
  );
  show(one);
  return one;
}

// crypto.randomUUID exists only on secure origins, and a stack on another machine of the network is not one.
function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function next() {
  for (const one of uploads) {
    if (active >= AT_ONCE) break;
    if (one.state === "waiting") run(one);
  }
  summarise();
}

async function run(one) {
  active += 1;
  one.abort = new AbortController();
  set(one, "sending", "Starting");
  try {
    const id = await withRetries(one, () =>
      transfer(one.file, one.key, one.abort.signal, (sent) => showProgress(one, sent)),
    );
    const preview = one.file.size <= PREVIEW_BYTES ? URL.createObjectURL(one.file) : null;
    set(one, "done", "Uploaded");
    onUploaded(id, preview);
    remove(one);
  } catch (error) {
    if (one.abort.signal.aborted) set(one, "cancelled", "Canceled");
    else {
      one.isRefused = error instanceof ApiError && !error.transient;
      set(one, "failed", error instanceof ApiError ? error.message : "The file could not be read.");
    }
  }
  active -= 1;
  next();
}

function showProgress(one, sent) {
  one.bar.value = sent;
  setText(one.note, `${fileSize(sent)} of ${fileSize(one.file.size)}`);
}

async function withRetries(one, attempt) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!error.transient || tried === TRIES || one.abort.signal.aborted) throw error;
      const wait = Math.max((error.retryAfter ?? 0) * 1000, FIRST_WAIT_MS * 2 ** tried * (0.5 + Math.random()));
      setText(one.note, "Retrying …");
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, wait);
        one.abort.signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
      });
      one.abort.signal.throwIfAborted();
    }
  }
}

function cancel(one) {
  if (one.state === "sending") one.abort.abort();
  else set(one, "cancelled", "Canceled");
  next();
}

function again(one) {
  // After a lost connection or a cancel the file may still have arrived: the same key finds its image. A rejected key
  // would be rejected again.
  if (one.isRefused) one.key = randomKey();
  one.isRefused = false;
  one.bar.value = 0;
  set(one, "waiting", "Waiting");
  next();
}

function remove(one) {
  const at = uploads.indexOf(one);
  if (at >= 0) uploads.splice(at, 1);
  one.row.remove();
  summarise();
}

function set(one, state, note) {
  one.state = state;
  setText(one.note, note);
  show(one);
}

function show(one) {
  one.row.dataset.state = one.state;
  setText(one.button, isOpen(one) ? "Cancel" : "Retry");
  one.button.setAttribute("aria-label", `${one.button.textContent} ${one.file.name}`);
}

function summarise() {
  const open = uploads.filter(isOpen).length;
  const failed = uploads.filter((one) => one.state === "failed").length;
  const ended = uploads.length - open;
  byId("uploads").hidden = uploads.length === 0;
  byId("uploads-retry").hidden = failed === 0;
  byId("uploads-cancel").hidden = open === 0;
  byId("uploads-clear").hidden = ended === 0;
  const parts = [open && `${count(open, "file")} left`, failed && `${failed} failed`].filter(Boolean);
  setText(byId("uploads-title"), parts.length ? `Uploads: ${parts.join(", ")}` : "Uploads");
  if (failed && !open) announce(`${count(failed, "upload")} failed`);
}
