/** A magnifying glass over a pane: the pixels under the hand, two and a half times as large, in the same window. */

import { back } from './view.js';

const SIDE = 240; // CSS pixels
const TIMES = 2.5;

export class Magnifier {
  /** @param {import('./pane.js').Pane} pane */
  constructor(pane) {
    this.pane = pane;
    this.canvas = document.createElement('canvas');
    this.canvas.className = 'magnifier';
    this.canvas.width = this.canvas.height = SIDE;
    this.canvas.hidden = true;
    this.canvas.setAttribute('aria-hidden', 'true');
    pane.stage.append(this.canvas);
    pane.display.addEventListener('change', () => this.at && this.show(this.at));
    /** @type {import('./view.js').Point | null} */
    this.at = null;
  }

  hide() {
    this.at = null;
    this.canvas.hidden = true;
  }

  /** @param {import('./view.js').Point} at of the pane */
  show(at) {
    const { pixels, matrix, window, inverted, frame } = this.pane.display;
    const context = this.canvas.getContext('2d');
    if (!pixels || !context) return;
    this.at = at;
    const { rows, columns, values, white } = pixels;
    const samples = Math.round(values.length / (rows * columns));
    const picture = context.createImageData(SIDE, SIDE);
    const origin = back(matrix, [at[0] - SIDE / 2 / TIMES, at[1] - SIDE / 2 / TIMES]);
    const right = back(matrix, [at[0] + SIDE / 2 / TIMES, at[1] - SIDE / 2 / TIMES]);
    const down = back(matrix, [at[0] - SIDE / 2 / TIMES, at[1] + SIDE / 2 / TIMES]);
    const step = (/** @type {import('./view.js').Point} */ end) => [(end[0] - origin[0]) / SIDE, (end[1] - origin[1]) / SIDE];
    const [across, along] = [step(right), step(down)];
    const low = (window.centre - window.width / 2) * white;
    const scale = 255 / Math.max(window.width * white, 1e-6);
    const value = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ sample) => {
      if (x < 0 || y < 0 || x >= columns || y >= rows) return null;
      return values[(y * columns + x) * samples + sample];
    };
    for (let j = 0, place = 0; j < SIDE; j += 1) {
      for (let i = 0; i < SIDE; i += 1, place += 4) {
        // The middle of the first pixel is at (0.5, 0.5).
        const x = origin[0] + across[0] * i + along[0] * j - 0.5;
        const y = origin[1] + across[1] * i + along[1] * j - 0.5;
        const [left, top] = [Math.floor(x), Math.floor(y)];
        const [u, v] = [x - left, y - top];
        for (let sample = 0; sample < 3; sample += 1) {
          const which = samples === 3 ? sample : 0;
          const own = value(Math.round(x), Math.round(y), which);
          const corners = [value(left, top, which), value(left + 1, top, which), value(left, top + 1, which), value(left + 1, top + 1, which)];
          const [a, b, c, d] = corners.map((one) => one ?? own ?? 0);
          const grey = own === null ? 0 : ((a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v - low) * scale;
          const shade = Math.min(Math.max(grey, 0), 255);
          picture.data[place + sample] = own === null ? 0 : inverted ? 255 - shade : shade;
        }
        picture.data[place + 3] = 255;
      }
    }
    context.putImageData(picture, 0, 0);
    const { width, height } = frame;
    this.canvas.style.left = `${Math.min(Math.max(at[0] - SIDE / 2, 0), Math.max(0, width - SIDE))}px`;
    this.canvas.style.top = `${Math.min(Math.max(at[1] - SIDE / 2, 0), Math.max(0, height - SIDE))}px`;
    this.canvas.hidden = false;
  }
}
