// What users do to one image or to many: reprocess, delete with undo, add tags, download, copy texts.

import {
  deleteImage,
  getImage,
  getOriginalUrl,
  hasStatus,
  isTransient,
  messageOf,
  patchImage,
  reprocessImage,
} from "./api.js";
import { altText } from "./display.js";
import { clickLink, copyText, pluralize, toast } from "./dom.js";

/** @import { ImageResponse } from "../../../types/api.d.ts" */
/** @import { Images } from "./images.js" */

const UNDO_SECONDS = 6;
const MAX_CONCURRENT_CALLS = 4;
const DOWNLOAD_PAUSE_MS = 400; // browsers drop downloads that start at the same time

/**
 * Runs an action and shows its error. Resolves to null after an error. Transient errors need no message here: polling
 * shows that the service does not respond.
 * @template T
 * @param {() => Promise<T>} action
 */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (!isTransient(error)) toast(messageOf(error));
    return null;
  }
}

/**
 * Calls the API for each image, a few at a time. Shows how many calls failed, and resolves to how many succeeded.
 * @param {string[]} ids
 * @param {(id: string) => Promise<unknown>} call
 */
async function forEach(ids, call) {
  const waiting = [...ids];
  let message = "";
  let failed = 0;
  const worker = async () => {
    for (let id = waiting.shift(); id; id = waiting.shift()) {
      try {
        await call(id);
      } catch (error) {
        failed += 1;
        message = messageOf(error);
      }
    }
  };
  await Promise.all(Array.from({ length: MAX_CONCURRENT_CALLS }, worker));
  if (failed) toast(`${failed === ids.length ? "" : `${pluralize(failed, "image")}: `}${message}`);
  return ids.length - failed;
}

/**
 * Returns the actions on the images of the page.
 * @param {Images} images
 */
export function imageActions(images) {
  /** @param {string[]} ids */
  async function reprocess(ids) {
    const done = await forEach(ids, async (id) => {
      const { status, data } = await reprocessImage(id);
      images.put([{ status, data, error: null }], { hold: false });
    });
    if (ids.length > 1) toast(`Reprocessing ${pluralize(done, "image")}.`);
    images.pollNow();
  }

  /**
   * Hides images at once, and deletes them when they can no longer be brought back.
   * @param {string[]} ids
   * @param {() => void} [onUndo]
   */
  function remove(ids, onUndo = () => {}) {
    images.setHidden(ids, true);
    const dismiss = toast(
      ids.length === 1 ? "Image deleted" : `${pluralize(ids.length, "image")} deleted`,
      "Undo",
      {
        seconds: UNDO_SECONDS,
        onDismiss: async (reason) => {
          window.removeEventListener("pagehide", dismiss);
          if (reason === "action") {
            images.setHidden(ids, false);
            return onUndo();
          }
          await forEach(ids, async (id) => {
            await deleteImage(id);
            images.remove(id);
          });
          images.setHidden(ids, false);
          images.pollNow();
        },
      },
    );
    window.addEventListener("pagehide", dismiss); // leaving the page does not undo
  }

  /**
   * @param {string[]} ids
   * @param {string[]} added
   */
  async function addTags(ids, added) {
    const done = await forEach(ids, (id) => addTagsTo(id, added));
    toast(`${pluralize(done, "image")} tagged`);
  }

  /**
   * @param {string} id
   * @param {string[]} added
   */
  async function addTagsTo(id, added) {
    for (let isRetry = false; ; isRetry = true) {
      const { data } = await getImage(id);
      try {
        const { warnings: _, ...changed } = await patchImage(
          id,
          { tags: [...data.tags, ...added] },
          data.text_etag,
        );
        return images.put([changed], { hold: false });
      } catch (error) {
        if (isRetry || !hasStatus(error, 412)) throw error; // once again with somebody else's change
      }
    }
  }

  /** @param {string[]} ids */
  async function download(ids) {
    for (const id of ids) {
      const url = await attempt(() => getOriginalUrl(id));
      if (url) clickLink(url);
      await new Promise((resolve) => setTimeout(resolve, DOWNLOAD_PAUSE_MS));
    }
  }

  /**
   * Copies "name, tab, text" for each image, which pastes as two columns.
   * @param {string[]} ids
   */
  function copyAltTexts(ids) {
    const chosen = ids.map((id) => images.get(id)).filter((image) => image !== undefined);
    const line = (/** @type {ImageResponse} */ image) => `${image.data.original_name}\t${altText(image)}`;
    return copyText(chosen.map(line).join("\n"), ids.length === 1 ? "Alt text" : "Alt texts");
  }

  return { reprocess, remove, addTags, download, copyAltTexts };
}
