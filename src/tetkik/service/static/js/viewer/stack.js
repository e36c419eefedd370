/**
 * A stack in a pane: the frames of one image or the images of a series, with its slider, its keys and its cine.
 *
 * The images of a series are fetched ahead, the nearest first; the frames of one file only when they are looked
 * at, for the server reads the whole file for each.
 */

import { isComing, isKnown, loadAhead, loadImage } from './engine.js';
import { preferences, remember } from './preferences.js';

/**
 * @typedef {object} StackData as `service/studies/viewer.py` gives it
 * @property {string} id of its first image
 * @property {string[]} images ids, in their order
 * @property {string} title
 * @property {string | null} modality
 * @property {number} frames of its one image; 1 for several
 * @property {number} count
 * @property {string[]} presets
 * @property {number[]} locations millimetres along the normal; empty where unknown
 * @property {string} preview id of an image with a preview; empty without one
 * @property {number} shown what is shown first, from 1
 * @property {number} read which frame the model read; 0 for none
 * @property {number} asked which it is to read; 0 for none
 * @property {string} [date] of its study
 * @property {boolean} [earlier] whether it is of an earlier study
 */

const STEPS = /** @type {Record<string, number>} */ ({ PageUp: -1, PageDown: 1 });
const REQUESTS = 3; // at once; a browser has six for one server
const TOGETHER = 8; // images in one request
const MOST_AHEAD = 448 * 2 ** 20; // bytes of one stack that are fetched ahead

export class Stack {
  /**
   * @param {import('./pane.js').Pane} pane
   * @param {HTMLElement} bar `[data-frames]` of the pane
   */
  constructor(pane, bar) {
    this.pane = pane;
    this.bar = bar;
    this.slider = /** @type {HTMLInputElement} */ (bar.querySelector('input[type="range"]'));
    this.rate = /** @type {HTMLInputElement} */ (bar.querySelector('[data-rate]'));
    this.ask = /** @type {HTMLFormElement | null} */ (bar.querySelector('[data-ask]'));
    /** @type {StackData | null} */
    this.data = null;
    this.shown = 1;
    this.wanted = 1;
    this.towards = 1;
    this.busy = 0; // requests ahead
    /** @type {Set<string>} images that were asked for ahead: none is asked for twice */
    this.tried = new Set();
    this.slider.addEventListener('input', () => this.go(this.slider.valueAsNumber));
    bar.querySelector('[data-to-read]')?.addEventListener('click', () => this.go(this.data?.read ?? 1));
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (bar.querySelectorAll('[data-step]'))) {
      button.addEventListener('click', () => this.step(Number(button.dataset.step)));
    }
    this.player = bar.querySelector('[data-cine]');
    this.player?.addEventListener('click', () => this.toggle());
    this.rate.valueAsNumber = preferences().rate ?? 15;
    this.rate.addEventListener('change', () => remember({ rate: this.rate.valueAsNumber || 15 }));
    pane.stage.addEventListener('keydown', (event) => this.#key(event));
  }

  get count() {
    return this.data?.count ?? 1;
  }

  /** Show another stack. @param {StackData} data @param {number} [position] from 1 */
  take(data, position = data.shown) {
    this.stop();
    this.data = data;
    this.tried.clear();
    this.shown = this.wanted = Math.min(Math.max(position, 1), data.count);
    this.bar.hidden = data.count < 2;
    this.bar.dataset.shown = String(this.shown);
    this.slider.max = String(data.count);
    const whole = data.frames > 1;
    for (const [name, on] of /** @type {[string, boolean][]} */ ([
      ['[data-reads]', whole && Boolean(data.asked)],
      ['.as-read', whole && Boolean(data.read) && !data.asked],
      ['.to-read', whole && Boolean(data.read) && !data.asked],
    ])) {
      const part = /** @type {HTMLElement | null} */ (this.bar.querySelector(name));
      if (part) part.hidden = !on;
    }
    const back = this.bar.querySelector('[data-to-read]');
    if (back) back.textContent = this.pane.words.toRead.replace('{frame}', String(data.read));
    const reads = this.bar.querySelector('[data-reads]');
    if (reads) reads.textContent = this.pane.words.reads.replace('{frame}', String(data.asked));
    this.#write();
  }

  /** @param {number} position @returns {{image: string, frame: number | undefined}} */
  item(position) {
    const { images, frames } = /** @type {StackData} */ (this.data);
    return frames > 1 ? { image: images[0], frame: position } : { image: images[position - 1], frame: undefined };
  }

  /** @param {number} position */
  load(position) {
    const { image, frame } = this.item(position);
    return loadImage(image, address(image, frame), frame);
  }

  /** @param {number} by */
  step(by) {
    return this.go(this.wanted + by);
  }

  /** @param {number} position the nearest there is */
  async go(position) {
    const wanted = Math.min(Math.max(Math.round(position), 1), this.count);
    if (wanted !== this.wanted) this.towards = Math.sign(wanted - this.wanted);
    this.wanted = wanted;
    this.#write();
    if (this.loading || !this.data || !this.pane.display.pixels) return; // whoever slides on is served with where they have come to
    this.loading = true;
    const { data } = this;
    this.bar.setAttribute('aria-busy', 'true');
    try {
      while (this.shown !== this.wanted && this.data === data) {
        const next = this.wanted;
        const loaded = await this.load(next);
        if (this.data !== data) break;
        await this.pane.display.change(loaded);
        this.shown = next;
        this.pane.arrived();
        this.bar.dataset.shown = String(next);
      }
      if (!this.timer) this.pane.say(this.said());
    } catch (error) {
      this.stop();
      this.wanted = this.shown;
      this.#write();
      this.pane.say(this.pane.words.failed);
      document.dispatchEvent(new CustomEvent('toast', { detail: { text: [this.pane.words.failed, error instanceof Error ? error.message : ''].join(' '), kind: 'warning' } }));
    } finally {
      this.loading = false;
      this.bar.removeAttribute('aria-busy');
      this.ahead();
    }
  }

  said() {
    const words = (this.data?.frames ?? 1) > 1 ? this.pane.words.frame : this.pane.words.imageOf;
    return words.replace('{frame}', String(this.wanted)).replace('{frames}', String(this.count));
  }

  /** Fetch what will be looked at next: the nearest first, those on the way before those behind. */
  ahead() {
    const { data } = this;
    if (!data || data.images.length < 2 || this.pane.root.hidden) return;
    while (this.busy < REQUESTS) {
      const next = this.#nearest(data);
      if (!next.length) return;
      this.busy += 1;
      loadAhead(next).finally(() => {
        this.busy -= 1;
        this.ahead(); // what could not be had is asked for, and told of, when it is looked at
      });
      for (const image of next) this.tried.add(image);
    }
  }

  /** The images that are to be fetched next, at most `TOGETHER`. @param {StackData} data */
  #nearest(data) {
    const one = this.pane.display.pixels?.values.byteLength ?? 1;
    const most = Math.min(data.count, Math.floor(MOST_AHEAD / one));
    /** @type {string[]} */
    const next = [];
    let seen = 1;
    /** @param {number} position */
    const look = (position) => {
      const image = data.images[position - 1];
      if (!image || seen >= most || next.length === TOGETHER) return;
      seen += 1;
      if (isKnown(image)) this.tried.delete(image); // once it is given up it may be fetched again
      else if (!isComing(image) && !this.tried.has(image)) next.push(image);
    };
    for (let away = 1; away < 2 * data.count && seen < most && next.length < TOGETHER; away += 1) {
      look(this.wanted + this.towards * away);
      if (away % 2 === 0) look(this.wanted - (this.towards * away) / 2); // twice as far ahead as behind
    }
    return next;
  }

  // ---- cine ------------------------------------------------------------------------------------------------

  get plays() {
    return Boolean(this.timer);
  }

  /** Play or stop. */
  toggle() {
    if (this.plays) this.stop();
    else if (this.count > 1) this.#play();
  }

  stop() {
    cancelAnimationFrame(this.timer ?? 0);
    this.timer = 0;
    this.player?.setAttribute('aria-pressed', 'false');
  }

  #play() {
    let due = performance.now();
    this.player?.setAttribute('aria-pressed', 'true');
    const tick = (/** @type {number} */ now) => {
      if (!this.plays) return;
      this.timer = requestAnimationFrame(tick);
      if (now < due || this.loading) return;
      due = Math.max(due + 1000 / (this.rate.valueAsNumber || 15), now);
      this.go(this.wanted < this.count ? this.wanted + 1 : 1);
    };
    this.timer = requestAnimationFrame(tick);
  }

  // ----------------------------------------------------------------------------------------------------------

  #write() {
    const read = this.data?.read ?? 0;
    this.slider.value = String(this.wanted);
    this.slider.setAttribute('aria-valuetext', this.said());
    /** @type {HTMLElement} */ (this.bar.querySelector('output')).textContent = `${this.wanted} / ${this.count}`;
    this.bar.classList.toggle('is-read', this.wanted === read);
    if (!this.ask || !this.data) return;
    this.ask.hidden = this.data.frames < 2 || this.wanted === read || Boolean(this.data.asked) || this.data.earlier === true;
    this.ask.setAttribute('action', `/upload/${this.data.id}/frame`);
    /** @type {HTMLInputElement} */ (this.ask.elements.namedItem('frame')).value = String(this.wanted);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.pane.stage || event.ctrlKey || event.metaKey || event.altKey || this.count < 2) return;
    if (STEPS[event.key]) this.step(STEPS[event.key] * (event.shiftKey ? 10 : 1));
    else if (event.key === 'Home') this.go(1);
    else if (event.key === 'End') this.go(this.count);
    else if (event.key === ' ') this.toggle();
    else return;
    event.preventDefault();
  }
}

/** Where the pixels of an image come from. @param {string} image @param {number} [frame] */
export function address(image, frame) {
  return `/api/v1/images/${image}/pixels${frame ? `?frame=${frame}` : ''}`;
}
