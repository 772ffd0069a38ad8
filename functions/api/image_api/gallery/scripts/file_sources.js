// The ways to add files: the pickers, the clipboard, a drop anywhere on the page.

import { byId, pluralize, toast } from "./dom.js";
import { droppedFiles, splitPictures } from "./files.js";

const INPUT_IDS_BY_BUTTON = { pick: "files", "pick-folder": "folder", "take-photo": "camera" };

let dragDepth = 0; // dragenter and dragleave fire for every element on the way

/** Calls `onPictures(pictures)` with the pictures among added files; shows a message about other files. */
export function initFileSources(onPictures) {
  const addPictures = (files) => {
    const [pictures, skipped] = splitPictures([...files]);
    if (skipped) toast(`${pluralize(skipped, "file")} skipped (not images).`);
    if (pictures.length) onPictures(pictures);
  };
  for (const [buttonId, inputId] of Object.entries(INPUT_IDS_BY_BUTTON)) {
    byId(buttonId).addEventListener("click", () => byId(inputId).click());
    byId(inputId).addEventListener("change", (event) => {
      addPictures(event.target.files);
      event.target.value = ""; // so that the same file can be picked again
    });
  }
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) addPictures(event.clipboardData.files);
  });
  document.addEventListener("dragenter", (event) => hasFiles(event) && changeDragDepth(1));
  document.addEventListener("dragleave", (event) => hasFiles(event) && changeDragDepth(-1));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    changeDragDepth(-dragDepth);
    try {
      addPictures(await droppedFiles(event.dataTransfer));
    } catch (error) {
      toast(`The files could not be read: ${error.message}`);
    }
  });
}

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

function changeDragDepth(change) {
  dragDepth = Math.max(0, dragDepth + change);
  byId("drop-target").classList.toggle("over", dragDepth > 0);
}
