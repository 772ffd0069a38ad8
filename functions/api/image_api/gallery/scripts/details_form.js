// The user's own words for an image: title, alt text, tags.

import { changeImage, getImage } from "./api.js";
import { el, setText } from "./dom.js";

/** The form for one image; `changed` gets the answer once the words are saved. */
export function detailsForm({ data }, changed) {
  const field = (label, input) => el("label", {}, label, input);
  const heading = el("input", { name: "title", maxlength: 200, value: data.title ?? "", placeholder: data.original_name });
  const alternative = el("textarea", { name: "alt_text", maxlength: 1000, rows: 2, placeholder: data.metadata?.caption ?? "" });
  alternative.value = data.alt_text ?? "";
  const tags = el("input", { name: "tags", value: (data.tags ?? []).join(", "), placeholder: "holiday, mountains" });
  const note = el("span", { className: "note", role: "status" });
  const node = el(
    "form",
    { className: "details-form" },
    field("Title", heading),
    field("Alt text (what the picture shows, for those who cannot see it)", alternative),
    field("Tags, with commas between them", tags),
    el("div", { className: "buttons" }, el("button", { className: "primary", text: "Save" }), note),
  );
  let etag = null;
  // What is guarded is what the user saw when beginning to write.
  node.addEventListener("input", () => setText(note, ""), { passive: true });
  node.addEventListener("focusin", () => (etag ??= getImage(data.image_id).then((answer) => answer.etag, () => null)), { passive: true });
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    const words = tags.value.split(",").map((tag) => tag.trim()).filter(Boolean);
    const changes = { title: heading.value.trim() || null, alt_text: alternative.value.trim() || null, tags: [...new Set(words)] };
    try {
      const answer = await changeImage(data.image_id, changes, await etag);
      etag = Promise.resolve(answer.etag ?? null);
      delete answer.etag;
      setText(note, "Saved");
      changed(answer);
    } catch (error) {
      if (error.status === 412) etag = null;
      setText(note, error.status === 412 ? "Somebody else has changed it since. Save again to keep yours." : error.message);
    }
  });
  return node;
}
