// Draws what is shown until a picture is loaded: its ThumbHash, see https://evanw.github.io/thumbhash/.

/** @import { Placeholder } from "../../../types/api.d.ts" */

const LONG_SIDE = 20; // pixels
const FREQUENCIES = 7;
const SATURATION = 1.25; // makes up for what few levels lose

/**
 * @typedef {{ level: number, across: number, down: number }} Wave its frequencies, and its height
 * @typedef {{ average: number, waves: Wave[] }} Channel
 * @typedef {(at: number, frequency: number) => number} Cosines
 */

/**
 * Draws a ThumbHash on a canvas, in its proportions, or fills it with the average color if the hash is damaged.
 * @param {HTMLCanvasElement} canvas
 * @param {Placeholder} placeholder its hash is in base64
 */
export function drawPlaceholder(canvas, { thumbhash, color }) {
  try {
    const picture = decode(Uint8Array.from(atob(thumbhash), (character) => character.charCodeAt(0)));
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d")?.putImageData(picture, 0, 0);
  } catch {
    canvas.style.background = color; // not behind a hash, which may be transparent
  }
}

/**
 * @param {Uint8Array} hash
 * @returns {ImageData}
 */
function decode(hash) {
  const byte = (/** @type {number} */ at) => {
    const value = hash[at];
    if (value === undefined) throw new RangeError("The hash is cut short.");
    return value;
  };
  const head = byte(0) | (byte(1) << 8) | (byte(2) << 16);
  const sizes = byte(3) | (byte(4) << 8);
  const hasAlpha = head >> 23;
  const isLandscape = sizes >> 15;
  const [long, short] = [hasAlpha ? 5 : 7, Math.max(1, sizes & 7)];
  const [across, down] = isLandscape ? [long, short] : [short, long];
  // The waves of all channels follow each other, four bits each.
  let next = 2 * (hasAlpha ? 6 : 5);
  const nextLevel = () => {
    const level = (byte(next >> 1) >> (4 * (next & 1))) & 15;
    next++;
    return level / 7.5 - 1;
  };
  /** @type {(across: number, down: number, average: number, scale: number) => Channel} */
  const channel = (across, down, average, scale) => {
    const waves = [];
    for (let y = 0; y < down; y++) {
      for (let x = y ? 0 : 1; x * down < across * (down - y); x++) {
        waves.push({ level: nextLevel() * scale * 2, across: x, down: y });
      }
    }
    return { average, waves };
  };
  const light = channel(Math.max(3, across), Math.max(3, down), (head & 63) / 63, ((head >> 18) & 31) / 31);
  const yellow = channel(3, 3, ((head >> 6) & 63) / 31.5 - 1, (((sizes >> 3) & 63) / 63) * SATURATION);
  const tint = channel(3, 3, ((head >> 12) & 63) / 31.5 - 1, (((sizes >> 9) & 63) / 63) * SATURATION);
  const opacity = hasAlpha ? channel(5, 5, (byte(5) & 15) / 15, (byte(5) >> 4) / 15) : { average: 1, waves: [] };

  const ratio = across / down;
  const width = Math.max(1, Math.round(ratio > 1 ? LONG_SIDE : LONG_SIDE * ratio));
  const height = Math.max(1, Math.round(ratio > 1 ? LONG_SIDE / ratio : LONG_SIDE));
  const columns = cosines(width);
  const rows = cosines(height);
  const picture = new ImageData(width, height);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const valueOf = (/** @type {Channel} */ { average, waves }) =>
        waves.reduce((sum, wave) => sum + wave.level * columns(x, wave.across) * rows(y, wave.down), average);
      const [l, p, q, alpha] = [valueOf(light), valueOf(yellow), valueOf(tint), valueOf(opacity)];
      const blue = l - (2 / 3) * p;
      const red = (3 * l - blue + q) / 2;
      picture.data.set([255 * red, 255 * (red - q), 255 * blue, 255 * alpha], at); // clamps them
    }
  }
  return picture;
}

/**
 * The cosines of the lowest frequencies at each of `length` pixels.
 * @param {number} length
 * @returns {Cosines}
 */
function cosines(length) {
  const table = Array.from({ length: length * FREQUENCIES }, (_, index) => {
    const [at, frequency] = [Math.floor(index / FREQUENCIES), index % FREQUENCIES];
    return Math.cos((Math.PI / length) * (at + 0.5) * frequency);
  });
  return (at, frequency) => table[at * FREQUENCIES + frequency] ?? 0;
}
