// The page: connects events to the parts that show them.

import { deleteImage, listImages, reprocess } from "./api.js";
import { focusCard, render, setPreview } from "./cards.js";
import { closeDetail, installDetail, openDetail, openImage, updateDetail } from "./detail.js";
import { announce, byId, count, el, setText, toast } from "./dom.js";
import { Images, isFinished } from "./images.js";
import { installIncoming } from "./incoming.js";
import { installKey } from "./key.js";
import { refreshModel, refreshStatistics } from "./statistics.js";
import { installUploads, upload, uploadsAreOpen } from "./uploads.js";
import { matches } from "./display.js";

const UNDO_SECONDS = 5;
const RETRIES_AT_ONCE = 4;
const MORE_AGAIN_MS = 4000; // if loading the next page failed
const MODEL_AGAIN_MS = 5000; // if loading the caption model's name failed
const TOP_PIXELS = 300; // if the user has scrolled further down, new images wait behind a button

const images = new Images(() => window.scrollY > TOP_PIXELS);
let drawing = false;
let openBefore = new Set(); // unfinished images, to announce when they are done

// ---- Display

const actions = { open: (id) => (location.hash = id), retry: retry };

function found() {
  const query = byId("search").value.trim();
  const shown = images.shown();
  return query ? shown.filter((image) => matches(image, query)) : shown;
}

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const shown = found();
    render(shown, actions);
    const query = byId("search").value.trim();
    setText(byId("found"), query ? `${count(shown.length, "image")} found` : "");
    byId("retry-all").hidden = images.status !== "failed" || shown.length === 0;
    byId("images").classList.toggle("ended", images.ended);
    drawEmpty(shown.length, query);
    const open = openImage() && images.get(openImage());
    if (open) updateDetail(open);
    else if (openImage()) {
      closeDetail();
      toast("This image was deleted elsewhere.");
    }
    tellWhatIsDone();
  });
}

function drawEmpty(number, query) {
  const empty = byId("empty");
  empty.hidden = number > 0 || !images.ended;
  if (empty.hidden) return;
  const first = !query && !images.status;
  const lines = first
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

function tellWhatIsDone() {
  const open = new Set();
  const done = [];
  for (const image of images.shown()) {
    const id = image.data.image_id;
    if (!isFinished(image)) open.add(id);
    else if (openBefore.has(id)) done.push(image);
  }
  openBefore = open;
  const failed = done.filter((image) => image.status === "failed").length;
  if (done.length) announce(`${count(done.length, "image")} finished${failed ? `, ${failed} failed` : ""}`);
}

images.addEventListener("change", draw);
images.addEventListener("newer", ({ detail }) => {
  byId("newer").hidden = detail === 0;
  setText(byId("newer"), `Show ${count(detail, "new image")}`);
});
images.addEventListener("connection", ({ detail }) => {
  const offline = byId("offline");
  offline.hidden = detail === null;
  setText(offline, detail === null ? "" : `${detail.message} Retrying …`);
});
images.addEventListener("round", () => refreshStatistics().catch(() => {})); // the next round retries

byId("newer").addEventListener("click", () => {
  images.release();
  window.scrollTo({ top: 0, behavior: "instant" });
});
byId("search").addEventListener("input", draw);
byId("status").addEventListener("change", () => attempt(() => images.filter(byId("status").value)));
byId("retry-all").addEventListener("click", () => attempt(retryAll));

new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && more(), {
  rootMargin: "800px",
}).observe(byId("more"));

async function more() {
  if (images.ended) return;
  setText(byId("more"), "Loading …");
  try {
    await images.loadMore();
  } catch (error) {
    if (error.transient) setTimeout(more, MORE_AGAIN_MS);
    else toast(error.message);
    return;
  } finally {
    setText(byId("more"), "");
  }
  // If a page did not fill the window, the end is still visible, and the observer does not fire again.
  if (!images.ended && byId("more").getBoundingClientRect().top < window.innerHeight + 800)
    requestAnimationFrame(more);
}

// ---- Actions

async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (!error.transient) toast(error.message);
    return null;
  }
}

async function retry(id) {
  const response = await attempt(() => reprocess(id));
  if (response) images.put([{ status: response.status, data: response.data, error: null }], { hold: false });
  images.refreshSoon();
}

/** Retries all failed images, loaded or not. With a search, only the images found. */
async function retryAll() {
  const button = byId("retry-all");
  button.disabled = true;
  try {
    const ids = byId("search").value.trim() ? found().map((image) => image.data.image_id) : await allThatFailed();
    let done = 0;
    const work = async () => {
      for (let id = ids.pop(); id; id = ids.pop()) {
        if (await attempt(() => reprocess(id))) done += 1;
      }
    };
    await Promise.all(Array.from({ length: RETRIES_AT_ONCE }, work));
    toast(`Reprocessing ${count(done, "image")}.`);
  } finally {
    button.disabled = false;
    images.refreshSoon();
  }
}

async function allThatFailed() {
  const ids = [];
  for (let cursor = null, first = true; first || cursor; first = false) {
    const page = await listImages({ limit: 100, cursor, status: "failed" });
    ids.push(...page.data.map((image) => image.data.image_id));
    cursor = page.next_cursor;
  }
  return ids;
}

function remove(id) {
  closeDetail();
  images.hide(id, true);
  const end = toast("Image deleted", "Undo", {
    seconds: UNDO_SECONDS,
    onend: async (reason) => {
      window.removeEventListener("pagehide", end);
      if (reason === "action") {
        images.hide(id, false);
        requestAnimationFrame(() => requestAnimationFrame(() => focusCard(id)));
        return;
      }
      try {
        await deleteImage(id);
        images.forget(id);
      } catch (error) {
        toast(`The image was not deleted: ${error.message}`);
      }
      images.hide(id, false);
      images.refreshSoon();
    },
  });
  window.addEventListener("pagehide", end); // leaving the page does not undo
}

// ---- The URL names the open image, so that "back" closes it and a link opens it

async function followHash() {
  const id = location.hash.slice(1);
  if (!/^img_\w+$/.test(id)) {
    if (openImage()) closeDetail();
    return;
  }
  if (!images.get(id)) await attempt(() => images.look(id));
  if (images.get(id)) openDetail(id);
  else history.replaceState(null, "", location.pathname + location.search);
}

installDetail({
  get: (id) => images.get(id),
  refresh: (id) => attempt(() => images.look(id)),
  neighbour(id, by) {
    const ids = found().map((image) => image.data.image_id);
    return ids.includes(id) ? ids[ids.indexOf(id) + by] : undefined;
  },
  retry,
  remove,
  changed: (image) => images.put([image], { hold: false }),
  closed(id) {
    if (location.hash) history.replaceState(null, "", location.pathname + location.search);
    focusCard(id);
  },
});
window.addEventListener("hashchange", followHash);

// ---- Incoming files

installIncoming(upload);
installUploads(async (id, preview) => {
  setPreview(id, preview);
  await attempt(() => images.look(id));
  images.refreshSoon();
});
window.addEventListener("beforeunload", (event) => uploadsAreOpen() && event.preventDefault());

// ---- Start

installKey();
await attempt(() => images.filter(""));
images.start();
followHash();
for (;;) {
  const pause = await attempt(refreshModel);
  if (pause === 0) break;
  await new Promise((resolve) => setTimeout(resolve, pause ?? MODEL_AGAIN_MS));
}
