// Helpers to build the page. Text is always set as text, so nothing that users supplied is parsed as HTML.

/**
 * Returns the element with this id, for example `byId("search", HTMLInputElement)`.
 * @template {HTMLElement} [E=HTMLElement]
 * @param {string} id
 * @param {{ new (): E }} [type]
 * @returns {E}
 */
export function byId(id, type) {
  const node = document.getElementById(id);
  if (!(node instanceof (type ?? HTMLElement))) throw new Error(`The page has no #${id} of this type.`);
  return /** @type {E} */ (node);
}

/**
 * @typedef {string | number | boolean | null | undefined} AttributeValue
 * @typedef {(event: Event) => void} Listener
 * @typedef {Node | string | null | undefined} Child
 */

/**
 * Creates an element. `properties` are attributes, except functions (listeners, such as `onclick`), `text`, `className`,
 * and `dataset`. Booleans set or omit an attribute.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, AttributeValue | Listener | Record<string, string>>} [properties]
 * @param {(Child | Child[])[]} children
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (typeof value === "object") Object.assign(node.dataset, value);
    else if (name === "text") node.textContent = String(value);
    else if (name === "className") node.className = String(value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/**
 * Creates an SVG element with these attributes.
 * @param {keyof SVGElementTagNameMap} tag
 * @param {Record<string, string | number>} attributes
 * @param {Node[]} children
 */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/**
 * Sets text only if it differs, so that screen readers do not repeat it and the layout does not change.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Fills an element with the result of `render(value)`, only if `value` differs from the last call.
 * @template T
 * @param {HTMLElement} node
 * @param {T} value
 * @param {(value: T) => Node[]} render
 */
export function renderIfChanged(node, value, render) {
  const key = JSON.stringify(value);
  if (node.dataset.content === key) return;
  node.dataset.content = key;
  node.replaceChildren(...render(value));
}

/**
 * Follows a link, or saves its file if there is a name for it.
 * @param {string} href
 * @param {string} [download] the file name
 */
export function clickLink(href, download = "") {
  el("a", { href, download, rel: "noopener" }).click();
}

/**
 * Copies a text, and says so.
 * @param {string} text
 * @param {string} what for the message, such as "Link"
 */
export async function copyText(text, what) {
  let copied = true;
  try {
    await navigator.clipboard.writeText(text); // exists only on secure origins, such as this machine's own
  } catch {
    const area = el("textarea", { className: "visually-hidden", "aria-hidden": "true" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    copied = document.execCommand("copy");
    area.remove();
  }
  toast(copied ? `${what} copied` : `The browser does not allow this page to copy.`);
}

/** @type {number | undefined} */
let announceTimer;

/**
 * Announces a text to screen readers. Another text within half a second replaces it.
 * @param {string} text
 */
export function announce(text) {
  clearTimeout(announceTimer);
  announceTimer = setTimeout(() => setText(byId("announcements"), text), 500);
}

/**
 * Moves these elements into the open dialog, which covers the page and blocks what is outside of it.
 * @param {string[]} ids
 */
export function bringToFront(...ids) {
  const parent = document.querySelector("dialog[open]") ?? document.body;
  for (const id of ids) if (byId(id).parentElement !== parent) parent.append(byId(id));
}
document.addEventListener("close", () => bringToFront("uploads", "toasts", "drop-target"), true);

/**
 * Shows a message at the edge of the page with an optional action. Returns a function that removes it.
 * @param {string} text
 * @param {string} [action] the text of the button
 * @param {{ seconds?: number, onDismiss?: (reason: "action" | "timeout" | "closed") => void }} [options]
 */
export function toast(text, action, { seconds = 8, onDismiss = () => {} } = {}) {
  /** @param {"action" | "timeout" | "closed"} reason */
  const dismiss = (reason) => {
    if (!node.isConnected) return;
    clearTimeout(timer);
    node.remove();
    onDismiss(reason);
  };
  const button = action && el("button", { type: "button", text: action, onclick: () => dismiss("action") });
  const node = el("div", { className: "toast", role: "status" }, el("span", { text }), button);
  bringToFront("toasts");
  byId("toasts").append(node);
  const timer = setTimeout(() => dismiss("timeout"), seconds * 1000);
  return () => dismiss("closed");
}

const SIZE_UNITS = ["bytes", "KB", "MB", "GB"];

/**
 * 2048576 → "2.0 MB".
 * @param {number} bytes
 */
export function formatFileSize(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < SIZE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit ? value.toFixed(1) : value} ${SIZE_UNITS[unit]}`;
}

/**
 * 0.4213 → "0.42 s"; null → "–".
 * @param {number | null} value
 */
export function formatSeconds(value) {
  if (value === null) return "–";
  return value < 10 ? `${value.toFixed(2)} s` : `${Math.round(value)} s`;
}

/**
 * "1 image", "2 images".
 * @param {number} number
 * @param {string} word
 */
export const pluralize = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
