// The layout of the grid: rows of equal height that fill the width, with each picture in its own proportions.

/** @typedef {{ width: number, height: number }} Box in CSS pixels */

const MIN_RATIO = 0.5; // width / height; pictures beyond these two, or wider than a row, are cropped in the grid
const MAX_RATIO = 3.5;
const PIXEL = 64; // browsers lay out in 64ths of a pixel

/**
 * Returns the box of each picture, and how many of the pictures are in full rows.
 * @param {number[]} ratios width / height
 * @param {{ width: number, rowHeight: number, gap: number }} grid `rowHeight` is the target
 * @returns {{ boxes: Box[], full: number }}
 */
export function justify(ratios, { width, rowHeight, gap }) {
  /** @type {Box[]} */
  const boxes = [];
  /** @type {number[]} */
  let row = [];
  const fillingHeight = () => (width - gap * (row.length - 1)) / row.reduce((sum, ratio) => sum + ratio, 0);
  const end = (/** @type {number} */ height) => {
    // Rounded down, so that a full row never wraps.
    for (const ratio of row) boxes.push({ width: Math.floor(ratio * height * PIXEL) / PIXEL, height });
    row = [];
  };
  for (const ratio of ratios) {
    const before = row.length ? fillingHeight() : Infinity;
    const clamped = Math.max(MIN_RATIO, Math.min(ratio, MAX_RATIO, width / rowHeight));
    row.push(clamped);
    if (fillingHeight() > rowHeight) continue;
    // The row is full, with or without this picture: whichever is closer to the target.
    if (before / rowHeight < rowHeight / fillingHeight()) {
      row.pop();
      end(before);
      row.push(clamped);
      if (fillingHeight() > rowHeight) continue;
    }
    end(fillingHeight());
  }
  const full = boxes.length;
  if (row.length) end(rowHeight);
  return { boxes, full };
}
