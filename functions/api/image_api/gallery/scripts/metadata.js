// The metadata of an image, as tables.

import { el, formatFileSize, formatSeconds, renderIfChanged } from "./dom.js";
import { stageSummary } from "./display.js";

/** @import { ImageResponse, Metadata, Position } from "../../../types/api.d.ts" */

/** @type {Record<string, string>} */
const WARNINGS = {
  missing_end: "the file lacks its end, but the picture is complete",
  bad_checksum: "a checksum in the file is wrong",
  hdr: "high dynamic range, shown without conversion",
};

/** @param {string} text */
const formatDate = (text) => new Date(text).toLocaleString();

/**
 * Fills a <dl> with the details of the file.
 * @param {HTMLElement} list
 * @param {ImageResponse} image
 */
export function showMetadata(list, image) {
  const { data } = image;
  const { metadata } = data;
  const details = {
    File: data.original_name,
    Size: metadata && `${metadata.width} × ${metadata.height} pixels, ${formatFileSize(metadata.size_bytes)}`,
    Format: metadata && formatOf(metadata),
    Frames: (metadata?.frames ?? 1) > 1 ? metadata?.frames : null,
    "Color profile": metadata?.icc_profile,
    Note: metadata?.warnings.map((warning) => WARNINGS[warning] ?? warning).join("; "),
    Added: formatDate(data.created_at),
    Source: data.source === "bucket" ? "dropped into the bucket" : "uploaded",
    Processed: data.processed_at && formatProcessed(data.processed_at, data.processing_time_seconds),
    Stages: stageSummary(image),
    "SHA-256": metadata?.sha256,
    ID: data.image_id,
  };
  const rows = Object.entries(details).filter(([, value]) => value !== null && value !== undefined && value !== "");
  renderIfChanged(list, rows, () =>
    rows.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { dir: "auto", text: String(value) })]),
  );
}

/** @param {Metadata} metadata */
const formatOf = ({ format, color_mode, bit_depth }) =>
  [format.toUpperCase(), color_mode, bit_depth && `${bit_depth} bits`].filter(Boolean).join(", ");

/**
 * @param {string} time
 * @param {number | null} duration in seconds
 */
const formatProcessed = (time, duration) =>
  formatDate(time) + (duration === null ? "" : `, in ${formatSeconds(duration)}`);

/**
 * Fills an element with the collapsed EXIF table, or with nothing if there are no tags.
 * @param {HTMLElement} container
 * @param {Record<string, unknown>} tags
 * @param {Position} [position]
 */
export function showExif(container, tags, position) {
  /** @type {[string, string][]} */
  const rows = Object.entries(tags).map(([name, value]) => [
    name,
    typeof value === "object" ? JSON.stringify(value) : String(value),
  ]);
  if (position) rows.push(["Position", `${position.latitude}, ${position.longitude}`]);
  renderIfChanged(container, rows, () => {
    if (!rows.length) return [];
    const body = rows.map(([name, value]) =>
      el("tr", {}, el("th", { scope: "row", text: name }), el("td", { dir: "auto", text: value })),
    );
    return [
      el("details", {}, el("summary", { text: `EXIF (${rows.length})` }), el("table", {}, el("tbody", {}, body))),
    ];
  });
}
