// The metadata of an image, as tables.

import { el, fileSize, replaceIfNew, seconds } from "./dom.js";
import { stages } from "./display.js";

const day = (text) => (text ? new Date(text).toLocaleString() : null);

/** Fills a <dl> with the details of the file. */
export function showMetadata(list, { data }) {
  const about = data.metadata ?? {};
  const known = {
    File: data.original_name,
    Size: about.width && `${about.width} × ${about.height} pixels, ${fileSize(about.size_bytes)}`,
    Format:
      about.format &&
      [about.format.toUpperCase(), about.color_mode, about.bit_depth && `${about.bit_depth} bits`]
        .filter(Boolean)
        .join(", "),
    Frames: about.frames > 1 ? about.frames : null,
    "Color profile": about.icc_profile,
    Added: day(data.created_at),
    Source: data.source === "bucket" ? "dropped into the bucket" : "uploaded",
    Processed:
      data.processed_at &&
      [
        day(data.processed_at),
        data.processing_time_seconds !== null && `in ${seconds(data.processing_time_seconds)}`,
      ]
        .filter(Boolean)
        .join(", "),
    Stages: stages({ data }),
    "SHA-256": about.sha256,
    ID: data.image_id,
  };
  const rows = Object.entries(known).filter(([, value]) => value !== null && value !== undefined && value !== "");
  replaceIfNew(list, rows, () =>
    rows.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { dir: "auto", text: String(value) })]),
  );
}

/** Fills an element with the collapsed EXIF table, or with nothing if there are no tags. */
export function showExif(place, tags, position) {
  const rows = Object.entries(tags).map(([name, value]) => [
    name,
    typeof value === "object" ? JSON.stringify(value) : String(value),
  ]);
  if (position) rows.push(["Position", `${position.latitude}, ${position.longitude}`]);
  replaceIfNew(place, rows, () => {
    if (!rows.length) return [];
    const body = rows.map(([name, value]) =>
      el("tr", {}, el("th", { scope: "row", text: name }), el("td", { dir: "auto", text: value })),
    );
    return [
      el("details", {}, el("summary", { text: `EXIF (${rows.length})` }), el("table", {}, el("tbody", {}, body))),
    ];
  });
}
