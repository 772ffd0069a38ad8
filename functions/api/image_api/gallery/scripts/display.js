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

/** @type {Record<string, string>} */
const FLAGS = {
  low_confidence: "the model is unsure",
  repetitive: "a repetition was cut off",
  too_short: "very short",
};

/**
 * How sure the model is of the caption, and what looks wrong with it.
 * @type {ImageText}
 */
export function confidence({ data: { metadata } }) {
  const value = metadata?.caption_confidence;
  return [
    typeof value === "number" && `${Math.round(value * 100)}% confident`,
    ...(metadata?.caption_flags ?? []).map((flag) => FLAGS[flag] ?? flag),
  ]
    .filter(Boolean)
    .join(" · ");
}

/**
 * Whether processing of this image has ended.
 * @param {ImageResponse} image
 */
export const isFinished = ({ status }) => status === "success" || status === "failed";

// The same file would fail again. The error's message says what to do instead.
const PERMANENT_ERRORS = new Set([
  "unsupported_format",
  "corrupt_image",
  "image_too_large",
  "too_many_pixels",
  "upload_incomplete",
  "upload_mismatch",
  "unreadable_object",
]);

/**
 * Whether a failed image may succeed if it is processed again.
 * @param {ImageResponse} image
 */
export const canRetry = ({ status, error }) => status === "failed" && !PERMANENT_ERRORS.has(error?.code ?? "");

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
