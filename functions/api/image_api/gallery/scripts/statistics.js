// The statistics: one line, which opens to totals, rates, and the processing times as a small chart.

import { getHealth, getStatistics } from "./api.js";
import { byId, formatSeconds, pluralize, renderIfChanged, setText, svg } from "./dom.js";

/** @import { ProcessingTimes } from "../../../types/api.d.ts" */

/** @type {[keyof ProcessingTimes, string][]} */
const PERCENTILES = [
  ["p50", "median"],
  ["p95", "95% under"],
  ["p99", "99% under"],
];
const DOWNLOAD_POLL_MS = 5000; // /health does not read the database more often
const MODEL_POLL_MS = 10000; // the model is known once a processor has loaded it, and may be replaced
const WIDTH = 220;
const ROW_HEIGHT = 20;

/**
 * Sets the text of a part of a tile.
 * @param {string} name
 * @param {"strong" | "small"} part
 * @param {string} text
 */
function setTile(name, part, text) {
  setText(/** @type {Element} */ (document.querySelector(`.tile.${name} ${part}`)), text);
}

/**
 * Returns the chart, an <svg> element.
 * @param {ProcessingTimes} times
 * @param {number | null} average
 */
function chart(times, average) {
  const longest = Math.max(...PERCENTILES.map(([name]) => times[name] ?? 0), 0.001);
  const rows = PERCENTILES.map(([name, label], index) => {
    const value = times[name];
    const top = index * ROW_HEIGHT;
    const length = value === null ? 0 : Math.max(2, (value / longest) * (WIDTH - 130));
    /** @type {(x: number, content: string, className: string) => SVGElement} */
    const text = (x, content, className) => {
      const node = svg("text", { x, y: top + 15, class: className });
      node.textContent = content;
      return node;
    };
    return [
      text(0, label, "label"),
      svg("rect", { x: 75, y: top + 4, width: length, height: ROW_HEIGHT - 8, rx: 3, class: name }),
      text(75 + length + 6, formatSeconds(value), "value"),
    ];
  });
  const description = `Processing time: ${PERCENTILES.map(([name, label]) => `${label} ${formatSeconds(times[name])}`).join(", ")}; average ${formatSeconds(average)}`;
  return svg(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${ROW_HEIGHT * PERCENTILES.length}`,
      width: WIDTH,
      height: ROW_HEIGHT * PERCENTILES.length,
      role: "img",
      "aria-label": description,
    },
    ...rows.flat(),
  );
}

/** Fetches the statistics and shows them. */
export async function refreshStatistics() {
  const stats = await getStatistics();
  for (const name of /** @type {const} */ (["total", "in_progress", "success", "failed"])) {
    setTile(name, "strong", stats[name].toLocaleString("en"));
  }
  const finished = stats.success + stats.failed;
  setTile("success", "small", finished ? stats.success_rate : "");
  setTile("failed", "small", finished ? stats.failure_rate : "");
  document.querySelector(".tile.failed")?.classList.toggle("none", stats.failed === 0);
  for (const [name, count] of Object.entries({ "": stats.total, failed: stats.failed })) {
    const shown = document.querySelector(`#statuses [data-status="${name}"] .count`);
    if (shown) setText(shown, count ? count.toLocaleString("en") : "");
  }
  const median = stats.processing_time_seconds.p50;
  setText(
    byId("summary"),
    [
      pluralize(stats.total, "image"),
      finished && `${stats.success_rate} successful`,
      median !== null && `median ${formatSeconds(median)}`,
      stats.in_progress && `${stats.in_progress.toLocaleString("en")} in progress`,
    ]
      .filter(Boolean)
      .join(" · "),
  );
  renderIfChanged(byId("times"), stats.processing_time_seconds, (times) => [
    chart(times, stats.average_processing_time_seconds),
  ]);
}

/** @param {string} model */
const shortModelName = (model) => model.replace(/(@.{12}).*/, "$1"); // a revision is 40 characters

/**
 * Fetches the caption model in use, shows it, and highlights the demo model.
 * Returns the milliseconds until the next call; 0 if no change is expected.
 */
export async function refreshModel() {
  const { caption_model: model, next_caption_model: next } = await getHealth();
  const isDemo = /demo/i.test(model ?? "");
  const name = model ? `Captions by ${shortModelName(model)}` : "No caption model is loaded yet";
  setText(byId("model-name"), name);
  byId("model-name").hidden = isDemo;
  byId("demo").hidden = !isDemo;
  byId("demo-remedy").hidden = Boolean(next);
  setText(byId("demo-progress"), next ? `${next.name} is being downloaded: ${next.percent}%` : "");
  if (next) return DOWNLOAD_POLL_MS;
  return model && !isDemo ? 0 : MODEL_POLL_MS;
}
