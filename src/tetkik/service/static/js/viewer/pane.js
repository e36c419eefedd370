/** One pane of the viewer: the image, the heatmap over it, the measurements over both, and what is written at its edges. */

import { Display } from './display.js';
import { listen } from './gestures.js';
import { Heat } from './heat.js';
import { Marks } from './marks.js';
import { isKind, roundLength } from './measure.js';
import { Stack, address } from './stack.js';
import { fitted, flipped, moved, turned, zoomed } from './view.js';
import { dragged, figures, presetOf } from './windows.js';

/** @typedef {import('./view.js').Point} Point */
/** @typedef {'window' | 'pan' | 'zoom' | 'magnifier' | import('./measure.js').Kind} Tool */

const STEP = 14; // CSS pixels of a finger from one image of a stack to the next

/**
 * Says `view` when the image moved, `window` when its grey values did, `focus` when it was touched, `image` when
 * another one of the stack is shown. `view`, `image` and `frame` tell what is shown and how it lies.
 */
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
    this.stack = new Stack(this, /** @type {HTMLElement} */ (root.querySelector('[data-frames]')));
    this.notches = 0;
    this.stage.addEventListener('focus', () => this.dispatchEvent(new Event('focus')));
    this.#hands();
  }

  /** How the image lies in the pane. */
  get view() {
    return this.display.view;
  }

  /** The id of the image that is shown. */
  get image() {
    return this.root.dataset.image ?? '';
  }

  /** Which frame of several, from 1; null for an image of one. */
  get frame() {
    return this.display.pixels?.frame ?? null;
  }

  /** Show a stack from its `position`, 1 for the first. @param {import('./stack.js').StackData} data @param {number} [position] */
  async open(data, position) {
    const { stack } = this;
    stack.take(data, position);
    const { image, frame } = stack.item(stack.shown);
    delete this.root.dataset.ready;
    this.tell(this.words.loading);
    this.#entitle(data);
    this.root.dataset.image = image;
    try {
      await this.display.show(image, address(image, frame), frame);
      if (stack.data !== data) return;
      this.tell('');
      this.arrived();
      this.root.dataset.ready = this.display.onProcessor ? 'processor' : 'webgl';
      stack.ahead();
    } catch (error) {
      if (stack.data !== data) return;
      const reason = error instanceof Error && error.name === 'Error' ? error.message : '';
      this.tell([this.words.failed, reason].filter(Boolean).join(' '), true);
      this.root.dataset.ready = 'failed';
    }
  }

  /** Say something in the place of an image. @param {string} sentence @param {boolean} [failed] */
  tell(sentence, failed = false) {
    const state = /** @type {HTMLElement} */ (this.root.querySelector('[data-state]'));
    state.textContent = sentence;
    state.classList.toggle('failed', failed);
    state.hidden = !sentence;
  }

  /** Another image of the stack is shown. */
  arrived() {
    const { image, frame } = this.stack.item(this.stack.shown);
    this.root.dataset.image = image;
    this.heat.setElsewhere(!this.fitsHeat(image, frame));
    this.marks.draw();
    this.dispatchEvent(new Event('image'));
  }

  /** Whether a heatmap that is laid over this pane is of what is shown. @param {string} image @param {number} [frame] */
  fitsHeat(image, frame) {
    const of = this.heat.image.getAttribute('src')?.match(/images\/([^/]+)\//)?.[1];
    const read = this.stack.data?.read ?? 0;
    return (!of || of === image) && (!frame || !read || frame === read);
  }

  /** @param {import('./stack.js').StackData} data */
  #entitle({ title, date, earlier }) {
    const text = [earlier ? this.words.earlier : '', title, date].filter(Boolean).join(' · ');
    this.stage.setAttribute('aria-label', text);
    const edge = this.root.querySelector('.edge.title');
    if (!edge) return;
    edge.textContent = text;
    edge.classList.toggle('earlier', Boolean(earlier));
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
    if (this.display.pixels) this.setWindow(presetOf(name, this.display.pixels));
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
    return isKind(this.tool);
  }

  #hands() {
    /** @type {Tool | 'scroll' | null} what the pressed button does */
    let doing = null;
    /** @type {Point | null} */
    let began = null;
    listen(this.stage, {
      press: (at, button, touch) => {
        this.dispatchEvent(new Event('focus'));
        if (!this.display.pixels) return;
        doing = button === 1 ? 'pan' : button === 2 ? 'zoom' : this.tool;
        // A finger has no wheel: where there is nothing to move it goes through the stack.
        if (touch && doing === 'pan' && this.stack.count > 1 && this.display.fits) doing = 'scroll';
        this.notches = 0;
        began = at;
        this.marks.cross = null;
        if (doing && doing !== 'scroll' && isKind(doing)) this.marks.set(doing, at);
      },
      hold: () => {
        if (doing !== 'pan' && doing !== 'scroll') return;
        doing = 'window';
        this.stage.classList.add('held');
      },
      move: (at, by, held) => {
        this.marks.hover = at;
        const { width, height } = this.display.frame;
        if (this.marks.growing) this.marks.draw();
        if (!held || !began) return;
        if (doing === 'window') this.adjust(by[0] / width, -by[1] / height);
        else if (doing === 'pan') this.pan(by);
        else if (doing === 'scroll') this.#scroll(by[1] / STEP);
        else if (doing === 'zoom') this.zoom(1.006 ** -by[1], began);
      },
      release: (at) => {
        // Drawn in one stroke; otherwise the next click sets the next point.
        const far = began && Math.hypot(at[0] - began[0], at[1] - began[1]) > 6;
        if (far && this.marks.growing && doing && doing !== 'scroll' && isKind(doing)) this.marks.set(doing, at);
        doing = began = null;
        this.stage.classList.remove('held');
      },
      pinch: (at, factor, by) => {
        if (!this.display.pixels) return;
        this.marks.cancel();
        this.#look(moved(zoomed(this.display.view, this.display.frame, factor, at), this.display.frame, by));
      },
      wheel: (at, notches, zooms) => {
        if (!this.display.pixels) return;
        if (zooms || this.stack.count < 2) {
          this.#look(zoomed(this.display.view, this.display.frame, 1.162 ** -notches, at));
          return;
        }
        this.dispatchEvent(new Event('focus'));
        this.#scroll(notches);
      },
      twice: () => {
        if (!this.measures) this.fit();
      },
    });
  }

  /** @param {number} notches through the stack; a touch pad and a finger send many small ones */
  #scroll(notches) {
    this.notches += notches;
    const whole = Math.trunc(this.notches);
    if (!whole) return;
    this.notches -= whole;
    this.stack.step(whole);
  }

  #write() {
    const { view, window, frame, pixels } = this.display;
    const put = (/** @type {string} */ name, /** @type {string} */ text) => {
      const element = this.root.querySelector(`[data-edge="${name}"]`);
      if (element) element.textContent = text;
    };
    const { stack } = this;
    put('count', stack.count > 1 ? `${stack.shown} / ${stack.count}` : '');
    if (pixels) {
      const { width, centre } = figures(window, pixels);
      put('window', `${this.words.width} ${width} · ${this.words.centre} ${centre}`);
    }
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
