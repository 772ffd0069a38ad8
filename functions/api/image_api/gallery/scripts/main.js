// The page: connects events to the parts that show them.

import { attempt, imageActions } from "./actions.js";
import { getImage, isTransient, listImages, messageOf } from "./api.js";
import { focusCard, render, setPreview } from "./cards.js";
import { canRetry, isFinished } from "./display.js";
import { announce, byId, el, pluralize, setText, toast } from "./dom.js";
import { initFileSources } from "./file_sources.js";
import { Images } from "./images.js";
import { initKeyDialog } from "./key.js";
import { closeReview, initReview, isReviewOpen, openReview } from "./review.js";
import { clearSearch, currentSearch, highlightMatches, initSearch, searchTag, showNewestFirst } from "./search.js";
import { clearSelection, initSelection, isSelectionOpen, selectAll, toggleSelected } from "./selection.js";
import { initShortcuts } from "./shortcuts.js";
import { refreshModel, refreshStatistics } from "./statistics.js";
import { addUploads, hasUnfinishedUploads, initUploads } from "./uploads.js";
import { closeViewer, initViewer, openImageId, openViewer, updateViewer } from "./viewer.js";

/** @import { ImageResponse } from "../../../types/api.d.ts" */

const PAGE_RETRY_MS = 4000; // if loading the next page failed
const SLOW_MS = 800; // a page that takes longer is shown to be loading
const MODEL_RETRY_MS = 5000; // if loading the caption model's name failed
const TOP_PIXELS = 300; // if the user has scrolled further down, new images wait behind a button
const CAPTIONS_STORAGE_NAME = "imgpipe-captions-hidden";
const REVIEW_HASH = "#review";

const retryAllButton = byId("retry-all", HTMLButtonElement);
const images = new Images(() => window.scrollY > TOP_PIXELS);
const actions = imageActions(images);
let isDrawPending = false;
/** @type {Set<string>} */
let unfinishedIds = new Set(); // images to announce when they are done
/** @type {Set<string>} */
const uploadedIds = new Set(); // uploads of this page that may turn out to be here already
let isNotingHiddenUpload = false;

// ---- Display

const cardActions = {
  open(/** @type {string} */ id, /** @type {Event} */ event) {
    if (isSelectionOpen()) toggleSelected(id, event);
    else location.hash = id;
  },
  select: toggleSelected,
  retry: (/** @type {string} */ id) => actions.reprocess([id]),
};

function draw() {
  if (isDrawPending) return;
  isDrawPending = true;
  requestAnimationFrame(() => {
    isDrawPending = false;
    const shown = images.shown();
    const { query, status } = images.search;
    render(shown, cardActions, !images.ended && !images.isOutdated);
    byId("grid").classList.toggle("searching", query !== "");
    highlightMatches(byId("grid"), query);
    setText(byId("found"), query ? foundText(shown.length) : "");
    retryAllButton.hidden = status !== "failed" || !shown.some(canRetry);
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
new ResizeObserver(draw).observe(byId("grid"));

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
  if (!query && !status) return void empty.replaceChildren(...welcome());
  empty.replaceChildren(
    el("h2", { text: "Nothing found" }),
    el("p", { text: query ? "No image matches your search." : "No images have this status." }),
    el("button", { type: "button", text: "Show all images", onclick: clearSearch }),
  );
}

function welcome() {
  return [
    el("h2", { text: "No pictures yet" }),
    el("p", { text: "Each picture gets thumbnails, its metadata and a caption that you can use as alt text." }),
    el("button", {
      type: "button",
      className: "primary",
      text: "Add pictures",
      onclick: () => byId("pick").click(),
    }),
    el("p", {
      className: "by-mouse",
      text: "You can also drop files or folders anywhere on this page, or paste a picture.",
    }),
  ];
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
  const { query, status } = images.search;
  const [text, action, show] =
    query || status
      ? [`Only images ${query ? "that match the search" : "with this status"} are shown.`, "Show all", clearSearch]
      : ["New images are at the end of this list.", "Newest first", showNewestFirst];
  toast(`Uploaded. ${text}`, action, {
    onDismiss(reason) {
      isNotingHiddenUpload = false;
      if (reason === "action") show();
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
  setText(offline, error ? connectionText(error.message) : "");
});
/** @param {string} message */
function connectionText(message) {
  if (!navigator.onLine) return "You are offline. The page continues when the connection is back, uploads too.";
  return `${message} Retrying …`;
}
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
  const timer = setTimeout(() => (byId("loading").hidden = false), SLOW_MS);
  try {
    await images.loadMore();
  } catch (error) {
    if (isTransient(error)) setTimeout(loadMore, PAGE_RETRY_MS);
    else toast(messageOf(error));
    return;
  } finally {
    clearTimeout(timer);
    byId("loading").hidden = true;
  }
  // If a page did not fill the window, the end is still visible, and the observer does not fire again.
  if (!images.ended && byId("more").getBoundingClientRect().top < window.innerHeight + 800)
    requestAnimationFrame(loadMore);
}

// ---- Actions

/** Retries all failed images that match the search and may succeed, loaded or not. */
async function retryAll() {
  retryAllButton.disabled = true;
  try {
    await actions.reprocess(await listFailedIds());
  } finally {
    retryAllButton.disabled = false;
  }
}

async function listFailedIds() {
  /** @type {string[]} */
  const ids = [];
  /** @type {string | null} */
  let cursor = null;
  do {
    const page = await listImages({ limit: 100, cursor, query: currentSearch().query, status: "failed" });
    ids.push(...page.data.filter(canRetry).map((image) => image.data.image_id));
    cursor = page.next_cursor;
  } while (cursor);
  return ids;
}

// ---- The URL names the open image or the review, so that "back" closes it and a link opens it

async function openHash() {
  if (location.hash === REVIEW_HASH) return isReviewOpen() ? undefined : openReview();
  if (isReviewOpen()) closeReview();
  const id = location.hash.slice(1);
  if (!/^img_\w+$/.test(id)) {
    if (openImageId()) closeViewer();
    return;
  }
  if (!images.get(id)) await attempt(() => images.fetchOne(id));
  if (images.get(id)) return openViewer(id);
  clearHash();
  if (!byId("offline").hidden) return; // the image may exist
  toast("There is no image at this link. It was deleted, or the link is incomplete.", "Show all images", {
    seconds: 30,
    onDismiss: (reason) => reason === "action" && clearSearch(),
  });
}

function clearHash() {
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
}

const openReviewByUrl = () => void (location.hash = REVIEW_HASH);

/**
 * @param {string} id
 * @param {number} offset
 */
function neighbor(id, offset) {
  const ids = images.shown().map((image) => image.data.image_id);
  return ids.includes(id) ? ids[ids.indexOf(id) + offset] : undefined;
}

initViewer({
  get: (id) => images.get(id),
  refresh: (id) => attempt(() => images.fetchOne(id)),
  neighbor,
  retry: (id) => actions.reprocess([id]),
  remove(id) {
    const shown = neighbor(id, 1) ?? neighbor(id, -1);
    actions.remove([id], () => {
      if (openImageId()) openViewer(id);
      else requestAnimationFrame(() => requestAnimationFrame(() => focusCard(id)));
    });
    if (shown) openViewer(shown);
    else closeViewer();
  },
  onChange: (image) => images.put([image], { hold: false }),
  // Stepping through images replaces the address, so that "back" leaves the viewer.
  onOpen: (id) => history.replaceState(null, "", `#${id}`),
  onClose(id) {
    clearHash();
    focusCard(id);
  },
  searchTag(tag) {
    closeViewer();
    searchTag(tag);
  },
});
initReview({
  onChange: (image) => images.put([image], { hold: false }),
  onClose() {
    if (location.hash === REVIEW_HASH) clearHash();
    byId("open-review").focus();
  },
});
window.addEventListener("hashchange", openHash);
byId("open-review").addEventListener("click", openReviewByUrl);
initSelection(images, actions);
initShortcuts({ review: openReviewByUrl, selectAll, clearSelection });

/** @param {boolean} isHidden */
function hideCaptions(isHidden) {
  document.body.classList.toggle("no-captions", isHidden);
  byId("captions").setAttribute("aria-pressed", String(!isHidden));
}
hideCaptions(localStorage.getItem(CAPTIONS_STORAGE_NAME) === "true");
byId("captions").addEventListener("click", () => {
  const isHidden = !document.body.classList.contains("no-captions");
  hideCaptions(isHidden);
  localStorage.setItem(CAPTIONS_STORAGE_NAME, String(isHidden));
});

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
openHash();
for (;;) {
  const delay = await attempt(refreshModel);
  if (delay === 0) break;
  await new Promise((resolve) => setTimeout(resolve, delay ?? MODEL_RETRY_MS));
}
