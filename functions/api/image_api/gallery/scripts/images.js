// The images that the page has loaded, kept up to date by polling.

import { ApiError, getImage, hasStatus, isTransient, listImages, messageOf } from "./api.js";
import { isFinished } from "./display.js";

/** @import { ImageResponse, ListResponse } from "../../../types/api.d.ts" */
/** @import { Search } from "./search.js" */

const PAGE_SIZE = 50;
const BUSY_POLL_MS = 1000;
const IDLE_POLL_MS = 4000;
const MAX_POLL_MS = 30000; // while the service does not respond
const SLOW_MS = 400; // a search that takes longer is shown to be running
const MAX_SINGLE_FETCHES = 8; // unfinished images beyond the first page that are fetched in one round

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
  #ids = []; // of the images in the list, in its order
  /** @type {Map<string, ImageResponse>} */
  #held = new Map(); // newer images that are not shown yet
  /** @type {Set<string>} */
  #hidden = new Set(); // about to be deleted
  /** @type {string | null} */
  #cursor = null;
  #ended = false;
  /** @type {Promise<void> | null} */
  #loading = null;
  /** @type {Search} */
  #search = { query: "", status: "", order: "newest" };
  /** @type {string[]} */
  #warnings = [];
  #problem = "";
  #generation = 0;
  #isOutdated = false; // the list is still that of the search before
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

  get search() {
    return this.#search;
  }

  /** What is incomplete about the result of the search. */
  get warnings() {
    return this.#warnings;
  }

  /** Why the API refuses the query; empty if it does not. */
  get problem() {
    return this.#problem;
  }

  /** Whether the images are still those of the search before. */
  get isOutdated() {
    return this.#isOutdated;
  }

  get ended() {
    return this.#ended;
  }

  /** @param {string} id */
  get(id) {
    return this.#byId.get(id) ?? this.#held.get(id);
  }

  /** The loaded images, in the order of the search. */
  shown() {
    return this.#ids.flatMap((id) => (this.#hidden.has(id) ? [] : (this.#byId.get(id) ?? [])));
  }

  /**
   * Loads the images of a search. Those of the search before stay until the first page has arrived.
   * @param {Search} search
   */
  async find(search) {
    this.#generation += 1;
    this.#search = search;
    this.#isOutdated = true;
    this.#cursor = null;
    this.#ended = false;
    this.#loading = null;
    this.#problem = "";
    const timer = setTimeout(() => this.#emit("change", null), SLOW_MS);
    try {
      await this.loadMore();
    } catch (error) {
      if (this.#search !== search || !hasStatus(error, 400)) throw error;
      this.#problem = messageOf(error);
      this.#ended = true;
      this.#emit("change", null);
    } finally {
      clearTimeout(timer);
    }
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
    const page = await this.#list(this.#cursor);
    if (generation !== this.#generation) return;
    if (this.#isOutdated) {
      this.#isOutdated = false;
      this.#byId.clear();
      this.#held.clear();
      this.#ids = [];
    }
    this.#cursor = page.next_cursor;
    this.#ended = page.next_cursor === null;
    this.#warnings = page.warnings;
    this.put(page.data, { hold: false, listed: true });
    this.#emit("change", null); // also if the page was empty
  }

  /**
   * Fetches a page of the current search.
   * @param {string | null} [cursor]
   * @returns {Promise<ListResponse>}
   */
  #list(cursor) {
    return this.#request(() => listImages({ limit: PAGE_SIZE, cursor, ...this.#search }));
  }

  /**
   * Adds or updates images. New ones are held back if `hold` is true, changed ones never. Images that do not belong to the
   * list are kept, but not shown in it; `listed` ones do.
   * @param {ImageResponse[]} images
   * @param {{ hold?: boolean, listed?: boolean }} [options]
   */
  put(images, { hold = this.#holdsNewImages(), listed = false } = {}) {
    let hasChanged = false;
    for (const image of images) {
      const id = image.data.image_id;
      const known = this.get(id);
      const belongs = listed || this.#belongs(image);
      const joinsList = belongs && !this.#ids.includes(id);
      if (this.#held.has(id) || (hold && belongs && !known)) {
        this.#held.set(id, image);
        continue;
      }
      if (!joinsList && JSON.stringify(known) === JSON.stringify(image)) continue;
      this.#byId.set(id, image);
      if (joinsList) this.#insert(image);
      hasChanged = true;
    }
    if (hasChanged) this.#emit("change", null);
    this.#emit("newer", this.#held.size);
  }

  /**
   * Whether a new image is one of the list. Only the API knows what matches a query.
   * @param {ImageResponse} image
   */
  #belongs(image) {
    const { query, status, order } = this.#search;
    // A new image is at the end of the oldest-first list, so it is in the page only if all are loaded.
    return !query && (!status || image.status === status) && (order === "newest" || this.#ended);
  }

  /** Shows the images that were held back. */
  showHeld() {
    const held = [...this.#held.values()];
    this.#held.clear();
    this.put(held, { hold: false, listed: true });
  }

  /**
   * Hides images that are about to be deleted, or shows them again.
   * @param {string[]} ids
   * @param {boolean} hidden
   */
  setHidden(ids, hidden) {
    for (const id of ids) {
      if (hidden) this.#hidden.add(id);
      else this.#hidden.delete(id);
    }
    this.#emit("change", null);
  }

  /** @param {string} id */
  remove(id) {
    this.#held.delete(id);
    if (!this.#byId.delete(id)) return;
    this.#ids = this.#ids.filter((other) => other !== id);
    this.#emit("change", null);
  }

  /** @param {ImageResponse} image */
  #insert({ data: { image_id: id, created_at: created } }) {
    const isOldestFirst = this.#search.order === "oldest";
    const comesFirst = (/** @type {string} */ other) => {
      const otherCreated = this.#byId.get(other)?.data.created_at ?? "";
      const isNewer = otherCreated > created || (otherCreated === created && other > id);
      return isNewer !== isOldestFirst;
    };
    this.#ids.splice(this.#ids.findLastIndex(comesFirst) + 1, 0, id);
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

  /** Fetches the first images of the list, and unfinished images further down. */
  async refresh() {
    if (this.#isOutdated) return this.loadMore();
    const generation = this.#generation;
    const knownIds = new Set(this.#ids);
    const page = await this.#list();
    if (generation !== this.#generation) return;
    const pageIds = new Set(page.data.map((image) => image.data.image_id));
    this.put(page.data, { listed: true });
    // Images that are missing from that page have changed their status, or were deleted.
    const last = page.data.at(-1)?.data.created_at ?? "";
    const isInPage = (/** @type {ImageResponse} */ { data: { created_at: created } }) =>
      page.next_cursor === null || (last && (this.#search.order === "oldest" ? created < last : created > last));
    const missing = [...knownIds].filter((id) => {
      const image = this.#byId.get(id);
      return (
        image &&
        !pageIds.has(id) &&
        isInPage(image) &&
        (!this.#search.status || image.status === this.#search.status)
      );
    });
    const unfinished = this.#ids.filter((id) => {
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
