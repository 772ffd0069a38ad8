// Shows thumbnails in <img> elements: by their URL, or with a key fetched as blob: URLs when they come into view.

import { getThumbnailBlob, hasKey, thumbnailUrl } from "./api.js";

const LOAD_MARGIN = "400px"; // fetch thumbnails at this distance from the visible area

const pending = new Map(); // element → {id, size, shownKey}
const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && pending.has(target)) load(target);
    }
  },
  { rootMargin: LOAD_MARGIN },
);

async function load(img) {
  const { id, size, shownKey } = pending.get(img);
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

/** Shows a thumbnail; `version` changes when the picture does. */
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

/** Replaces a thumbnail with another picture, even if the thumbnail is still loading. */
export function replaceThumbnail(img, url) {
  dropThumbnail(img);
  delete img.dataset.shownKey;
  img.src = url;
}

/** Stops loading the thumbnail of an element that is removed from the page. */
export function dropThumbnail(img) {
  pending.delete(img);
  observer.unobserve(img);
}
