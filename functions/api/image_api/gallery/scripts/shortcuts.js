// Keys for the whole page, and the dialog that lists them.

import { byId } from "./dom.js";

/**
 * @param {{ review: () => void, selectAll: () => void, clearSelection: () => void }} actions
 */
export function initShortcuts({ review, selectAll, clearSelection }) {
  const help = byId("keys", HTMLDialogElement);
  byId("show-keys").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    const isTyping =
      event.target instanceof Element && event.target.closest("input:not([type=checkbox]), textarea, select");
    if (event.defaultPrevented || event.altKey || isTyping) return;
    if (event.key === "?" && !help.open) help.showModal();
    else if (document.querySelector("dialog[open]")) return;
    else if ((event.ctrlKey || event.metaKey) && event.key === "a") selectAll();
    else if (event.ctrlKey || event.metaKey) return;
    else if (event.key === "/") byId("search", HTMLInputElement).select();
    else if (event.key === "r") review();
    else if (event.key === "Escape") clearSelection();
    else return;
    event.preventDefault();
  });
}
