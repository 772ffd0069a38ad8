// Helpers to build the page. Text is always set as text, so nothing that users supplied is parsed as HTML.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * Creates an element. `properties` are attributes, except `on…` (listeners), `text`, `className`, `dataset`, and
 * booleans, which set or omit an attribute.
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else if (name === "className") node.className = value;
    else if (name === "dataset") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Creates an SVG element with these attributes. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/** Sets text only if it differs, so that screen readers do not repeat it and the layout does not change. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Fills an element with the result of `render(value)`, only if `value` differs from the last call. */
export function renderIfChanged(node, value, render) {
  const key = JSON.stringify(value);
  if (node.dataset.content === key) return;
  node.dataset.content = key;
  node.replaceChildren(...render(value));
}

let announceTimer;

/** Announces a text to screen readers. Another text within half a second replaces it. */
export function announce(text) {
  clearTimeout(announceTimer);
  announceTimer = setTimeout(() => setText(byId("announcements"), text), 500);
}

/** Shows a message at the edge of the page with an optional action. Returns a function that removes it. */
export function toast(text, action, { seconds = 8, onDismiss = () => {} } = {}) {
  const dismiss = (reason) => {
    if (!node.isConnected) return;
    clearTimeout(timer);
    node.remove();
    onDismiss(reason);
  };
  const button = action && el("button", { type: "button", text: action, onclick: () => dismiss("action") });
  const node = el("div", { className: "toast", role: "status" }, el("span", { text }), button);
  byId("toasts").append(node);
  const timer = setTimeout(() => dismiss("timeout"), seconds * 1000);
  return () => dismiss("closed");
}

const SIZE_UNITS = ["bytes", "KB", "MB", "GB"];

/** 2048576 → "2.0 MB". */
export function formatFileSize(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < SIZE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit ? value.toFixed(1) : value} ${SIZE_UNITS[unit]}`;
}

/** 0.4213 → "0.42 s"; null → "–". */
export function formatSeconds(value) {
  if (value === null || value === undefined) return "–";
  return value < 10 ? `${value.toFixed(2)} s` : `${Math.round(value)} s`;
}

/** "1 image", "2 images". */
export const pluralize = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
