/** Lengths and angles between points of an image, and how they are written. */

/** @typedef {import('./view.js').Point} Point */
/** @typedef {'length' | 'angle'} Kind */
/** @typedef {[number, number] | null} Spacing millimetres from row to row and from column to column */

/** How many points each kind has; the second of an angle is its vertex. @type {Record<Kind, number>} */
export const POINTS = { length: 2, angle: 3 };

/**
 * @param {Point} from
 * @param {Point} to
 * @param {Spacing} spacing
 * @returns {Point} in millimetres; in pixels where the spacing is unknown
 */
function between(from, to, spacing) {
  const [row, column] = spacing ?? [1, 1];
  return [(to[0] - from[0]) * column, (to[1] - from[1]) * row];
}

/**
 * The length, in millimetres or pixels, or the angle, in degrees.
 * @param {Kind} kind
 * @param {Point[]} points
 * @param {Spacing} spacing
 */
export function measured(kind, points, spacing) {
  if (kind === 'length') return Math.hypot(...between(points[0], points[1], spacing));
  const [a, b] = [between(points[1], points[0], spacing), between(points[1], points[2], spacing)];
  const cross = a[0] * b[1] - a[1] * b[0];
  return Math.abs((Math.atan2(cross, a[0] * b[0] + a[1] * b[1]) * 180) / Math.PI);
}

/**
 * With its unit, in the language of the page.
 * @param {Kind} kind
 * @param {Point[]} points
 * @param {Spacing} spacing
 * @param {{pixels: string}} words
 */
export function written(kind, points, spacing, words) {
  const digits = kind === 'length' && !spacing ? 0 : 1;
  const format = new Intl.NumberFormat(document.documentElement.lang || 'tr', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  const number = format.format(measured(kind, points, spacing));
  if (kind === 'angle') return `${number}°`;
  return spacing ? `${number} mm` : `${number} ${words.pixels}`;
}

/**
 * The length of a scale bar: 1, 2 or 5 times a power of ten millimetres, at most `widest`.
 * @param {number} widest millimetres
 */
export function roundLength(widest) {
  const power = 10 ** Math.floor(Math.log10(widest));
  return [5, 2, 1].map((step) => step * power).find((length) => length <= widest) ?? power;
}
