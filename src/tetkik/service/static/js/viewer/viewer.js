/**
 * The viewer: one or two panes and their tools.
 *
 * The markup is `templates/reading/viewer.html.jinja`. Buttons name what they do (`data-do="invert"`), so that
 * the keys of the shell, a mouse and a finger all call the same methods. The page around it talks to it
 * by events on its element: `heat` {label, name, address} shows a heatmap, `{}` hides it; `measurements` [marks]
 * draws these and no others. It says `measured` {mark, how} when a person made, moved or removed one.
 */

import { theEngine } from './engine.js';
import { Pane } from './pane.js';
import { arrowKeys } from './toolbar.js';
import { carried } from './view.js';

/** @typedef {import('./pane.js').Tool} Tool */

const ARROWS = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'];

class Viewer {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.words = JSON.parse(root.dataset.words ?? '{}');
    this.live = /** @type {HTMLElement} */ (root.querySelector('[data-live]'));
    const say = (/** @type {string} */ sentence) => this.say(sentence);
    this.panes = [.../** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll('[data-pane]'))].map(
      (element) => new Pane(element, this.words, say),
    );
    /** @type {Pane} */
    this.active = this.panes[0];
    this.linked = true;
    /** @type {Tool} */
    this.tool = 'window';
    for (const pane of this.panes) this.#attend(pane);
    this.#controls();
    this.#choose('window');
  }

  async open() {
    theEngine(this.root.dataset.drawing).catch(() => undefined); // each pane tells of a fault
    const shown = this.panes.filter((pane) => !pane.root.hidden);
    await Promise.all(shown.map((pane) => pane.open()));
    this.root.dataset.ready = this.panes[0].root.dataset.ready;
  }

  /** Tell a screen reader, once the hand has stopped. @param {string} sentence */
  say(sentence) {
    clearTimeout(this.saying);
    this.saying = setTimeout(() => (this.live.textContent = sentence), 250);
  }

  /** @param {Pane} pane */
  #attend(pane) {
    pane.addEventListener('focus', () => {
      this.active = pane;
      for (const other of this.panes) other.root.classList.toggle('active', other === pane);
    });
    pane.addEventListener('view', () => this.#follow(pane, 'view'));
    pane.addEventListener('window', () => this.#follow(pane, 'window'));
    pane.marks.addEventListener('change', () => this.#listMarks());
    pane.marks.addEventListener('took', (event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      this.root.dispatchEvent(new CustomEvent('measured', { detail }));
    });
    pane.stage.addEventListener('keydown', (event) => this.#key(event, pane));
  }

  /** The other pane does the same, where they are linked. @param {Pane} pane @param {string} what */
  #follow(pane, what) {
    this.#pressed('invert', this.active.display.inverted);
    if (what === 'window') this.#preset();
    if (!this.linked) return;
    for (const other of this.panes) {
      if (other === pane || !other.display.pixels || other.root.hidden) continue;
      const { display } = other;
      if (what === 'view') display.setView(carried(pane.display.view, pane.display.frame, display.frame));
      else {
        display.setWindow(pane.display.window);
        display.setInverted(pane.display.inverted);
      }
    }
  }

  #controls() {
    for (const bar of this.root.querySelectorAll('[role="toolbar"]')) arrowKeys(/** @type {HTMLElement} */ (bar));
    this.root.addEventListener('click', (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest('[data-do]');
      if (button instanceof HTMLElement) this.do(button.dataset.do ?? '', button.dataset.with ?? '');
    });
    const opacity = /** @type {HTMLInputElement | null} */ (this.root.querySelector('[data-opacity]'));
    opacity?.addEventListener('input', () => {
      for (const pane of this.panes) pane.heat.setOpacity(Number(opacity.value) / 100);
    });
    this.root.addEventListener('heat', (event) => this.#heat(/** @type {CustomEvent} */ (event).detail));
    this.root.addEventListener('measurements', (event) => {
      const { detail } = /** @type {CustomEvent<import('./marks.js').Mark[]>} */ (event);
      for (const pane of this.panes) pane.marks.show(detail.filter(({ image }) => image === pane.root.dataset.image));
    });
  }

  /**
   * Do what a button says.
   * @param {string} what
   * @param {string} how
   */
  do(what, how) {
    const { active } = this;
    /** @type {Record<string, () => void>} */
    const doings = {
      tool: () => this.#choose(/** @type {Tool} */ (how)),
      preset: () => {
        active.preset(how);
        this.#preset(how);
      },
      invert: () => active.invert(),
      turn: () => active.turn(Number(how)),
      flip: () => active.flip(),
      fit: () => active.fit(),
      reset: () => {
        for (const pane of this.panes) if (pane.display.pixels) pane.reset();
        this.#preset('default');
        this.say(this.words.reset);
      },
      zoom: () => active.zoom(Number(how)),
      heat: () => this.#toggleHeat(),
      prior: () => this.#togglePrior(),
      link: () => {
        this.linked = !this.linked;
        this.#pressed('link', this.linked);
        this.say(this.linked ? this.words.linked : this.words.unlinked);
        if (this.linked) this.#follow(active, 'view');
      },
    };
    if (this.panes[0].display.pixels) doings[what]?.();
  }

  /** Which preset is on; none once the window was changed by hand. @param {string} [name] */
  #preset(name) {
    for (const button of this.root.querySelectorAll('[data-do="preset"]')) {
      const on = /** @type {HTMLElement} */ (button).dataset.with === name;
      button.setAttribute('aria-pressed', String(on));
      if (on) this.say(button.textContent ?? '');
    }
  }

  /** @param {string} what @param {boolean} on @param {string} [how] */
  #pressed(what, on, how) {
    const which = how === undefined ? `[data-do="${what}"]` : `[data-do="${what}"][data-with="${how}"]`;
    for (const button of this.root.querySelectorAll(which)) button.setAttribute('aria-pressed', String(on));
  }

  /** @param {Tool} tool */
  #choose(tool) {
    this.tool = tool;
    this.root.dataset.tool = tool;
    for (const pane of this.panes) {
      pane.tool = tool;
      pane.marks.cancel();
    }
    for (const other of ['window', 'pan', 'zoom', 'length', 'angle']) this.#pressed('tool', other === tool, other);
    this.say(this.words[`tool_${tool}`] ?? '');
  }

  /** @param {{address?: string, name?: string}} shown */
  #heat({ address, name = '' }) {
    const { heat } = this.panes[0];
    const label = this.root.querySelector('[data-heat-name]');
    if (label) label.textContent = address ? name : this.words.chooseHeat;
    if (address) {
      heat.show(address);
      this.say(this.words.heat.replace('{name}', name));
    } else {
      heat.hide();
    }
    this.#heatState(Boolean(address));
  }

  #toggleHeat() {
    const { heat } = this.panes[0];
    if (heat.shown) heat.hide();
    else if (heat.image.src) heat.show(/** @type {string} */ (heat.image.getAttribute('src')));
    this.#heatState(heat.shown);
  }

  /** @param {boolean} on */
  #heatState(on) {
    this.#pressed('heat', on);
    this.root.classList.toggle('with-heat', on);
  }

  async #togglePrior() {
    const prior = this.panes[1];
    if (!prior) return;
    prior.root.hidden = !prior.root.hidden;
    this.root.classList.toggle('beside', !prior.root.hidden);
    this.#pressed('prior', !prior.root.hidden);
    if (prior.root.hidden) this.active = this.panes[0];
    else if (!prior.display.pixels) await prior.open();
    if (this.linked && !prior.root.hidden) this.#follow(this.panes[0], 'view');
  }

  #listMarks() {
    const list = /** @type {HTMLElement} */ (this.root.querySelector('[data-marks]'));
    if ('kept' in this.root.dataset) return; // they are listed beside the draft
    const marks = this.panes.flatMap((pane) => pane.marks.seen.filter(({ fixed }) => !fixed).map((mark) => ({ pane, mark })));
    list.replaceChildren(
      ...marks.map(({ pane, mark }) => {
        const item = document.createElement('li');
        const button = document.createElement('button');
        button.type = 'button';
        button.className = 'button quiet small';
        button.textContent = '×';
        button.setAttribute('aria-label', `${pane.marks.name(mark)}: ${this.words.remove}`);
        button.addEventListener('click', () => pane.marks.remove(mark));
        item.append(`${this.words[mark.kind]} `, Object.assign(document.createElement('b'), { textContent: pane.marks.text(mark) }), button);
        return item;
      }),
    );
    const panel = /** @type {HTMLElement} */ (list.closest('[data-measured]'));
    panel.hidden = marks.length === 0;
    const planes = new Set(marks.map(({ pane }) => pane.display.pixels?.plane ?? 'uncalibrated'));
    /** @type {HTMLElement} */ (panel.querySelector('[data-note]')).textContent = [...planes]
      .map((plane) => this.words[plane])
      .join(' · ');
  }

  /** @param {KeyboardEvent} event @param {Pane} pane */
  #key(event, pane) {
    if (event.target !== pane.stage || event.ctrlKey || event.metaKey || event.altKey || !pane.display.pixels) return;
    const { key, shiftKey } = event;
    const sideways = key === 'ArrowLeft' ? -1 : key === 'ArrowRight' ? 1 : 0;
    const upwards = key === 'ArrowUp' ? 1 : key === 'ArrowDown' ? -1 : 0;
    if (ARROWS.includes(key)) {
      if (pane.measures) pane.marks.step(key, shiftKey);
      else if (this.tool === 'zoom' && upwards) pane.zoom(1.1 ** upwards);
      else if ((this.tool === 'window') !== shiftKey) pane.adjust(sideways * 0.02, upwards * 0.02);
      else pane.pan([sideways * 24, -upwards * 24]);
    } else if (key === 'Enter' && pane.measures) {
      const { width, height } = pane.display.frame;
      pane.marks.cross ??= [width / 2, height / 2];
      pane.marks.set(/** @type {'length' | 'angle'} */ (pane.tool), pane.marks.cross);
    } else if (key === 'Escape' && (pane.marks.growing || pane.marks.cross)) {
      pane.marks.cancel();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** Bring the viewer of a page to life. @param {HTMLElement} root */
export async function mount(root) {
  const viewer = new Viewer(root);
  await viewer.open();
  return viewer;
}
