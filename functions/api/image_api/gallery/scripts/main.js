// The page: connects what happens to what is shown.

import { deleteImage, onKeyNeeded, reprocess } from "./api.js";
import { focusCard, render, setPreview } from "./cards.js";
import { closeDetail, installDetail, openDetail, openImage, updateDetail } from "./detail.js";
import { announce, byId, count, el, setText, toast } from "./dom.js";
import { filesOfDrop, picturesAmong } from "./files.js";
import { Images, isFinished } from "./images.js";
import { refreshModel, refreshStatistics } from "./statistics.js";
import { installUploads, upload, uploadsAreOpen } from "./uploads.js";
import { matches } from "./words.js";

const UNDO_SECONDS = 5;
const TOP_PIXELS = 300; // scrolled further down, new images wait until they are asked for

const images = new Images(() => window.scrollY > TOP_PIXELS);
let drawing = false;
let openBefore = new Set(); // unfinished images, to tell when they are done

// ---- what is shown

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
    tellWhatIsDone();
  });
}

function drawEmpty(number, query) {
  const empty = byId("empty");
  empty.hidden = number > 0 || !images.ended;
  if (empty.hidden) return;
  const first = !query && !images.status;
  const lines = first
    ? [el("h2", { text: "No pictures yet" }), el("p", { text: "Drop photos anywhere on this page, paste one, or pick some. Each gets thumbnails, its metadata and a caption." })]
    : [el("h2", { text: "Nothing found" }), el("p", { text: query ? "The search looks at what is loaded; further images load as you scroll." : "No image has this status now." })];
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
  setText(byId("newer"), `${count(detail, "new image")}: show`);
});
images.addEventListener("connection", ({ detail }) => {
  const offline = byId("offline");
  offline.hidden = detail === null;
  setText(offline, detail === null ? "" : `${detail.message} Trying again …`);
});
images.addEventListener("round", () => refreshStatistics().catch(() => {})); // the next round tries again

byId("newer").addEventListener("click", () => {
  images.release();
  window.scrollTo({ top: 0, behavior: "instant" });
});
byId("search").addEventListener("input", draw);
byId("status").addEventListener("change", () => attempt(() => images.filter(byId("status").value)));
byId("retry-all").addEventListener("click", () => found().filter((image) => image.status === "failed").forEach((image) => retry(image.data.image_id)));

new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && more(), { rootMargin: "800px" }).observe(byId("more"));

async function more() {
  if (images.ended) return;
  setText(byId("more"), "Loading …");
  await attempt(() => images.loadMore());
  setText(byId("more"), "");
  // A page that did not fill the window leaves the end in sight, which the observer does not tell twice.
  if (!images.ended && byId("more").getBoundingClientRect().top < window.innerHeight + 800) requestAnimationFrame(more);
}

// ---- what is done

async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (!error.transient) toast(error.message);
    return null;
  }
}

async function retry(id) {
  const answer = await attempt(() => reprocess(id));
  if (answer) images.put([{ status: answer.status, data: answer.data, error: null }], { hold: false });
  images.refreshSoon();
}

function remove(id) {
  closeDetail();
  images.hide(id, true);
  toast("The image is deleted", "Undo", {
    seconds: UNDO_SECONDS,
    onend: async (reason) => {
      if (reason === "action") {
        images.hide(id, false);
        requestAnimationFrame(() => requestAnimationFrame(() => focusCard(id)));
        return;
      }
      try {
        await deleteImage(id);
        images.forget(id);
      } catch (error) {
        toast(`Not deleted: ${error.message}`);
      }
      images.hide(id, false);
      images.refreshSoon();
    },
  });
}

function take(files) {
  const [pictures, others] = picturesAmong([...files]);
  if (others) toast(`${count(others, "file")} left out: not pictures.`);
  if (pictures.length) upload(pictures);
}

// ---- the open image is in the address, so that "back" closes it and a link opens it

async function followHash() {
  const id = decodeURIComponent(location.hash.slice(1));
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
  neighbour(id, by) {
    const ids = found().map((image) => image.data.image_id);
    return ids.includes(id) ? ids[ids.indexOf(id) + by] : undefined;
  },
  retry,
  remove,
  changed: (answer) => images.put([answer], { hold: false }),
  closed(id) {
    if (location.hash) history.replaceState(null, "", location.pathname + location.search);
    focusCard(id);
  },
});
window.addEventListener("hashchange", followHash);

// ---- files come in

const inputs = { pick: "files", "pick-folder": "folder", "take-photo": "camera" };
for (const [button, input] of Object.entries(inputs)) {
  byId(button).addEventListener("click", () => byId(input).click());
  byId(input).addEventListener("change", (event) => {
    take(event.target.files);
    event.target.value = ""; // so that the same file can be picked again
  });
}
document.addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) take(event.clipboardData.files);
});

let dragDepth = 0;
const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
const dragging = (change) => {
  dragDepth = Math.max(0, dragDepth + change);
  byId("drop-target").classList.toggle("over", dragDepth > 0);
};
document.addEventListener("dragenter", (event) => holdsFiles(event) && dragging(1));
document.addEventListener("dragleave", (event) => holdsFiles(event) && dragging(-1));
document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
document.addEventListener("drop", async (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  dragDepth = 0;
  dragging(0);
  take(await filesOfDrop(event.dataTransfer));
});

installUploads(async (id, preview) => {
  setPreview(id, preview);
  await attempt(() => images.look(id));
  images.refreshSoon();
});
window.addEventListener("beforeunload", (event) => uploadsAreOpen() && event.preventDefault());

// ---- the key

onKeyNeeded(async (wrong) => {
  const dialog = byId("key-dialog");
  setText(byId("key-text"), wrong ? "That key was refused." : "This stack wants a key. It is kept for this tab only.");
  byId("key").value = "";
  if (!dialog.open) dialog.showModal();
  await new Promise((resolve) => byId("key-form").addEventListener("submit", resolve, { once: true }));
  return byId("key").value;
});
byId("key-dialog").addEventListener("cancel", (event) => event.preventDefault()); // nothing works without it

// ---- and off it goes

await attempt(() => images.filter(""));
images.start();
followHash();
// The processor names its model once it has loaded it.
for (let looks = 0; looks < 60 && !(await attempt(refreshModel)); looks += 1) await new Promise((r) => setTimeout(r, 5000));
