/** What can be drawn between points of an image, how much that is, and how it is written. */

/** @typedef {import('./view.js').Point} Point */
/** @typedef {'length' | 'angle' | 'cobb' | 'cardiothoracic' | 'ellipse' | 'rectangle' | 'arrow' | 'text'} Kind */
/** @typedef {[number, number] | null} Spacing millimetres from row to row and from column to column */

/**
 * How many points each kind has: the second of an angle is its vertex, two are an end of a line or a corner each.
 * @type {Record<Kind, number>}
 */
export const POINTS = { length: 2, angle: 3, cobb: 4, cardiothoracic: 4, ellipse: 2, rectangle: 2, arrow: 2, text: 1 };
/** How many of them a hand sets: the fourth of a cardiothoracic ratio is proposed (wall.js). @param {Kind} kind */
export const clicks = (kind) => (kind === 'cardiothoracic' ? 3 : POINTS[kind]);

/** @param {string} kind @returns {kind is Kind} */
export const isKind = (kind) => kind in POINTS;
/** Whether its pixels are counted, which the server does. @param {Kind} kind */
export const isRegion = (kind) => kind === 'ellipse' || kind === 'rectangle';

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

/** Between two directions, in degrees. @param {Point} a @param {Point} b */
function angle(a, b) {
  return Math.abs((Math.atan2(a[0] * b[1] - a[1] * b[0], a[0] * b[0] + a[1] * b[1]) * 180) / Math.PI);
}

/** Along what a thorax is wide: 0 for the rows, 1 for the columns. @param {Point[]} points @param {Spacing} spacing */
function across(points, spacing) {
  const [x, y] = between(points[2], points[3], spacing);
  return Math.abs(x) >= Math.abs(y) ? 0 : 1;
}

/**
 * The length or the area, in millimetres or pixels, the angle, in degrees, or the ratio; 0 of what measures nothing.
 * @param {Kind} kind
 * @param {Point[]} points
 * @param {Spacing} spacing
 */
export function measured(kind, points, spacing) {
  if (kind === 'arrow' || kind === 'text') return 0;
  if (kind === 'length') return Math.hypot(...between(points[0], points[1], spacing));
  if (kind === 'angle') return angle(between(points[1], points[0], spacing), between(points[1], points[2], spacing));
  if (kind === 'cobb') {
    const found = angle(between(points[0], points[1], spacing), between(points[2], points[3], spacing));
    return Math.min(found, 180 - found);
  }
  if (kind === 'cardiothoracic') {
    const [heart, thorax] = widths(points, spacing);
    return heart / thorax;
  }
  const [x, y] = between(points[0], points[1], spacing);
  return Math.abs(x * y) * (kind === 'ellipse' ? Math.PI / 4 : 1);
}

/** The widths of heart and thorax: sideways, at whatever height the points are. @param {Point[]} points @param {Spacing} spacing */
function widths(points, spacing) {
  const axis = across(points, spacing);
  return [0, 2].map((at) => Math.abs(between(points[at], points[at + 1], spacing)[axis]));
}

/** @param {number} number @param {number} digits */
function said(number, digits) {
  const language = document.documentElement.lang || 'tr';
  return new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(number);
}

/**
 * With its unit, in the language of the page; empty of what measures nothing.
 * @param {Kind} kind
 * @param {Point[]} points
 * @param {Spacing} spacing
 * @param {{pixels: string}} words
 */
export function written(kind, points, spacing, words) {
  if (kind === 'arrow' || kind === 'text') return '';
  const much = measured(kind, points, spacing);
  if (kind === 'angle' || kind === 'cobb') return `${said(much, 1)}°`;
  const unit = spacing ? 'mm' : words.pixels;
  if (kind === 'cardiothoracic') {
    const [heart, thorax] = widths(points, spacing).map((width) => said(width, spacing ? 1 : 0));
    return `${said(much, 2)} (${heart} / ${thorax} ${unit})`;
  }
  return `${said(much, spacing ? 1 : 0)} ${unit}${isRegion(kind) ? '²' : ''}`;
}

/**
 * The lines that are drawn between points, an ellipse as one of many.
 * @param {Kind} kind
 * @param {Point[]} points
 * @param {Spacing} spacing
 * @returns {Point[][]}
 */
export function lines(kind, points, spacing) {
  if (points.length < POINTS[kind]) return kind === 'cobb' || kind === 'cardiothoracic' ? [points.slice(0, 2), points.slice(2)].filter((line) => line.length > 1) : [points];
  const [[left, top], [right, bottom] = [0, 0]] = points;
  switch (kind) {
    case 'text':
      return [];
    case 'cobb':
      return [points.slice(0, 2), points.slice(2)];
    case 'rectangle':
      return [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]];
    case 'ellipse':
      return [
        Array.from({ length: 65 }, (_, step) => {
          const turn = (step / 32) * Math.PI;
          return /** @type {Point} */ ([
            (left + right) / 2 + (Math.cos(turn) * (right - left)) / 2,
            (top + bottom) / 2 + (Math.sin(turn) * (bottom - top)) / 2,
          ]);
        }),
      ];
    case 'cardiothoracic': {
      const axis = across(points, spacing);
      const spans = [0, 2].map((at) => {
        const level = (points[at][1 - axis] + points[at + 1][1 - axis]) / 2;
        return [points[at], points[at + 1]].map((end) => /** @type {Point} */ (axis ? [level, end[1]] : [end[0], level]));
      });
      return [...spans, ...points.map((point, at) => [point, spans[at >> 1][at % 2]])];
    }
    default:
      return [points];
  }
}

/**
 * The length of a scale bar: 1, 2 or 5 times a power of ten millimetres, at most `widest`.
 * @param {number} widest millimetres
 */
export function roundLength(widest) {
  const power = 10 ** Math.floor(Math.log10(widest));
  return [5, 2, 1].map((step) => step * power).find((length) => length <= widest) ?? power;
}
