// The search box, the chips and the order: their values are in the address, and matching words are highlighted.

import { byId, el } from "./dom.js";

/** @import { Status } from "../../../types/api.d.ts" */
/** @typedef {"newest" | "oldest"} Order */
/** @typedef {{ query: string, status: Status | "", order: Order }} Search */

const PAUSE_MS = 250; // after the last keystroke
const HIGHLIGHT_NAME = "search";
const TAG_TERM = /(?<=^|\s)tag:(?:"([^"]*)"|([^\s"]+))\s*/gi;

const queryInput = byId("search", HTMLInputElement);
const orderSelect = byId("order", HTMLSelectElement);
/** @type {NodeListOf<HTMLButtonElement>} */
const statusChips = document.querySelectorAll("#statuses [data-status]");
/** @type {Status | ""} */
let status = "";
/** @type {number | undefined} */
let timer;

/**
 * What the user searches for now.
 * @returns {Search}
 */
export const currentSearch = () => ({
  // A space at the end says that the last word is complete, so it stays.
  query: queryInput.value.trimStart(),
  status,
  order: orderSelect.value === "oldest" ? "oldest" : "newest",
});

/** Shows all images again, in the same order. */
export function clearSearch() {
  queryInput.value = "";
  setStatus("");
  queryInput.dispatchEvent(new Event("change"));
}

export function showNewestFirst() {
  orderSelect.value = "newest";
  orderSelect.dispatchEvent(new Event("change"));
}

/**
 * Searches for all images with a tag.
 * @param {string} tag
 */
export function searchTag(tag) {
  setStatus("");
  queryInput.value = `tag:"${tag.replaceAll('"', " ")}"`;
  queryInput.dispatchEvent(new Event("change"));
}

/** @param {string | null} value */
function setStatus(value) {
  const known = [...statusChips].find((chip) => chip.dataset.status === value);
  status = /** @type {Status | ""} */ (known?.dataset.status ?? "");
  for (const chip of statusChips) chip.setAttribute("aria-pressed", String(chip.dataset.status === status));
}

/** Shows the tags in the query as chips, which remove them. */
function showTagChips() {
  const chips = [...queryInput.value.matchAll(TAG_TERM)].map(([term, phrase, word]) =>
    el("button", {
      type: "button",
      className: "chip",
      text: `tag: ${phrase ?? word} ×`,
      "aria-label": `Remove the tag ${phrase ?? word} from the search`,
      onclick() {
        queryInput.value = queryInput.value.replace(term, "").trim();
        queryInput.dispatchEvent(new Event("change"));
        queryInput.focus();
      },
    }),
  );
  byId("tag-chips").replaceChildren(...chips);
}

/**
 * Calls `onSearch` for the search in the address, now and when it changes, and for what the user enters.
 * @param {(search: Search) => Promise<unknown>} onSearch
 */
export async function initSearch(onSearch) {
  /** @param {URLSearchParams} parameters */
  const addressed = (parameters) => ["q", "status", "order"].map((name) => parameters.get(name) ?? "").join("\n");
  let shownAddress = "";
  const readAddress = () => {
    const parameters = new URLSearchParams(location.search);
    shownAddress = addressed(parameters);
    queryInput.value = parameters.get("q") ?? "";
    orderSelect.value = parameters.get("order") === "oldest" ? "oldest" : "newest";
    setStatus(parameters.get("status"));
    showTagChips();
    return onSearch(currentSearch());
  };
  const search = () => {
    clearTimeout(timer);
    const parameters = new URLSearchParams(location.search);
    const { query, order } = currentSearch();
    for (const [name, value] of Object.entries({ q: query, status, order: order === "newest" ? "" : order })) {
      if (value) parameters.set(name, value);
      else parameters.delete(name);
    }
    showTagChips();
    if (addressed(parameters) === shownAddress) return;
    shownAddress = addressed(parameters);
    const text = parameters.toString();
    history.replaceState(null, "", location.pathname + (text && `?${text}`) + location.hash);
    onSearch(currentSearch());
  };
  queryInput.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE_MS);
  });
  queryInput.addEventListener("change", search);
  orderSelect.addEventListener("change", search);
  for (const chip of statusChips) {
    chip.addEventListener("click", () => {
      setStatus(chip.dataset.status ?? "");
      search();
    });
  }
  window.addEventListener("popstate", () => {
    // Opening and closing an image changes only the hash.
    if (addressed(new URLSearchParams(location.search)) !== shownAddress) readAddress();
  });
  await readAddress();
}

/**
 * Highlights the words of a query in the texts inside `root`. The stems are only guessed: the API decides what matches.
 * @param {Element} root
 * @param {string} query
 */
export function highlightMatches(root, query) {
  if (!("highlights" in CSS)) return; // Firefox before 140
  const wanted = queryWords(query);
  const ranges = wanted.length ? matchingRanges(root, wanted) : [];
  if (ranges.length) CSS.highlights.set(HIGHLIGHT_NAME, new Highlight(...ranges));
  else CSS.highlights.delete(HIGHLIGHT_NAME);
}

/** @typedef {{ word: string, isPrefix: boolean }} QueryWord */

/**
 * The words that an image must have, without those that its card does not show.
 * @param {string} query
 * @returns {QueryWord[]}
 */
function queryWords(query) {
  /** @type {QueryWord[]} */
  const found = [];
  for (const match of query.matchAll(/(-?)(?:(\w+):)?(?:"([^"]*)"|([^\s"]+))/gu)) {
    const [, minus, field = "", phrase, plain = ""] = match;
    if (minus || ["camera", "caption", "alt"].includes(field)) continue;
    const words = (phrase ?? plain).match(WORD) ?? [];
    const isLast = match.index + match[0].length === query.length && phrase === undefined && !field;
    words.forEach((word, i) =>
      found.push({ word: fold(word), isPrefix: isLast && i === words.length - 1 && word.length >= 3 }),
    );
  }
  return found;
}

// As in the API (words.py): Chinese and Japanese have no spaces, so that each character is a word.
const WORD = /[぀-ヿ㐀-鿿]\p{M}*|\p{N}+|(?:(?![぀-ヿ㐀-鿿])\p{L}\p{M}*)+/gu;

/** @param {string} text */
const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/**
 * "running" and "runs" → "run".
 * @param {string} word
 */
const roughStem = (word) =>
  word.replace(/(?<=...)(ies|ied|ings?|ed|es|s|ly|e|y)$/u, "").replace(/(?<=..)([b-df-hj-np-tv-z])\1$/u, "$1");

/**
 * @param {Element} root
 * @param {QueryWord[]} wanted
 */
function matchingRanges(root, wanted) {
  const stems = new Set(wanted.map(({ word }) => roughStem(word)));
  const prefixes = wanted.filter(({ isPrefix }) => isPrefix).map(({ word }) => word);
  const ranges = [];
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    for (const match of (node.nodeValue ?? "").matchAll(WORD)) {
      const word = fold(match[0]);
      if (!stems.has(roughStem(word)) && !prefixes.some((prefix) => word.startsWith(prefix))) continue;
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      ranges.push(range);
    }
  }
  return ranges;
}
