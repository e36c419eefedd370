/** One pane of the viewer: the image, the heatmap over it, the measurements over both, and what is written at its edges. */

import { Display } from './display.js';
import { Frames } from './frames.js';
import { listen } from './gestures.js';
import { Heat } from './heat.js';
import { Marks } from './marks.js';
import { roundLength } from './measure.js';
import { fitted, flipped, moved, turned, zoomed } from './view.js';
import { PRESETS, dragged } from './windows.js';

/** @typedef {import('./view.js').Point} Point */
/** @typedef {'window' | 'pan' | 'zoom' | 'length' | 'angle'} Tool */

/** Says `view` when the image moved, `window` when its grey values did, `focus` when it was touched. */
export class Pane extends EventTarget {
  /**
   * @param {HTMLElement} root
   * @param {Record<string, string>} words
   * @param {(sentence: string) => void} say
   */
  constructor(root, words, say) {
    super();
    this.root = root;
    this.words = words;
    this.say = say;
    /** @type {Tool} */
    this.tool = 'window';
    this.stage = /** @type {HTMLElement} */ (root.querySelector('[data-stage]'));
    const drawn = document.createElement('div');
    drawn.className = 'drawn';
    this.stage.prepend(drawn);
    this.display = new Display(drawn);
    this.heat = new Heat(this.display, () => say(words.noHeat));
    this.marks = new Marks(this.display, words, say);
    this.display.addEventListener('change', () => this.#write());
    this.stage.addEventListener('focus', () => this.dispatchEvent(new Event('focus')));
    this.#hands();
  }

  /** Fetch and show the image that the markup names. */
  async open() {
    const { image = '', pixels = '' } = this.root.dataset;
    const bar = /** @type {HTMLElement | null} */ (this.root.querySelector('[data-frames]'));
    if (bar) this.frames ??= new Frames(this, bar);
    const state = /** @type {HTMLElement} */ (this.root.querySelector('[data-state]'));
    try {
      const frame = this.frames?.shown;
      await this.display.show(image, frame ? (this.frames?.address(frame) ?? '') : pixels, frame);
      state.hidden = true;
      this.root.dataset.ready = this.display.onProcessor ? 'processor' : 'webgl';
    } catch (error) {
      const reason = error instanceof Error && error.name === 'Error' ? error.message : '';
      state.textContent = [this.words.failed, reason].filter(Boolean).join(' ');
      state.classList.add('failed');
      this.root.dataset.ready = 'failed';
    }
  }

  /** @param {import('./view.js').View} view */
  #look(view) {
    this.display.setView(view);
    this.dispatchEvent(new Event('view'));
  }

  /** @param {import('./windows.js').Window} window */
  setWindow(window) {
    this.display.setWindow(window);
    this.dispatchEvent(new Event('window'));
  }

  /** @param {number} factor @param {Point} [at] */
  zoom(factor, at) {
    this.#look(zoomed(this.display.view, this.display.frame, factor, at));
  }

  /** @param {Point} by CSS pixels */
  pan(by) {
    this.#look(moved(this.display.view, this.display.frame, by));
  }

  /** @param {number} degrees clockwise */
  turn(degrees) {
    const whole = this.display.fits;
    const view = turned(this.display.view, degrees);
    this.#look(whole ? fitted(this.display.frame, view) : view);
  }

  flip() {
    this.#look(flipped(this.display.view));
  }

  fit() {
    this.#look(fitted(this.display.frame, this.display.view));
  }

  invert() {
    this.display.setInverted(!this.display.inverted);
    this.dispatchEvent(new Event('window'));
  }

  /** @param {string} name of a preset; `default` is the image's own window */
  preset(name) {
    this.setWindow(name === 'default' ? (this.display.pixels?.window ?? PRESETS.full) : PRESETS[name]);
  }

  /** @param {number} wider in parts of the present width @param {number} brighter */
  adjust(wider, brighter) {
    this.setWindow(dragged(this.display.window, wider, brighter));
  }

  reset() {
    this.display.reset();
    this.marks.cancel();
    this.dispatchEvent(new Event('view'));
    this.dispatchEvent(new Event('window'));
  }

  get measures() {
    return this.tool === 'length' || this.tool === 'angle';
  }

  #hands() {
    /** @type {Tool | null} what the pressed button does */
    let doing = null;
    /** @type {Point | null} */
    let began = null;
    listen(this.stage, {
      press: (at, button) => {
        this.dispatchEvent(new Event('focus'));
        if (!this.display.pixels) return;
        doing = button === 1 ? 'pan' : button === 2 ? 'zoom' : this.tool;
        began = at;
        this.marks.cross = null;
        if (doing === 'length' || doing === 'angle') this.marks.set(doing, at);
      },
      move: (at, by, held) => {
        this.marks.hover = at;
        const { width, height } = this.display.frame;
        if (this.marks.growing) this.marks.draw();
        if (!held || !began) return;
        if (doing === 'window') this.adjust(by[0] / width, -by[1] / height);
        else if (doing === 'pan') this.pan(by);
        else if (doing === 'zoom') this.zoom(1.006 ** -by[1], began);
      },
      release: (at) => {
        // Drawn in one stroke; otherwise the next click sets the next point.
        const far = began && Math.hypot(at[0] - began[0], at[1] - began[1]) > 6;
        if (far && this.marks.growing && (doing === 'length' || doing === 'angle')) this.marks.set(doing, at);
        doing = began = null;
      },
      pinch: (at, factor, by) => {
        if (!this.display.pixels) return;
        this.marks.growing = null;
        this.#look(moved(zoomed(this.display.view, this.display.frame, factor, at), this.display.frame, by));
      },
      twice: () => {
        if (!this.measures) this.fit();
      },
    });
  }

  #write() {
    const { view, window, frame, pixels } = this.display;
    const percent = (/** @type {number} */ part) => Math.round(part * 100);
    const put = (/** @type {string} */ name, /** @type {string} */ text) => {
      const element = this.root.querySelector(`[data-edge="${name}"]`);
      if (element) element.textContent = text;
    };
    put('window', `${this.words.width} ${percent(window.width)} · ${this.words.centre} ${percent(window.centre)}`);
    const zoom = new Intl.NumberFormat(document.documentElement.lang, { style: 'percent' }).format(view.zoom);
    put('zoom', `${zoom}${view.turn ? ` · ${view.turn}°` : ''}${view.mirrored ? ' ⇋' : ''}`);
    const scale = this.root.querySelector('[data-scale]');
    if (!scale || !pixels?.spacing) return;
    const millimetre = view.zoom / pixels.spacing[0];
    const length = roundLength((frame.width * 0.25) / millimetre);
    scale.querySelector('svg')?.setAttribute('width', (length * millimetre).toFixed(1));
    const label = scale.querySelector('span');
    if (label) label.textContent = length >= 10 ? `${length / 10} cm` : `${length} mm`;
  }
}
