// Zoom and pan of the viewer's picture: wheel, pinch, double click, drag, and the keyboard.

const WHEEL_SPEED = 0.0015; // per unit of deltaY
const PINCH_SPEED = 0.01; // a trackpad's pinch arrives as wheel events with Ctrl
const KEY_FACTOR = 1.5;
const PAN_STEP = 0.2; // of the stage, for one press of an arrow key
const MAX_SCALE = 8; // times one picture pixel per screen pixel
const LONG = 4; // a picture with sides of this ratio would be a stripe, so it fills a part of the stage at first
const LONG_SHARE = 0.5;
const TAP_MS = 300;
const TAP_PIXELS = 12; // a pointer that moves less has tapped
const SWIPE_PIXELS = 60;

/** @typedef {{ x: number, y: number }} Point in the stage, in CSS pixels */

/**
 * Makes the picture in `frame` zoomable within `stage`. The frame is given its size and position by styles.
 * @param {HTMLElement} stage
 * @param {HTMLElement} frame
 * @param {{ onChange: () => void, onSwipe: (offset: number) => void }} events after zooming, and after a swipe while the
 *   whole picture is visible: 1 to the next image, -1 to the previous one
 */
export function zoomable(stage, frame, { onChange, onSwipe }) {
  let picture = { width: 1, height: 1 };
  let scale = 1; // CSS pixels per picture pixel
  let [left, top] = [0, 0]; // of the frame in the stage
  let isFitted = true;
  /** @type {Map<number, Point>} */
  const pointers = new Map();
  /** @type {(Point & { moved: boolean }) | null} */
  let pressed = null;
  let lastTap = { time: 0, x: 0, y: 0 };

  const room = () => ({ width: stage.clientWidth, height: stage.clientHeight });
  const actualScale = () => 1 / window.devicePixelRatio;
  const fitScale = () => Math.min(room().width / picture.width, room().height / picture.height, 1);
  const isZoomed = () => scale > fitScale() * 1.001;

  function place() {
    const { width, height } = room();
    const size = { width: picture.width * scale, height: picture.height * scale };
    // A side that fits is centered, a longer one has no gap at its ends.
    const clamp = (/** @type {number} */ at, /** @type {number} */ side, /** @type {number} */ space) =>
      side <= space ? (space - side) / 2 : Math.min(0, Math.max(space - side, at));
    left = clamp(left, size.width, width);
    top = clamp(top, size.height, height);
    frame.style.width = `${size.width}px`;
    frame.style.height = `${size.height}px`;
    frame.style.transform = `translate(${left}px, ${top}px)`;
    stage.classList.toggle("zoomed", isZoomed());
    onChange();
  }

  /**
   * Zooms so that the point (x, y) of the stage stays where it is.
   * @param {number} wanted the new scale
   * @param {number} [x]
   * @param {number} [y]
   */
  function zoomTo(wanted, x = room().width / 2, y = room().height / 2) {
    const next = Math.min(Math.max(wanted, fitScale()), Math.max(actualScale() * MAX_SCALE, fitScale()));
    left = x - ((x - left) * next) / (scale || 1);
    top = y - ((y - top) * next) / (scale || 1);
    scale = next;
    isFitted = !isZoomed();
    place();
  }

  const fit = () => zoomTo(0);

  /** @type {(x?: number, y?: number) => void} */
  const toggle = (x, y) => {
    if (isZoomed()) return fit();
    zoomTo(actualScale() > fitScale() * 1.2 ? actualScale() : fitScale() * 2, x, y);
  };

  /** @param {MouseEvent} event */
  const pointIn = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const { x, y } = pointIn(event);
      const speed = event.ctrlKey ? PINCH_SPEED : WHEEL_SPEED;
      zoomTo(scale * Math.exp(-event.deltaY * speed * (event.deltaMode ? 20 : 1)), x, y);
    },
    { passive: false },
  );

  stage.addEventListener("pointerdown", (event) => {
    if (event.button || (event.target instanceof Element && event.target.closest("button"))) return;
    const point = pointIn(event);
    pointers.set(event.pointerId, point);
    stage.setPointerCapture(event.pointerId);
    pressed = pointers.size === 1 ? { ...point, moved: false } : null;
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const point = pointIn(event);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, point);
    if (other) {
      const spread = (/** @type {Point} */ one) => Math.hypot(one.x - other.x, one.y - other.y);
      const middle = { x: (point.x + other.x) / 2, y: (point.y + other.y) / 2 };
      left += (point.x - before.x) / 2; // as far as the middle has moved
      top += (point.y - before.y) / 2;
      zoomTo((scale * spread(point)) / Math.max(1, spread(before)), middle.x, middle.y);
    } else if (pressed) {
      pressed.moved ||= Math.hypot(point.x - pressed.x, point.y - pressed.y) > TAP_PIXELS;
      if (!isZoomed()) return;
      left += point.x - before.x;
      top += point.y - before.y;
      place();
    }
  });
  stage.addEventListener("pointerup", (event) => {
    const start = pressed;
    pointers.delete(event.pointerId);
    pressed = null;
    if (!start) return;
    const point = pointIn(event);
    if (!start.moved) {
      const isDouble =
        event.timeStamp - lastTap.time < TAP_MS &&
        Math.hypot(point.x - lastTap.x, point.y - lastTap.y) < 2 * TAP_PIXELS;
      lastTap = { time: isDouble ? 0 : event.timeStamp, ...point };
      if (isDouble) toggle(point.x, point.y);
    } else if (!isZoomed() && event.pointerType !== "mouse") {
      const [across, down] = [point.x - start.x, point.y - start.y];
      if (Math.abs(across) > SWIPE_PIXELS && Math.abs(across) > 2 * Math.abs(down)) onSwipe(across < 0 ? 1 : -1);
    }
  });
  stage.addEventListener("pointercancel", (event) => {
    pointers.delete(event.pointerId);
    pressed = null;
  });
  new ResizeObserver(() => (isFitted ? fit() : place())).observe(stage);

  return {
    fit,
    /** Shows one pixel of the picture as one pixel of the screen. */
    actual: () => zoomTo(actualScale()),
    zoomIn: () => zoomTo(scale * KEY_FACTOR),
    zoomOut: () => zoomTo(scale / KEY_FACTOR),
    isZoomed,
    /** Screen pixels per pixel of the picture. */
    pixelScale: () => scale * window.devicePixelRatio,
    /**
     * Moves the visible part, in steps.
     * @param {number} across
     * @param {number} down
     */
    pan(across, down) {
      left -= across * PAN_STEP * room().width;
      top -= down * PAN_STEP * room().height;
      place();
    },
    /**
     * Shows another picture: whole, or the beginning of a very long one.
     * @param {{ width: number, height: number }} size in pixels
     */
    show(size) {
      picture = size;
      [left, top] = [0, 0];
      const { width, height } = room();
      const ratio = size.width / size.height;
      const longScale = LONG_SHARE * (ratio > 1 ? height / size.height : width / size.width);
      scale = Math.max(ratio, 1 / ratio) > LONG ? Math.max(fitScale(), Math.min(longScale, 1)) : fitScale();
      isFitted = !isZoomed();
      place();
    },
  };
}
