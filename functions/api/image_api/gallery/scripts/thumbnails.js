// Shows thumbnails in <img> elements: by their URL, or with a key fetched as blob: URLs when they come into view.

import { getThumbnailBlob, hasKey, thumbnailUrl } from "./api.js";

const LOAD_MARGIN = "400px"; // fetch thumbnails at this distance from the visible area

/** @type {Map<Element, { id: string, size: string, shownKey: string }>} */
const pending = new Map(); // thumbnails that are not in view yet

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && target instanceof HTMLImageElement) load(target);
    }
  },
  { rootMargin: LOAD_MARGIN },
);

/** @param {HTMLImageElement} img */
async function load(img) {
  const thumbnail = pending.get(img);
  if (!thumbnail) return;
  const { id, size, shownKey } = thumbnail;
  dropThumbnail(img);
  try {
    const blob = await getThumbnailBlob(id, size);
    if (img.dataset.shownKey !== shownKey) return; // it shows something newer now
    const url = URL.createObjectURL(blob);
    img.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
    img.addEventListener("error", () => URL.revokeObjectURL(url), { once: true });
    img.src = url;
  } catch {
    if (img.dataset.shownKey === shownKey) img.dispatchEvent(new Event("error"));
  }
}

/**
 * Shows a thumbnail; `version` changes when the picture does.
 * @param {HTMLImageElement} img
 * @param {string} id
 * @param {string} size
 * @param {string} version
 */
export function showThumbnail(img, id, size, version) {
  const shownKey = `${id}/${size}/${version}`;
  if (img.dataset.shownKey === shownKey) return;
  img.dataset.shownKey = shownKey;
  if (!hasKey()) {
    img.src = thumbnailUrl(id, size, version);
    return;
  }
  pending.set(img, { id, size, shownKey });
  observer.observe(img);
}

/**
 * Replaces a thumbnail with another picture, even if the thumbnail is still loading.
 * @param {HTMLImageElement} img
 * @param {string} url
 */
export function replaceThumbnail(img, url) {
  dropThumbnail(img);
  delete img.dataset.shownKey;
  img.src = url;
}

/**
 * Stops loading the thumbnail of an element that is removed from the page.
 * @param {HTMLImageElement} img
 */
export function dropThumbnail(img) {
  pending.delete(img);
  observer.unobserve(img);
}
