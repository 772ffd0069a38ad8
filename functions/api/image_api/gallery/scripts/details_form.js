// The form for the user's texts about an image: title, alt text, tags.

import { getImage, hasStatus, messageOf, patchImage } from "./api.js";
import { el, pluralize, setText } from "./dom.js";
import { tagsInput } from "./tags_input.js";

/** @import { ImageData, ImageResponse } from "../../../types/api.d.ts" */

/**
 * @typedef {object} Field
 * @property {"title" | "alt_text" | "tags"} name
 * @property {string} label
 * @property {HTMLElement} node
 * @property {(data: ImageData) => void} show fills the field
 * @property {(image: ImageResponse) => void} [hint] shows what applies while the field is empty
 * @property {() => string} state changes when the user edits the field
 * @property {() => string | string[] | null} value the value for PATCH
 * @property {(data: ImageData) => string | Node} describe shows the value of another record
 */

// As in the API's schema of PATCH, which counts code points; a test compares the two.
const MAX_TITLE_LENGTH = 200;
const MAX_ALT_TEXT_LENGTH = 2000;

/**
 * Returns the form for one image. `update()` shows a newer record unless the user has typed something.
 * @param {ImageResponse} image
 * @param {(image: ImageResponse) => void} onSaved called after each change, and with a record that another user saved
 */
export function detailsForm(image, onSaved) {
  const id = image.data.image_id;
  const fields = [titleField(), altTextField(), tagsField()];
  const note = el("span", { className: "note", role: "status" });
  const save = el("button", { className: "primary", text: "Save" });
  const conflict = el("div", { className: "conflict", role: "alert", tabindex: -1, hidden: true });
  const node = el(
    "form",
    { className: "details-form" },
    fields.map((field) => field.node),
    conflict,
    el("div", { className: "buttons" }, save, note),
  );

  let base = image.data; // the record that the form was filled from
  let isSaving = false;
  /** @type {Map<Field, string | null>} */
  const filled = new Map(); // the state of each field when it was filled
  /** @type {(field: Field, data: ImageData) => void} */
  const fillField = (field, data) => {
    field.show(data);
    filled.set(field, field.state());
  };
  /** @type {(field: Field) => boolean} */
  const isChanged = (field) => field.state() !== filled.get(field);

  /** @param {ImageData} data */
  function fill(data) {
    base = data;
    for (const field of fields) fillField(field, data);
    hideConflict();
  }

  function hideConflict() {
    save.hidden = false;
    if (conflict.contains(document.activeElement)) save.focus();
    conflict.hidden = true;
    conflict.replaceChildren();
  }

  /** @param {string} etag */
  async function submit(etag) {
    const changed = fields.filter(isChanged);
    if (isSaving) return;
    if (!changed.length) return void setText(note, "There are no changes to save.");
    isSaving = true;
    hideConflict();
    setText(note, "Saving …");
    const sent = new Map(changed.map((field) => [field, field.state()]));
    try {
      const { warnings, ...response } = await patchImage(
        id,
        Object.fromEntries(changed.map((field) => [field.name, field.value()])),
        etag,
      );
      base = response.data;
      for (const field of fields) {
        const isUnchanged = sent.has(field) ? field.state() === sent.get(field) : !isChanged(field);
        if (isUnchanged) fillField(field, base);
        else filled.set(field, null); // typed during the request, so not saved yet
      }
      setText(note, warnings.length ? `Saved. ${warnings.join(" ")}` : "Saved");
      onSaved(response);
    } catch (error) {
      if (hasStatus(error, 412)) await showConflict();
      else setText(note, messageOf(error));
    } finally {
      isSaving = false;
    }
  }

  /** Shows the texts that another user has saved since, and lets the user choose. */
  async function showConflict() {
    /** @type {ImageResponse} */
    let latest;
    try {
      latest = await getImage(id);
    } catch (error) {
      return void setText(note, hasStatus(error, 404) ? "This image was deleted." : messageOf(error));
    }
    const latestData = latest.data;
    const rows = fields.filter(({ name }) => JSON.stringify(latestData[name]) !== JSON.stringify(base[name]));
    conflict.replaceChildren(
      el("p", { text: "Someone else changed this image. Keep your changes or use theirs?" }),
      el(
        "dl",
        {},
        rows.flatMap((field) => [
          el("dt", { text: field.label }),
          el("dd", { dir: "auto" }, field.describe(latestData)),
        ]),
      ),
      el(
        "div",
        { className: "buttons" },
        el("button", {
          type: "button",
          text: "Keep mine",
          onclick: () => node.reportValidity() && submit(latestData.text_etag),
        }),
        el("button", {
          type: "button",
          text: "Use theirs",
          onclick() {
            fill(latestData);
            setText(note, "");
          },
        }),
      ),
    );
    setText(note, "Not saved yet.");
    save.hidden = true;
    conflict.hidden = false;
    conflict.focus();
    onSaved(latest);
  }

  node.addEventListener("input", () => setText(note, ""), { passive: true });
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    if (conflict.hidden) submit(base.text_etag);
    else conflict.focus(); // Enter in a field does not choose
  });
  fill(image.data);
  fields.forEach((field) => field.hint?.(image));

  return {
    node,
    /** @param {ImageResponse} newer */
    update(newer) {
      fields.forEach((field) => field.hint?.(newer));
      if (!isSaving && !fields.some(isChanged) && !isSameText(newer.data, base)) fill(newer.data);
    },
  };
}

/** @type {(a: ImageData, b: ImageData) => boolean} */
const isSameText = (a, b) =>
  /** @type {const} */ (["title", "alt_text", "tags", "text_etag"]).every(
    (name) => JSON.stringify(a[name]) === JSON.stringify(b[name]),
  );

/** @returns {Field} */
function titleField() {
  const input = el("input", { name: "title" });
  const check = limitLength(input, MAX_TITLE_LENGTH);
  return {
    name: "title",
    label: "Title",
    node: el("label", {}, "Title", input),
    show(data) {
      input.value = data.title ?? "";
      check();
    },
    hint: ({ data }) => (input.placeholder = data.original_name),
    state: () => input.value,
    value: () => input.value.trim() || null,
    describe: (data) => data.title ?? "none",
  };
}

/** @returns {Field} */
function altTextField() {
  const input = el("textarea", { name: "alt_text", rows: 2 });
  const decorative = el("input", { type: "checkbox", name: "decorative" });
  const check = limitLength(input, MAX_ALT_TEXT_LENGTH);
  let caption = ""; // screen readers use it if there is no alt text
  const showDecorative = () => {
    input.disabled = decorative.checked;
    input.placeholder = decorative.checked ? "" : caption;
  };
  decorative.addEventListener("change", showDecorative);
  return {
    name: "alt_text",
    label: "Alt text",
    node: el(
      "div",
      { className: "field" },
      el("label", {}, "Alt text (describes the picture for screen-reader users)", input),
      el("label", { className: "choice" }, decorative, "Decorative: screen readers skip the picture"),
    ),
    show(data) {
      input.value = data.alt_text ?? "";
      decorative.checked = data.alt_text === "";
      showDecorative();
      check();
    },
    hint({ data }) {
      caption = data.metadata?.caption ?? "";
      showDecorative();
    },
    state: () => JSON.stringify([decorative.checked, input.value]),
    value: () => (decorative.checked ? "" : input.value.trim() || null),
    describe: (data) => (data.alt_text === "" ? "decorative" : (data.alt_text ?? "none")),
  };
}

/** @returns {Field} */
function tagsField() {
  const tags = tagsInput();
  return {
    name: "tags",
    label: "Tags",
    node: tags.node,
    show: (data) => tags.show(data.tags),
    state: () => JSON.stringify([tags.value(), tags.pending()]),
    value: () => tags.value(),
    describe: ({ tags: latest }) =>
      latest.length
        ? el(
            "ul",
            { className: "chips" },
            latest.map((tag) => el("li", { className: "chip", dir: "auto", text: tag })),
          )
        : "none",
  };
}

/**
 * Marks more than `max` characters as invalid, without cutting typed or pasted text. Returns the check.
 * @param {HTMLInputElement | HTMLTextAreaElement} input
 * @param {number} max
 */
function limitLength(input, max) {
  const check = () => {
    const length = [...input.value.trim()].length; // `maxlength` would count an emoji as two
    input.setCustomValidity(
      length > max ? `The limit is ${pluralize(max, "character")}; this is ${length.toLocaleString("en")}.` : "",
    );
  };
  input.addEventListener("input", check);
  return check;
}
