// The images that the page has loaded, kept up to date by polling.

import { ApiError, getImage, hasStatus, isTransient, listImages } from "./api.js";

/** @import { ImageResponse, Status } from "../../../types/api.d.ts" */

const PAGE_SIZE = 50;
const BUSY_POLL_MS = 1000;
const IDLE_POLL_MS = 4000;
const MAX_POLL_MS = 30000; // while the service does not respond
const MAX_SINGLE_FETCHES = 8; // unfinished images beyond the first page that are fetched in one round

/**
 * Whether processing of this image has ended.
 * @param {ImageResponse} image
 */
export const isFinished = (image) => image.status === "success" || image.status === "failed";

/**
 * @typedef {object} ImageEvents
 * @property {null} change images were added, changed or removed
 * @property {number} newer how many images wait to be shown
 * @property {ApiError | null} connection the error while the service does not respond, null once it does
 * @property {null} polled a poll succeeded
 */

/** Emits `ImageEvents`. */
export class Images extends EventTarget {
  /** @type {Map<string, ImageResponse>} */
  #byId = new Map();
  /** @type {string[]} */
  #order = []; // ids, newest first
  /** @type {Map<string, ImageResponse>} */
  #held = new Map(); // newer images that are not shown yet
  /** @type {Set<string>} */
  #hidden = new Set(); // about to be deleted
  /** @type {string | null} */
  #cursor = null;
  #ended = false;
  /** @type {Promise<void> | null} */
  #loading = null;
  /** @type {Status | ""} */
  #status = "";
  #generation = 0;
  /** @type {number | undefined} */
  #timer;
  #delay = IDLE_POLL_MS;
  #holdsNewImages;

  /**
   * @param {() => boolean} holdsNewImages whether new images must wait, because showing them would move those in view
   */
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

  /** @param {string} id */
  get(id) {
    return this.#byId.get(id) ?? this.#held.get(id);
  }

  /** The loaded images, newest first. */
  shown() {
    return this.#order.flatMap((id) => (this.#hidden.has(id) ? [] : (this.#byId.get(id) ?? [])));
  }

  /**
   * Reloads the list with the images of one status, or of all.
   * @param {Status | ""} status
   */
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
    if (this.#loading) return this.#loading;
    const loading = this.#load().finally(() => {
      if (this.#loading === loading) this.#loading = null; // not that of a filter chosen since
    });
    this.#loading = loading;
    return loading;
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

  /**
   * Adds or updates images. New ones are held back if `hold` is true, changed ones never.
   * @param {ImageResponse[]} images
   * @param {{ hold?: boolean }} [options]
   */
  put(images, { hold = this.#holdsNewImages() } = {}) {
    let hasChanged = false;
    for (const image of images) {
      const id = image.data.image_id;
      const known = this.get(id);
      if (this.#status && image.status !== this.#status && !known) continue;
      if (!known && hold) {
        this.#held.set(id, image);
      } else if (this.#held.has(id)) {
        this.#held.set(id, image);
      } else if (!known || JSON.stringify(known) !== JSON.stringify(image)) {
        if (!known) this.#insert(image);
        this.#byId.set(id, image);
        hasChanged = true;
      }
    }
    if (hasChanged) this.#emit("change", null);
    this.#emit("newer", this.#held.size);
  }

  /** Shows the images that were held back. */
  showHeld() {
    const held = [...this.#held.values()];
    this.#held.clear();
    this.put(held, { hold: false });
  }

  /**
   * Hides an image that is about to be deleted, or shows it again.
   * @param {string} id
   * @param {boolean} hidden
   */
  setHidden(id, hidden) {
    if (hidden) this.#hidden.add(id);
    else this.#hidden.delete(id);
    this.#emit("change", null);
  }

  /** @param {string} id */
  remove(id) {
    this.#held.delete(id);
    if (!this.#byId.delete(id)) return;
    this.#order.splice(this.#order.indexOf(id), 1);
    this.#emit("change", null);
  }

  /** @param {ImageResponse} image */
  #insert({ data: { image_id: id, created_at: created } }) {
    const isNewer = (/** @type {string} */ other) => {
      const otherCreated = this.#byId.get(other)?.data.created_at ?? "";
      return otherCreated > created || (otherCreated === created && other > id);
    };
    this.#order.splice(this.#order.findLastIndex(isNewer) + 1, 0, id);
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
      const retryAfter = (error instanceof ApiError && error.retryAfter) || 0;
      delay = Math.max(retryAfter * 1000, Math.min(this.#delay * 2, MAX_POLL_MS));
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
        oldest !== undefined &&
        image.data.created_at > oldest &&
        (!this.#status || image.status === this.#status)
      );
    });
    const unfinished = this.#order.filter((id) => {
      const image = this.#byId.get(id);
      return image && !pageIds.has(id) && !isFinished(image);
    });
    const ids = [...new Set([...missing, ...unfinished])].slice(0, MAX_SINGLE_FETCHES);
    await Promise.all(ids.map((id) => this.fetchOne(id)));
  }

  /**
   * Fetches one image; removes it if it no longer exists.
   * @param {string} id
   */
  async fetchOne(id) {
    try {
      const image = await this.#request(() => getImage(id));
      this.put([image], { hold: false });
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
      this.remove(id);
    }
  }

  /**
   * Sends a request and emits whether the service responded.
   * @template T
   * @param {() => Promise<T>} send
   */
  async #request(send) {
    try {
      const response = await send();
      this.#emit("connection", null);
      return response;
    } catch (error) {
      if (isTransient(error)) this.#emit("connection", error);
      throw error;
    }
  }

  /**
   * @template {keyof ImageEvents} K
   * @param {K} type
   * @param {(detail: ImageEvents[K]) => void} listener
   */
  on(type, listener) {
    this.addEventListener(type, (event) => listener(/** @type {CustomEvent} */ (event).detail));
  }

  /**
   * @template {keyof ImageEvents} K
   * @param {K} type
   * @param {ImageEvents[K]} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
