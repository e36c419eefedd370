/**
 * Windows: which values of an image are black and which are white.
 *
 * A radiograph has no Hounsfield units, so every window is in parts of the image's white value, 0 to 1: the same
 * preset then fits an 8-bit photograph of a film and a 16-bit detector.
 */

/**
 * @typedef {object} Window
 * @property {number} centre in parts of white
 * @property {number} width
 */

/** What each preset shows well: air is dark, bone is bright. @type {Record<string, Window>} */
export const PRESETS = {
  lung: { centre: 0.34, width: 0.62 },
  mediastinum: { centre: 0.62, width: 0.46 },
  bone: { centre: 0.76, width: 0.6 },
  brain: { centre: 0.32, width: 0.56 },
  contrast: { centre: 0.4, width: 0.3 },
  full: { centre: 0.5, width: 1 },
};

/** The same of a CT, in Hounsfield units. @type {Record<string, Window>} */
export const HOUNSFIELD = {
  lung: { centre: -600, width: 1500 },
  soft: { centre: 40, width: 400 },
  bone: { centre: 400, width: 1800 },
  brain: { centre: 40, width: 80 },
  liver: { centre: 60, width: 160 },
};

/**
 * The window of a preset; `default` is the image's own.
 * @param {string} name
 * @param {import('./pixels.js').Pixels} pixels
 * @returns {Window}
 */
export function presetOf(name, pixels) {
  if (name === 'default') return pixels.window;
  const { scale, white } = pixels;
  const units = scale?.unit === 'HU' ? HOUNSFIELD[name] : undefined;
  if (!scale || !units) return PRESETS[name] ?? PRESETS.full;
  return { centre: (units.centre - scale.intercept) / scale.slope / white, width: units.width / Math.abs(scale.slope) / white };
}

/**
 * Width and centre as they are written: in the unit of the values where there is one, else in percent of white.
 * @param {Window} window
 * @param {import('./pixels.js').Pixels} pixels
 * @returns {{width: number, centre: number}}
 */
export function figures({ centre, width }, { scale, white }) {
  if (!scale) return { width: Math.round(width * 100), centre: Math.round(centre * 100) };
  return { width: Math.round(width * white * Math.abs(scale.slope)), centre: Math.round(centre * white * scale.slope + scale.intercept) };
}

const NARROWEST = 1 / 256;

/**
 * Kept within what can be seen.
 * @param {Window} window
 * @returns {Window}
 */
export function clamped({ centre, width }) {
  return { centre: Math.min(Math.max(centre, -0.5), 1.5), width: Math.min(Math.max(width, NARROWEST), 3) };
}

/**
 * Wider and brighter, as the hand moves: right is wider (less contrast), up is brighter.
 * @param {Window} window
 * @param {number} right in parts of the pane's width
 * @param {number} up in parts of its height
 */
export function dragged({ centre, width }, right, up) {
  // A narrow window moves finely, a wide one coarsely.
  const step = Math.max(width, 0.05);
  return clamped({ centre: centre - up * step, width: width + right * step * 2 });
}

/**
 * The values of black and white.
 * @param {Window} window
 * @param {number} white of the image
 */
export function rangeOf({ centre, width }, white) {
  return { lower: (centre - width / 2) * white, upper: (centre + width / 2) * white };
}
