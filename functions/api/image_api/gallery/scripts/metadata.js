// The facts about an image: those that people look for first, then the details of the file.

import { el, formatFileSize, formatSeconds, renderIfChanged } from "./dom.js";
import { stageSummary } from "./display.js";

/** @import { ImageResponse, Position } from "../../../types/api.d.ts" */

/** @type {Record<string, string>} */
const WARNINGS = {
  missing_end: "the file lacks its end, but the picture is complete",
  bad_checksum: "a checksum in the file is wrong",
  hdr: "high dynamic range, shown without conversion",
};

/** @param {string} text */
const formatDate = (text) => new Date(text).toLocaleString();

/**
 * The time of EXIF is that of the camera's clock. It is shown as it is, whatever this browser's time zone.
 * @param {unknown} text "2026-07-01", "2026-07-01T10:20:30", with or without fraction and offset
 */
function formatTaken(text) {
  const match = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d))?/.exec(String(text ?? ""));
  if (!match) return null;
  const day = new Date(`${match[1]}T12:00`).toLocaleDateString(undefined, { dateStyle: "long" });
  return match[2] ? `${day}, ${match[2]}` : day;
}

/**
 * "Canon" and "Canon EOS R6" → "Canon EOS R6".
 * @param {unknown} make
 * @param {unknown} model
 */
function cameraName(make, model) {
  const [first, second] = [String(make ?? "").trim(), String(model ?? "").trim()];
  return second.toLowerCase().startsWith(first.split(" ")[0]?.toLowerCase() ?? "") ? second : `${first} ${second}`;
}

/** @param {Record<string, unknown>} exif */
function exposure({ ExposureTime: time, FNumber: aperture, PhotographicSensitivity: iso, FocalLength: focal }) {
  const seconds = typeof time === "number" && time > 0 && (time < 0.4 ? `1/${Math.round(1 / time)}` : String(time));
  return [
    seconds && `${seconds} s`,
    typeof aperture === "number" && `ƒ/${aperture}`,
    iso && `ISO ${iso}`,
    typeof focal === "number" && `${Math.round(focal * 10) / 10} mm`,
  ]
    .filter(Boolean)
    .join(" · ");
}

/**
 * Fills a <dl> with what people look for.
 * @param {HTMLElement} list
 * @param {ImageResponse} image
 */
export function showFacts(list, { data }) {
  const { metadata } = data;
  const exif = metadata?.exif ?? {};
  showRows(list, {
    Taken: formatTaken(exif.DateTimeOriginal ?? exif.DateTimeDigitized),
    Camera: cameraName(exif.Make, exif.Model),
    Lens: exif.LensModel,
    Exposure: exposure(exif),
    Picture: metadata && `${metadata.width} × ${metadata.height} pixels`,
    File: [data.original_name, metadata?.format.toUpperCase(), metadata && formatFileSize(metadata.size_bytes)]
      .filter(Boolean)
      .join(" · "),
    Note: metadata?.warnings.map((warning) => WARNINGS[warning] ?? warning).join("; "),
    Added: `${formatDate(data.created_at)}, ${data.source === "bucket" ? "dropped into the bucket" : "uploaded"}`,
  });
}

/**
 * Fills a <details> with what only few people look for.
 * @param {HTMLElement} details
 * @param {ImageResponse} image
 */
export function showFileDetails(details, image) {
  const { data } = image;
  const { metadata } = data;
  if (!details.firstChild)
    details.append(el("summary", { text: "File details" }), el("dl", { className: "metadata" }));
  showRows(/** @type {HTMLElement} */ (details.lastElementChild), {
    Colors:
      metadata &&
      [metadata.color_mode, metadata.bit_depth && `${metadata.bit_depth} bits`].filter(Boolean).join(", "),
    "Color profile": metadata?.icc_profile,
    Frames: (metadata?.frames ?? 1) > 1 ? metadata?.frames : null,
    Processed: data.processed_at && formatProcessed(data.processed_at, data.processing_time_seconds),
    Stages: stageSummary(image),
    "SHA-256": metadata?.sha256,
    ID: data.image_id,
  });
}

/**
 * @param {HTMLElement} list
 * @param {Record<string, unknown>} values
 */
function showRows(list, values) {
  const rows = Object.entries(values).filter(
    ([, value]) => value !== null && value !== undefined && String(value).trim(),
  );
  renderIfChanged(list, rows, () =>
    rows.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { dir: "auto", text: String(value) })]),
  );
}

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
