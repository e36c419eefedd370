/** The frames of an image that has several: a slider, two buttons, keys. No frame is fetched before it is looked at. */

import { loadImage } from './engine.js';

const STEPS = /** @type {Record<string, number>} */ ({ PageUp: -1, PageDown: 1 });

export class Frames {
  /**
   * @param {import('./pane.js').Pane} pane
   * @param {HTMLElement} bar `[data-frames]` of the pane
   */
  constructor(pane, bar) {
    this.pane = pane;
    this.bar = bar;
    this.count = Number(bar.dataset.frames);
    /** the one that the model read; 0 before any */
    this.read = Number(bar.dataset.read);
    this.slider = /** @type {HTMLInputElement} */ (bar.querySelector('input'));
    this.shown = this.slider.valueAsNumber;
    this.wanted = this.shown;
    this.slider.addEventListener('input', () => this.go(this.slider.valueAsNumber));
    bar.querySelector('[data-frame-before]')?.addEventListener('click', () => this.go(this.wanted - 1));
    bar.querySelector('[data-frame-after]')?.addEventListener('click', () => this.go(this.wanted + 1));
    bar.querySelector('[data-to-read]')?.addEventListener('click', () => this.go(this.read));
    this.ask = /** @type {HTMLFormElement | null} */ (bar.querySelector('[data-ask]'));
    pane.stage.addEventListener('keydown', (event) => this.#key(event));
    this.#write();
  }

  /** The address of a frame's pixels. @param {number} frame */
  address(frame) {
    return `${this.pane.root.dataset.pixels}?frame=${frame}`;
  }

  /** @param {number} frame the nearest there is */
  async go(frame) {
    this.wanted = Math.min(Math.max(frame, 1), this.count);
    this.#write();
    if (this.loading) return; // whoever slides on is served with where they have come to
    this.loading = true;
    this.bar.setAttribute('aria-busy', 'true');
    try {
      while (this.shown !== this.wanted) {
        const next = this.wanted;
        await this.pane.display.change(await this.#load(next));
        this.shown = next;
        this.pane.marks.draw();
        this.pane.marks.dispatchEvent(new Event('change'));
        this.pane.heat.setElsewhere(Boolean(this.read) && next !== this.read);
      }
      this.pane.say(this.pane.words.frame.replace('{frame}', String(this.shown)).replace('{frames}', String(this.count)));
    } catch (error) {
      this.wanted = this.shown;
      this.#write();
      this.pane.say(this.pane.words.failed);
      document.dispatchEvent(new CustomEvent('toast', { detail: { text: [this.pane.words.failed, error instanceof Error ? error.message : ''].join(' '), kind: 'warning' } }));
    } finally {
      this.loading = false;
      this.bar.removeAttribute('aria-busy');
      this.bar.dataset.shown = String(this.shown);
    }
  }

  /** @param {number} frame */
  #load(frame) {
    return loadImage(this.pane.root.dataset.image ?? '', this.address(frame), frame);
  }

  #write() {
    this.slider.value = String(this.wanted);
    const text = this.pane.words.frame.replace('{frame}', String(this.wanted)).replace('{frames}', String(this.count));
    this.slider.setAttribute('aria-valuetext', text);
    /** @type {HTMLElement} */ (this.bar.querySelector('output')).textContent = `${this.wanted} / ${this.count}`;
    this.bar.classList.toggle('is-read', this.wanted === this.read);
    if (this.ask) {
      this.ask.hidden = this.wanted === this.read;
      /** @type {HTMLInputElement} */ (this.ask.elements.namedItem('frame')).value = String(this.wanted);
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.pane.stage || event.ctrlKey || event.metaKey || event.altKey || !STEPS[event.key]) return;
    event.preventDefault();
    this.go(this.wanted + STEPS[event.key] * (event.shiftKey ? 10 : 1));
  }
}
