// The ways to add files: the pickers, the clipboard, a drop anywhere on the page.

import { messageOf } from "./api.js";
import { bringToFront, byId, pluralize, toast } from "./dom.js";
import { droppedFiles, splitPictures } from "./files.js";

const INPUT_IDS_BY_BUTTON = { pick: "files", "pick-folder": "folder", "take-photo": "camera" };

let dragDepth = 0; // dragenter and dragleave fire for every element on the way

/**
 * Passes the pictures among added files to `onPictures`; shows a message about other files.
 * @param {(pictures: File[]) => void} onPictures
 */
export function initFileSources(onPictures) {
  /** @param {Iterable<File>} files */
  const addPictures = (files) => {
    const [pictures, skipped] = splitPictures([...files]);
    if (skipped) toast(`${pluralize(skipped, "file")} skipped (not images).`);
    if (pictures.length) onPictures(pictures);
  };
  for (const [buttonId, inputId] of Object.entries(INPUT_IDS_BY_BUTTON)) {
    const input = byId(inputId, HTMLInputElement);
    byId(buttonId).addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      addPictures(input.files ?? []);
      input.value = ""; // so that the same file can be picked again
    });
  }
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) addPictures(event.clipboardData.files);
  });
  document.addEventListener("dragenter", (event) => hasFiles(event) && changeDragDepth(1));
  document.addEventListener("dragleave", (event) => hasFiles(event) && changeDragDepth(-1));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", async (event) => {
    if (!event.dataTransfer || !hasFiles(event)) return;
    event.preventDefault();
    changeDragDepth(-dragDepth);
    try {
      addPictures(await droppedFiles(event.dataTransfer));
    } catch (error) {
      toast(`The files could not be read: ${messageOf(error)}`);
    }
  });
}

/** @param {DragEvent} event */
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

/** @param {number} change */
function changeDragDepth(change) {
  dragDepth = Math.max(0, dragDepth + change);
  bringToFront("drop-target");
  byId("drop-target").classList.toggle("over", dragDepth > 0);
}
