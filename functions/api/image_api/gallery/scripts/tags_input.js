// Tags as chips with one input to add more. A tag may contain anything, commas included.

import { announce, el, pluralize } from "./dom.js";

// As in the API's schema of PATCH; a test compares the two.
const MAX_TAG_LENGTH = 64;
const MAX_TAGS = 50;

/** Returns the input. `value()` includes the text that is typed but not added yet, `pending()` is only that text. */
export function tagsInput() {
  /** @type {string[]} */
  let tags = [];
  const chips = el("ul", { className: "chips", "aria-label": "Tags of this image" });
  const input = el("input", {
    name: "tag",
    "aria-label": "Add a tag",
    placeholder: "Add a tag",
    "aria-describedby": "tags-hint",
    autocomplete: "off",
    enterkeyhint: "done",
  });
  const node = el(
    "div",
    { className: "field", role: "group", "aria-labelledby": "tags-label" },
    el("span", { id: "tags-label", className: "label", text: "Tags" }),
    el(
      "div",
      { className: "tags", onclick: (event) => event.target === event.currentTarget && input.focus() },
      chips,
      input,
    ),
    el("span", { id: "tags-hint", className: "hint", text: "Press Enter after each tag." }),
  );

  const pending = () => input.value.trim();
  const value = () => [...new Set(pending() ? [...tags, pending()] : tags)];

  function check() {
    const length = [...pending()].length;
    let problem = "";
    if (length > MAX_TAG_LENGTH)
      problem = `The limit for a tag is ${pluralize(MAX_TAG_LENGTH, "character")}; this is ${length}.`;
    else if (value().length > MAX_TAGS) problem = `The limit is ${pluralize(MAX_TAGS, "tag")}.`;
    input.setCustomValidity(problem);
  }

  function draw() {
    chips.replaceChildren(
      ...tags.map((tag) =>
        el(
          "li",
          { className: "chip" },
          el("span", { dir: "auto", text: tag }),
          el("button", {
            type: "button",
            text: "×",
            "aria-label": `Remove tag ${tag}`,
            onclick: () => remove(tag),
          }),
        ),
      ),
    );
    chips.hidden = tags.length === 0; // screen readers would announce an empty list
  }

  function add() {
    tags = value();
    input.value = "";
    check();
    draw();
  }

  /** @param {string} tag */
  function remove(tag) {
    const index = tags.indexOf(tag);
    tags = tags.filter((other) => other !== tag);
    check();
    draw();
    announce(`Tag ${tag} removed`);
    (chips.children[Math.min(index, tags.length - 1)]?.querySelector("button") ?? input).focus();
    node.dispatchEvent(new Event("input", { bubbles: true }));
  }

  input.addEventListener("input", check);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || !pending()) return;
    event.preventDefault(); // Enter in an empty input saves the form
    check();
    if (input.reportValidity()) add();
  });

  return {
    node,
    /** @param {string[]} newTags */
    show(newTags) {
      tags = [...newTags];
      input.value = "";
      check();
      draw();
    },
    value,
    pending,
  };
}
