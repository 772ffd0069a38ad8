// Texts about an image: its name, its description, its progress.

/** @import { ImageResponse } from "../../../types/api.d.ts" */

/** @typedef {(image: ImageResponse) => string} ImageText */

/**
 * The user's title, else the file's name.
 * @type {ImageText}
 */
export const title = (image) => image.data.title || image.data.original_name || image.data.image_id;

/**
 * The text for screen readers: the user's alt text (empty for a decorative picture), else the caption, else the name.
 * @type {ImageText}
 */
export const altText = (image) => image.data.alt_text ?? (caption(image) || title(image));

/** @type {ImageText} */
export const caption = (image) => image.data.metadata?.caption ?? "";

/**
 * A short text about the image's progress in the pipeline.
 * @param {ImageResponse} image
 */
export function progress(image) {
  const { stages } = image.data;
  switch (image.status) {
    case "pending":
      return "Waiting";
    case "processing":
      return stages.thumbnails === "done" ? "Writing the caption" : "Making thumbnails";
    case "failed":
      return "Failed";
    default:
      return "Done";
  }
}

/**
 * Why the image failed; empty if it did not fail.
 * @type {ImageText}
 */
export const failureReason = (image) =>
  image.status === "failed" ? (image.error?.message ?? "Processing failed.") : "";

/**
 * The state of each stage of the pipeline, in one line.
 * @type {ImageText}
 */
export const stageSummary = ({ data }) =>
  Object.entries(data.stages)
    .map(([stage, state]) => `${stage} ${state}`)
    .join(", ");
