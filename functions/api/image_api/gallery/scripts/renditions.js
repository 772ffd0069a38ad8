// Shows renditions in <img> elements: by their URL, or with a key fetched as blob: URLs when they come into view.

import { getRenditionBlob, hasKey, renditionUrl } from "./api.js";

/** @import { Rendition } from "../../../types/api.d.ts" */

const LOAD_MARGIN = "400px"; // fetch pictures at this distance from the visible area
const ENOUGH = 0.65; // of the screen's pixels; a picture with fewer would look blurred

/** @type {Map<Element, { id: string, rendition: Rendition, shownKey: string }>} */
const pending = new Map(); // pictures that are not in view yet

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && target instanceof HTMLImageElement) load(target);
    }
  },
  { rootMargin: LOAD_MARGIN },
);

/**
 * The smallest rendition that is sharp in a box of this size, else the largest; undefined without renditions.
 * `srcset` would choose one too, but it sends no API key.
 * @param {Rendition[]} renditions
 * @param {{ width: number, height: number, fit: "cover" | "contain" }} box in CSS pixels
 */
export function renditionFor(renditions, { width, height, fit }) {
  const bySize = renditions.toSorted((a, b) => a.width * a.height - b.width * b.height);
  const pixelRatio = savesData() ? 1 : window.devicePixelRatio;
  const isSharp = (/** @type {Rendition} */ rendition) => {
    const sides = [rendition.width / width, rendition.height / height];
    return (fit === "cover" ? Math.min(...sides) : Math.max(...sides)) >= ENOUGH * pixelRatio;
  };
  return bySize.find(isSharp) ?? bySize.at(-1);
}

/** Whether the user asked for a reduced data usage. */
export const savesData = () => "connection" in navigator && Object(navigator.connection).saveData === true;

/** @param {HTMLImageElement} img */
async function load(img) {
  const waiting = pending.get(img);
  if (!waiting) return;
  const { id, rendition, shownKey } = waiting;
  dropRendition(img);
  try {
    const blob = await getRenditionBlob(id, rendition);
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
 * Shows a rendition of the image `id`.
 * @param {HTMLImageElement} img
 * @param {string} id
 * @param {Rendition} rendition
 */
export function showRendition(img, id, rendition) {
  const shownKey = renditionUrl(id, rendition);
  if (img.dataset.shownKey === shownKey) return;
  img.dataset.shownKey = shownKey;
  if (!hasKey()) {
    img.src = shownKey;
    return;
  }
  pending.set(img, { id, rendition, shownKey });
  observer.observe(img);
}

/**
 * Loads a rendition into the browser's cache.
 * @param {string} id
 * @param {Rendition} rendition
 */
export function preloadRendition(id, rendition) {
  if (savesData()) return;
  if (hasKey())
    getRenditionBlob(id, rendition).catch(() => {}); // it is loaded again when it is shown
  else new Image().src = renditionUrl(id, rendition);
}

/**
 * Replaces a rendition with another picture, even if the rendition is still loading.
 * @param {HTMLImageElement} img
 * @param {string} url
 */
export function replaceRendition(img, url) {
  dropRendition(img);
  delete img.dataset.shownKey;
  img.src = url;
}

/**
 * Stops loading the rendition of an element that is removed from the page.
 * @param {HTMLImageElement} img
 */
export function dropRendition(img) {
  pending.delete(img);
  observer.unobserve(img);
}
