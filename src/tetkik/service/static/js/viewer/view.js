/**
 * How an image lies in its pane: which point of it is in the middle, how large, how turned. Pure arithmetic.
 *
 * Points of an image are in pixels from the outer corner of its first pixel: `x` along the columns, `y` along
 * the rows. Points of a pane are in CSS pixels from its upper left corner. Where pixels are not square, the
 * image is stretched by `aspect`, so that a circle stays one.
 */

/**
 * @typedef {object} View
 * @property {number} x the point of the image that is in the middle of the pane
 * @property {number} y
 * @property {number} zoom CSS pixels for one row of the image
 * @property {number} turn clockwise, in degrees: 0 to 359
 * @property {boolean} mirrored left for right, before it is turned
 */

/**
 * @typedef {object} Frame what is shown in what
 * @property {number} columns of the image
 * @property {number} rows
 * @property {number} aspect width of a pixel over its height
 * @property {number} width of the pane
 * @property {number} height
 */

/** @typedef {[number, number, number, number, number, number]} Matrix `a b c d e f`, as a CSS `matrix()` */
/** @typedef {[number, number]} Point */

const LARGEST = 40;
const SMALLEST = 0.25; // of the zoom that fits

/** @param {number} degrees @returns {number} */
const radians = (degrees) => (degrees * Math.PI) / 180;

/**
 * The zoom at which the whole image is seen.
 * @param {Frame} frame
 * @param {number} turn
 */
export function fittingZoom({ columns, rows, aspect, width, height }, turn) {
  const cos = Math.abs(Math.cos(radians(turn)));
  const sin = Math.abs(Math.sin(radians(turn)));
  const wide = columns * aspect * cos + rows * sin;
  const high = columns * aspect * sin + rows * cos;
  return Math.min(width / wide, height / high);
}

/**
 * The whole image in the middle, turned as it was.
 * @param {Frame} frame
 * @param {{turn?: number, mirrored?: boolean}} [kept]
 * @returns {View}
 */
export function fitted(frame, { turn = 0, mirrored = false } = {}) {
  return { x: frame.columns / 2, y: frame.rows / 2, zoom: fittingZoom(frame, turn), turn, mirrored };
}

/**
 * From points of the image to points of the pane.
 * @param {View} view
 * @param {Frame} frame
 * @returns {Matrix}
 */
export function matrixOf(view, frame) {
  const cos = Math.cos(radians(view.turn)) * view.zoom;
  const sin = Math.sin(radians(view.turn)) * view.zoom;
  const across = frame.aspect * (view.mirrored ? -1 : 1);
  const [a, b, c, d] = [cos * across, sin * across, -sin, cos];
  return [a, b, c, d, frame.width / 2 - a * view.x - c * view.y, frame.height / 2 - b * view.x - d * view.y];
}

/** @param {Matrix} matrix @param {Point} point @returns {Point} */
export function through([a, b, c, d, e, f], [x, y]) {
  return [a * x + c * y + e, b * x + d * y + f];
}

/** @param {Matrix} matrix @param {Point} point @returns {Point} */
export function back([a, b, c, d, e, f], [x, y]) {
  const whole = a * d - b * c;
  return [(d * (x - e) - c * (y - f)) / whole, (a * (y - f) - b * (x - e)) / whole];
}

/**
 * Larger or smaller by `factor`, with the point of the image under `at` staying where it is.
 * @param {View} view
 * @param {Frame} frame
 * @param {number} factor
 * @param {Point} [at] of the pane; its middle where it is left out
 * @returns {View}
 */
export function zoomed(view, frame, factor, at = [frame.width / 2, frame.height / 2]) {
  const least = fittingZoom(frame, view.turn) * SMALLEST;
  const zoom = Math.min(Math.max(view.zoom * factor, least), Math.max(LARGEST, least));
  const under = back(matrixOf(view, frame), at);
  const held = { ...view, zoom };
  const now = through(matrixOf(held, frame), under);
  return moved(held, frame, [at[0] - now[0], at[1] - now[1]]);
}

/**
 * Moved by so many CSS pixels.
 * @param {View} view
 * @param {Frame} frame
 * @param {Point} by
 * @returns {View}
 */
export function moved(view, frame, by) {
  const middle = [frame.width / 2 - by[0], frame.height / 2 - by[1]];
  const [x, y] = back(matrixOf(view, frame), /** @type {Point} */ (middle));
  // Half of the pane always keeps a piece of the image, so that nobody loses it.
  return { ...view, x: Math.min(Math.max(x, 0), frame.columns), y: Math.min(Math.max(y, 0), frame.rows) };
}

/**
 * Turned clockwise, as it is seen.
 * @param {View} view
 * @param {number} degrees
 * @returns {View}
 */
export function turned(view, degrees) {
  return { ...view, turn: (((view.turn + degrees) % 360) + 360) % 360 };
}

/**
 * Left and right of the pane exchanged, however the image is turned.
 * @param {View} view
 * @returns {View}
 */
export function flipped(view) {
  return { ...view, mirrored: !view.mirrored, turn: (360 - view.turn) % 360 };
}

/**
 * The same place, turn and scale in another image. Millimetres are the same length in both where both are known,
 * so that what grew is seen to have grown; else each image fills its pane as much as the other.
 * @param {View} view
 * @param {Frame} from
 * @param {Frame} to
 * @param {[number, number]} [millimetres] of a row of either image
 * @returns {View}
 */
export function carried(view, from, to, millimetres) {
  const zoom = millimetres
    ? (view.zoom / millimetres[0]) * millimetres[1]
    : (view.zoom / fittingZoom(from, view.turn)) * fittingZoom(to, view.turn);
  return { ...view, x: (view.x / from.columns) * to.columns, y: (view.y / from.rows) * to.rows, zoom };
}
