// Shows thumbnails in <img> elements: by their URL, or with a key fetched as blob: URLs when they come into view.

import { hasKey, thumbnailAddress, thumbnailBlob } from "./api.js";

const NEAR = "400px"; // fetch thumbnails at this distance from the visible area

const wanted = new Map(); // element → {id, size, shown}
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && wanted.has(target)) load(target);
    }
  },
  { rootMargin: NEAR },
);

async function load(img) {
  const { id, size, shown } = wanted.get(img);
  dropThumbnail(img);
  try {
    const blob = await thumbnailBlob(id, size);
    if (img.dataset.shown !== shown) return; // it shows something newer now
    const url = URL.createObjectURL(blob);
    img.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
    img.addEventListener("error", () => URL.revokeObjectURL(url), { once: true });
    img.src = url;
  } catch {
    if (img.dataset.shown === shown) img.dispatchEvent(new Event("error"));
  }
}

/** Shows a thumbnail; `version` changes when the picture does. */
export function showThumbnail(img, id, size, version) {
  const shown = `${id}/${size}/${version}`;
  if (img.dataset.shown === shown) return;
  img.dataset.shown = shown;
  if (!hasKey()) {
    img.src = thumbnailAddress(id, size, version);
    return;
  }
  wanted.set(img, { id, size, shown });
  watcher.observe(img);
}

/** Replaces a thumbnail with another picture, even if the thumbnail is still loading. */
export function replaceThumbnail(img, url) {
  dropThumbnail(img);
  delete img.dataset.shown;
  img.src = url;
}

/** Stops loading the thumbnail of an element that is removed from the page. */
export function dropThumbnail(img) {
  wanted.delete(img);
  watcher.unobserve(img);
}
