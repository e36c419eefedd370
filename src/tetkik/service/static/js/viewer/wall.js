/**
 * The fourth edge of a cardiothoracic ratio, proposed: the inner chest wall on the other side, at the height of the
 * one that was set. It is where the film brightens most from the lung outwards, near the mirror image of the set
 * edge about the middle of the film; where nothing brightens, that mirror image itself.
 */

/** @typedef {import('./view.js').Point} Point */

const AROUND = 0.12; // of the width: a film is not always centred, nor a chest symmetric
const LEAST = 0.02; // of white: less is no edge

/**
 * @param {import('./pixels.js').Pixels} pixels
 * @param {Point[]} points both borders of the heart, then the wall on one side
 * @returns {Point}
 */
export function oppositeWall({ rows, columns, values, white }, [one, other, wall]) {
  const mirror = columns - wall[0];
  const out = mirror > wall[0] ? 1 : -1;
  const heart = out > 0 ? Math.max(one[0], other[0]) : Math.min(one[0], other[0]);
  const step = Math.max(2, Math.round(columns * 0.01));
  const level = Math.min(Math.max(Math.round(wall[1]), 0), rows - 1);
  const high = Math.max(1, Math.round(rows * 0.004));
  const samples = values.length / (rows * columns);
  if (samples !== 1) return [mirror, wall[1]];
  const column = (/** @type {number} */ x) => {
    let sum = 0;
    let count = 0;
    for (let row = Math.max(0, level - high); row <= Math.min(rows - 1, level + high); row += 1, count += 1) sum += values[row * columns + x];
    return sum / count;
  };
  let [best, place] = [LEAST * white, mirror];
  const [first, last] = [mirror - AROUND * columns, mirror + AROUND * columns].map((x) => Math.min(Math.max(Math.round(x), step), columns - step - 1));
  for (let x = first; x <= last; x += 1) {
    if ((x - heart) * out <= step) continue; // not within the heart
    let rise = 0;
    for (let by = 1; by <= step; by += 1) rise += column(x + out * by) - column(x - out * by);
    if (rise / step > best) [best, place] = [rise / step, x + 0.5];
  }
  return [place, wall[1]];
}
