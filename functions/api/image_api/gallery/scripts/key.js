// The dialog that asks for the API key, for stacks that require one.

import { setKeyPrompt } from "./api.js";
import { byId, setText } from "./dom.js";

/** Makes rejected calls ask the user for the key. */
export function initKeyDialog() {
  const dialog = byId("key-dialog", HTMLDialogElement);
  const input = byId("key", HTMLInputElement);
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // nothing works without it
  setKeyPrompt(async (rejected) => {
    setText(
      byId("key-text"),
      rejected
        ? "This key is not valid. Enter another key."
        : "Enter an API key to use this gallery. It is kept for this tab only.",
    );
    input.value = "";
    if (!dialog.open) dialog.showModal();
    await new Promise((resolve) => byId("key-form").addEventListener("submit", resolve, { once: true }));
    return input.value.trim();
  });
}
