// The ways to add files: the pickers, the clipboard, a drop anywhere on the page.

import { byId, count, toast } from "./dom.js";
import { filesOfDrop, picturesAmong } from "./files.js";

const INPUTS = { pick: "files", "pick-folder": "folder", "take-photo": "camera" };

let dragDepth = 0; // dragenter and dragleave fire for every element on the way

/** Calls `take(pictures)` with the pictures among added files; shows a message about other files. */
export function installIncoming(take) {
  const sort = (files) => {
    const [pictures, others] = picturesAmong([...files]);
    if (others) toast(`${count(others, "file")} skipped (not images).`);
    if (pictures.length) take(pictures);
  };
  for (const [button, input] of Object.entries(INPUTS)) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", (event) => {
      sort(event.target.files);
      event.target.value = ""; // so that the same file can be picked again
    });
  }
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) sort(event.clipboardData.files);
  });
  document.addEventListener("dragenter", (event) => holdsFiles(event) && dragging(1));
  document.addEventListener("dragleave", (event) => holdsFiles(event) && dragging(-1));
  document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  document.addEventListener("drop", async (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    dragging(-dragDepth);
    try {
      sort(await filesOfDrop(event.dataTransfer));
    } catch (error) {
      toast(`The files could not be read: ${error.message}`);
    }
  });
}

const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");

function dragging(change) {
  dragDepth = Math.max(0, dragDepth + change);
  byId("drop-target").classList.toggle("over", dragDepth > 0);
}
