// The page: connects events to the parts that show them.

import { deleteImage, getImage, isTransient, listImages, messageOf, reprocessImage } from "./api.js";
import { focusCard, render, setPreview } from "./cards.js";
import { closeViewer, initViewer, openViewer, openImageId, updateViewer } from "./viewer.js";
import { announce, byId, el, pluralize, setText, toast } from "./dom.js";
import { initFileSources } from "./file_sources.js";
import { Images, isFinished } from "./images.js";
import { initKeyDialog } from "./key.js";
import { clearSearch, currentSearch, highlightMatches, initSearch } from "./search.js";
import { refreshModel, refreshStatistics } from "./statistics.js";
import { addUploads, hasUnfinishedUploads, initUploads } from "./uploads.js";

/** @import { ImageResponse } from "../../../types/api.d.ts" */

const UNDO_SECONDS = 5;
const MAX_CONCURRENT_RETRIES = 4;
const PAGE_RETRY_MS = 4000; // if loading the next page failed
const MODEL_RETRY_MS = 5000; // if loading the caption model's name failed
const TOP_PIXELS = 300; // if the user has scrolled further down, new images wait behind a button

const retryAllButton = byId("retry-all", HTMLButtonElement);
const images = new Images(() => window.scrollY > TOP_PIXELS);
let isDrawPending = false;
/** @type {Set<string>} */
let unfinishedIds = new Set(); // images to announce when they are done
/** @type {Set<string>} */
const uploadedIds = new Set(); // uploads of this page that may turn out to be here already
let isNotingHiddenUpload = false;

// ---- Display

const cardActions = { open: (/** @type {string} */ id) => void (location.hash = id), retry };

function draw() {
  if (isDrawPending) return;
  isDrawPending = true;
  requestAnimationFrame(() => {
    isDrawPending = false;
    const shown = images.shown();
    const { query, status } = images.search;
    render(shown, cardActions);
    highlightMatches(byId("grid"), query);
    setText(byId("found"), query ? foundText(shown.length) : "");
    retryAllButton.hidden = status !== "failed" || shown.length === 0;
    byId("images").classList.toggle("ended", images.ended);
    drawEmptyState(shown.length);
    const openId = openImageId();
    const openImage = openId && images.get(openId);
    if (openImage) updateViewer(openImage);
    else if (openId) {
      closeViewer();
      toast("This image was deleted elsewhere.");
    }
    announceFinished();
  });
}

/** @param {number} count */
function foundText(count) {
  if (images.problem) return images.problem;
  if (images.isOutdated) return "Searching …";
  const text = images.ended ? `${pluralize(count, "image")} found.` : `${pluralize(count, "image")} found so far.`;
  return [text, ...images.warnings].join(" ");
}

/** @param {number} shownCount */
function drawEmptyState(shownCount) {
  const empty = byId("empty");
  empty.hidden = shownCount > 0 || !images.ended || images.problem !== "";
  if (empty.hidden) return;
  const { query, status } = images.search;
  const hasNoImages = !query && !status;
  const lines = hasNoImages
    ? [
        el("h2", { text: "No pictures yet" }),
        el("p", {
          text: "Drop photos anywhere on this page, paste one, or pick some. Each gets thumbnails, its metadata and a caption.",
        }),
      ]
    : [
        el("h2", { text: "Nothing found" }),
        el("p", { text: query ? "No image matches your search." : "No images have this status." }),
      ];
  empty.replaceChildren(...lines);
}

function announceFinished() {
  /** @type {Set<string>} */
  const unfinished = new Set();
  /** @type {ImageResponse[]} */
  const done = [];
  for (const image of images.shown()) {
    const id = image.data.image_id;
    if (!isFinished(image)) unfinished.add(id);
    else if (unfinishedIds.has(id)) done.push(image);
  }
  unfinishedIds = unfinished;
  const failed = done.filter((image) => image.status === "failed").length;
  if (done.length) announce(`${pluralize(done.length, "image")} finished${failed ? `, ${failed} failed` : ""}`);
  done.forEach(reportDuplicate);
}

/**
 * Says so if a finished upload has the same bytes as an older image.
 * @param {ImageResponse} image
 */
async function reportDuplicate(image) {
  if (!uploadedIds.delete(image.data.image_id)) return;
  const uploaded = await attempt(() => getImage(image.data.image_id)); // lists do not look for duplicates
  const original = uploaded?.data.metadata?.duplicate_of;
  if (!original) return;
  toast(`${image.data.original_name} is already here`, "Show", {
    onDismiss: (reason) => reason === "action" && (location.hash = original),
  });
}

/** Says that an upload has succeeded although the list does not show it. One message is enough for many files. */
function noteHiddenUpload() {
  if (isNotingHiddenUpload) return;
  isNotingHiddenUpload = true;
  const shown = images.search.query ? "that match the search" : "with this status";
  toast(`Uploaded. Only images ${shown} are shown.`, "Show all", {
    onDismiss(reason) {
      isNotingHiddenUpload = false;
      if (reason === "action") clearSearch();
    },
  });
}

images.on("change", draw);
images.on("newer", (number) => {
  byId("newer").hidden = number === 0;
  setText(byId("newer"), `Show ${pluralize(number, "new image")}`);
});
images.on("connection", (error) => {
  const offline = byId("offline");
  offline.hidden = !error;
  setText(offline, error ? `${error.message} Retrying …` : "");
});
images.on("polled", () => refreshStatistics().catch(() => {})); // the next round retries

byId("newer").addEventListener("click", () => {
  images.showHeld();
  window.scrollTo({ top: 0, behavior: "instant" });
});
retryAllButton.addEventListener("click", () => attempt(retryAll));

new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && loadMore(), {
  rootMargin: "800px",
}).observe(byId("more"));

async function loadMore() {
  if (images.ended) return;
  setText(byId("more"), "Loading …");
  try {
    await images.loadMore();
  } catch (error) {
    if (isTransient(error)) setTimeout(loadMore, PAGE_RETRY_MS);
    else toast(messageOf(error));
    return;
  } finally {
    setText(byId("more"), "");
  }
  // If a page did not fill the window, the end is still visible, and the observer does not fire again.
  if (!images.ended && byId("more").getBoundingClientRect().top < window.innerHeight + 800)
    requestAnimationFrame(loadMore);
}

// ---- Actions

/**
 * Runs an action and shows its error. Resolves to null after an error. Transient errors need no message here: polling
 * shows that the service does not respond.
 * @template T
 * @param {() => Promise<T>} action
 */
async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (!isTransient(error)) toast(messageOf(error));
    return null;
  }
}

/** @param {string} id */
async function retry(id) {
  const response = await attempt(() => reprocessImage(id));
  if (response) images.put([{ status: response.status, data: response.data, error: null }], { hold: false });
  images.pollNow();
}

/** Retries all failed images that match the search, loaded or not. */
async function retryAll() {
  retryAllButton.disabled = true;
  try {
    const ids = await listFailedIds();
    let done = 0;
    const worker = async () => {
      for (let id = ids.pop(); id; id = ids.pop()) {
        if (await attempt(() => reprocessImage(id))) done += 1;
      }
    };
    await Promise.all(Array.from({ length: MAX_CONCURRENT_RETRIES }, worker));
    toast(`Reprocessing ${pluralize(done, "image")}.`);
  } finally {
    retryAllButton.disabled = false;
    images.pollNow();
  }
}

async function listFailedIds() {
  /** @type {string[]} */
  const ids = [];
  /** @type {string | null} */
  let cursor = null;
  do {
    const page = await listImages({ limit: 100, cursor, query: currentSearch().query, status: "failed" });
    ids.push(...page.data.map((image) => image.data.image_id));
    cursor = page.next_cursor;
  } while (cursor);
  return ids;
}

/** @param {string} id */
function remove(id) {
  closeViewer();
  images.setHidden(id, true);
  const dismiss = toast("Image deleted", "Undo", {
    seconds: UNDO_SECONDS,
    onDismiss: async (reason) => {
      window.removeEventListener("pagehide", dismiss);
      if (reason === "action") {
        images.setHidden(id, false);
        requestAnimationFrame(() => requestAnimationFrame(() => focusCard(id)));
        return;
      }
      try {
        await deleteImage(id);
        images.remove(id);
      } catch (error) {
        toast(`The image was not deleted: ${messageOf(error)}`);
      }
      images.setHidden(id, false);
      images.pollNow();
    },
  });
  window.addEventListener("pagehide", dismiss); // leaving the page does not undo
}

// ---- The URL names the open image, so that "back" closes it and a link opens it

async function openImageFromHash() {
  const id = location.hash.slice(1);
  if (!/^img_\w+$/.test(id)) {
    if (openImageId()) closeViewer();
    return;
  }
  if (!images.get(id)) await attempt(() => images.fetchOne(id));
  if (images.get(id)) openViewer(id);
  else history.replaceState(null, "", location.pathname + location.search);
}

initViewer({
  get: (id) => images.get(id),
  refresh: (id) => attempt(() => images.fetchOne(id)),
  neighbor(id, offset) {
    const ids = images.shown().map((image) => image.data.image_id);
    return ids.includes(id) ? ids[ids.indexOf(id) + offset] : undefined;
  },
  retry,
  remove,
  onChange: (image) => images.put([image], { hold: false }),
  onClose(id) {
    if (location.hash) history.replaceState(null, "", location.pathname + location.search);
    focusCard(id);
  },
});
window.addEventListener("hashchange", openImageFromHash);

// ---- Added files

initFileSources(addUploads);
initUploads(async (id, preview) => {
  setPreview(id, preview);
  uploadedIds.add(id);
  await attempt(() => images.fetchOne(id));
  const image = images.get(id);
  if (image && isFinished(image)) reportDuplicate(image);
  if (image && !images.shown().includes(image)) noteHiddenUpload();
  images.pollNow();
});
window.addEventListener("beforeunload", (event) => hasUnfinishedUploads() && event.preventDefault());

// ---- Start

initKeyDialog();
await initSearch((search) => attempt(() => images.find(search)));
images.start();
openImageFromHash();
for (;;) {
  const delay = await attempt(refreshModel);
  if (delay === 0) break;
  await new Promise((resolve) => setTimeout(resolve, delay ?? MODEL_RETRY_MS));
}
