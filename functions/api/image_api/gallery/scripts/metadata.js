// The metadata of an image, as tables.

import { el, formatFileSize, formatSeconds, renderIfChanged } from "./dom.js";
import { stageSummary } from "./display.js";

const formatDate = (text) => (text ? new Date(text).toLocaleString() : null);

/** Fills a <dl> with the details of the file. */
export function showMetadata(list, { data }) {
  const metadata = data.metadata ?? {};
  const details = {
    File: data.original_name,
    Size: metadata.width && `${metadata.width} × ${metadata.height} pixels, ${formatFileSize(metadata.size_bytes)}`,
    Format:
      metadata.format &&
      [metadata.format.toUpperCase(), metadata.color_mode, metadata.bit_depth && `${metadata.bit_depth} bits`]
        .filter(Boolean)
        .join(", "),
    Frames: metadata.frames > 1 ? metadata.frames : null,
    "Color profile": metadata.icc_profile,
    Added: formatDate(data.created_at),
    Source: data.source === "bucket" ? "dropped into the bucket" : "uploaded",
    Processed:
      data.processed_at &&
      [
        formatDate(data.processed_at),
        data.processing_time_seconds !== null && `in ${formatSeconds(data.processing_time_seconds)}`,
      ]
        .filter(Boolean)
        .join(", "),
    Stages: stageSummary({ data }),
    "SHA-256": metadata.sha256,
    ID: data.image_id,
  };
  const rows = Object.entries(details).filter(([, value]) => value !== null && value !== undefined && value !== "");
  renderIfChanged(list, rows, () =>
    rows.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { dir: "auto", text: String(value) })]),
  );
}

/** Fills an element with the collapsed EXIF table, or with nothing if there are no tags. */
export function showExif(container, tags, position) {
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
