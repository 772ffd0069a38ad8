// The images that the page has loaded, kept up to date by polling.

import { ApiError, getImage, listImages } from "./api.js";

const PAGE_SIZE = 50;
const BUSY_POLL_MS = 1000;
const IDLE_POLL_MS = 4000;
const MAX_POLL_MS = 30000; // while the service does not respond
const MAX_SINGLE_FETCHES = 8; // unfinished images beyond the first page that are fetched in one round

const FINISHED = new Set(["success", "failed"]);

/** Whether processing of this image has ended. */
export const isFinished = (image) => FINISHED.has(image.status);

/**
 * Emits `change` when images are added, changed or removed (`detail`: the ids), `newer` with the number of images that
 * wait to be shown, and `connection` with an error or null.
 */
export class Images extends EventTarget {
  #byId = new Map();
  #order = []; // ids, newest first
  #held = new Map(); // newer images that are not shown yet
  #hidden = new Set(); // about to be deleted
  #cursor = null;
  #ended = false;
  #loading = null;
  #status = "";
  #generation = 0;
  #timer = null;
  #delay = IDLE_POLL_MS;
  #holdsNewImages = () => false;

  /** `holdsNewImages()` returns whether new images must wait, because showing them would move the images in view. */
  constructor(holdsNewImages) {
    super();
    this.#holdsNewImages = holdsNewImages;
  }

  get status() {
    return this.#status;
  }

  get ended() {
    return this.#ended;
  }

  get(id) {
    return this.#byId.get(id) ?? this.#held.get(id);
  }

  /** The loaded images, newest first. */
  shown() {
    return this.#order.filter((id) => !this.#hidden.has(id)).map((id) => this.#byId.get(id));
  }

  /** Reloads the list with the images of one status, or of all. */
  async filter(status) {
    this.#generation += 1;
    this.#status = status;
    this.#byId.clear();
    this.#held.clear();
    this.#order = [];
    this.#cursor = null;
    this.#ended = false;
    this.#loading = null;
    this.#emit("change", null);
    await this.loadMore();
    this.pollNow();
  }

  /** Loads the next page. Overlapping calls share one request. */
  loadMore() {
    if (this.#ended) return Promise.resolve();
    this.#loading ??= this.#load().finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #load() {
    const generation = this.#generation;
    const page = await this.#request(() =>
      listImages({ limit: PAGE_SIZE, cursor: this.#cursor, status: this.#status }),
    );
    if (generation !== this.#generation) return;
    this.#cursor = page.next_cursor;
    this.#ended = page.next_cursor === null;
    this.put(page.data, { hold: false });
    this.#emit("change", null); // also if the page was empty
  }

  /** Adds or updates images. New ones are held back if `hold` is true, changed ones never. */
  put(images, { hold = this.#holdsNewImages() } = {}) {
    const changed = [];
    for (const image of images) {
      const id = image.data.image_id;
      const known = this.get(id);
      if (this.#status && image.status !== this.#status && !known) continue;
      if (!known && hold) {
        this.#held.set(id, image);
      } else if (this.#held.has(id)) {
        this.#held.set(id, image);
      } else if (!known || JSON.stringify(known) !== JSON.stringify(image)) {
        if (!known) this.#insert(id, image.data);
        this.#byId.set(id, image);
        changed.push(id);
      }
    }
    if (changed.length) this.#emit("change", changed);
    this.#emit("newer", this.#held.size);
  }

  /** Shows the images that were held back. */
  showHeld() {
    const held = [...this.#held.values()];
    this.#held.clear();
    this.put(held, { hold: false });
  }

  /** Hides images that are about to be deleted, or shows them again. */
  setHidden(id, hidden) {
    if (hidden) this.#hidden.add(id);
    else this.#hidden.delete(id);
    this.#emit("change", [id]);
  }

  remove(id) {
    this.#held.delete(id);
    if (!this.#byId.delete(id)) return;
    this.#order.splice(this.#order.indexOf(id), 1);
    this.#emit("change", [id]);
  }

  #insert(id, data) {
    // The position is nearly always at one of the two ends.
    let index = this.#order.length;
    const older = (other) => {
      const created = this.#byId.get(other).data.created_at;
      return created < data.created_at || (created === data.created_at && other < id);
    };
    if (index && older(this.#order[0])) index = 0;
    else while (index && older(this.#order[index - 1])) index -= 1;
    this.#order.splice(index, 0, id);
    this.#byId.set(id, { data });
  }

  /** Starts polling: often while images are being processed, never while the page is hidden. */
  start() {
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.pollNow();
    });
    this.pollNow();
  }

  /** Polls again immediately. */
  pollNow() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#poll(), 0);
  }

  async #poll() {
    let delay;
    try {
      await this.refresh();
      delay = this.shown().every(isFinished) ? IDLE_POLL_MS : BUSY_POLL_MS;
      this.#delay = BUSY_POLL_MS;
      this.#emit("polled", null);
    } catch (error) {
      // Any error may be gone in the next round, so polling never stops.
      if (!(error instanceof ApiError)) console.error(error);
      delay = Math.max((error.retryAfter ?? 0) * 1000, Math.min(this.#delay * 2, MAX_POLL_MS));
      this.#delay = delay;
    }
    clearTimeout(this.#timer);
    if (document.visibilityState === "visible") this.#timer = setTimeout(() => this.#poll(), delay);
  }

  /** Fetches the newest images, and unfinished images further down. */
  async refresh() {
    const generation = this.#generation;
    const knownIds = new Set(this.#order);
    const page = await this.#request(() => listImages({ limit: PAGE_SIZE, status: this.#status }));
    if (generation !== this.#generation) return;
    const pageIds = new Set(page.data.map((image) => image.data.image_id));
    this.put(page.data);
    // Images that are missing from that page have changed their status, or were deleted.
    const oldest = page.next_cursor === null ? "" : page.data.at(-1)?.data.created_at;
    const missing = [...knownIds].filter((id) => {
      const image = this.#byId.get(id);
      return (
        image &&
        !pageIds.has(id) &&
        image.data.created_at > oldest &&
        (!this.#status || image.status === this.#status)
      );
    });
    const unfinished = this.#order.filter((id) => !pageIds.has(id) && !isFinished(this.#byId.get(id)));
    const ids = [...new Set([...missing, ...unfinished])].slice(0, MAX_SINGLE_FETCHES);
    await Promise.all(ids.map((id) => this.fetchOne(id)));
  }

  /** Fetches one image; removes it if it no longer exists. */
  async fetchOne(id) {
    try {
      const image = await this.#request(() => getImage(id));
      this.put([image], { hold: false });
    } catch (error) {
      if (error.status !== 404) throw error;
      this.remove(id);
    }
  }

  async #request(send) {
    try {
      const response = await send();
      this.#emit("connection", null);
      return response;
    } catch (error) {
      if (error.transient) this.#emit("connection", error);
      throw error;
    }
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
