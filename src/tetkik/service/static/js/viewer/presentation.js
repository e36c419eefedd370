/** Presentation states (GSPS) of the image that is looked at: downloaded, opened from a file, applied. */

import { fitted } from './view.js';

const SVG = 'http://www.w3.org/2000/svg';

/** @param {string} [type] */
function headers(type) {
  const csrf = /** @type {HTMLMetaElement | null} */ (document.querySelector('meta[name="csrf-token"]'))?.content ?? '';
  return { ...(type ? { 'Content-Type': type } : {}), 'X-CSRF-Token': csrf };
}

/** @param {string} text @param {string} kind */
function tell(text, kind) {
  document.dispatchEvent(new CustomEvent('toast', { detail: { text, kind } }));
}

/** @param {string} address @param {RequestInit} [asked] */
async function request(address, asked) {
  try {
    const answer = await fetch(address, asked);
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    tell(problem.detail ?? problem.title ?? String(answer.status), 'warning');
  } catch {
    tell(document.body.dataset.offline ?? '', 'warning');
  }
  return null;
}

export class Presentations {
  /** @param {any} viewer @param {HTMLElement} menu `[data-presentations]` */
  constructor(viewer, menu) {
    this.viewer = viewer;
    this.menu = menu;
    this.list = /** @type {HTMLElement} */ (menu.querySelector('[data-states]'));
    this.file = /** @type {HTMLInputElement | null} */ (menu.querySelector('input[type="file"]'));
    menu.addEventListener('toggle', () => {
      if (!(/** @type {HTMLDetailsElement} */ (menu).open)) return;
      // The toolbar scrolls, so what it opens stands over the page.
      const panel = /** @type {HTMLElement} */ (menu.querySelector('.panel'));
      const { bottom, left } = menu.getBoundingClientRect();
      panel.style.top = `${bottom + 4}px`;
      panel.style.right = 'auto';
      panel.style.left = `${Math.max(8, Math.min(left, innerWidth - panel.offsetWidth - 8))}px`;
      this.load();
    });
    menu.querySelector('[data-state-download]')?.addEventListener('click', () => this.download());
    menu.querySelector('[data-state-open]')?.addEventListener('click', () => this.file?.click());
    menu.querySelector('[data-state-none]')?.addEventListener('click', () => this.clear());
    this.file?.addEventListener('change', () => this.upload());
    /** @type {Map<any, {image: string, frame: number | null, shown: any}>} */
    this.applied = new Map();
  }

  get pane() {
    return this.viewer.active;
  }

  get address() {
    return `/api/v1/images/${this.pane.display.pixels.id}`;
  }

  /** What is looked at, as the server takes it. */
  sent() {
    const { view, window, inverted, frame, fits, pixels } = this.pane.display;
    const corners = [[0, 0], [frame.width, 0], [0, frame.height], [frame.width, frame.height]].map((at) => this.pane.display.toImage(at));
    const [left, right, top, bottom] = [0, 1].flatMap((axis) => {
      const along = corners.map((corner) => corner[axis]);
      return [Math.min(...along), Math.max(...along)];
    });
    const report = /** @type {HTMLElement | null} */ (document.querySelector('[data-report]'))?.dataset.report;
    return {
      frame: pixels.frame,
      centre: window.centre,
      width: window.width,
      inverted,
      turn: view.turn,
      mirrored: view.mirrored,
      area: fits ? null : [[left, top], [right, bottom]],
      report_id: report || null,
    };
  }

  async download() {
    const body = JSON.stringify(this.sent());
    const answer = await request(`${this.address}/presentation-state`, { method: 'POST', headers: headers('application/json'), body });
    if (!answer) return;
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `${this.pane.display.pixels.id}.pr.dcm`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  async upload() {
    const [file] = this.file?.files ?? [];
    if (!file) return;
    const answer = await request(`${this.address}/presentation-states`, { method: 'POST', headers: headers('application/dicom'), body: file });
    if (this.file) this.file.value = '';
    if (answer) await this.load();
  }

  async load() {
    const { frame } = this.pane.display.pixels;
    const answer = await request(`${this.address}/presentation-states${frame ? `?frame=${frame}` : ''}`);
    const found = answer ? await answer.json() : [];
    this.list.replaceChildren(
      ...found.map((/** @type {any} */ shown) => {
        const button = document.createElement('button');
        button.type = 'button';
        button.className = 'item';
        button.textContent = [shown.description || shown.label, shown.creator].filter(Boolean).join(' · ');
        button.addEventListener('click', () => this.apply(shown));
        return button;
      }),
    );
    /** @type {HTMLElement} */ (this.menu.querySelector('[data-states-none]')).hidden = found.length > 0;
  }

  /** @param {any} shown */
  apply(shown) {
    const { pane } = this;
    const { display } = pane;
    const { id, frame } = display.pixels;
    if (shown.window) display.setWindow({ centre: shown.window[0], width: shown.window[1] });
    display.setInverted(shown.inverted);
    let view = fitted(display.frame, { turn: shown.turn, mirrored: shown.mirrored });
    if (shown.area) {
      const [[left, top], [right, bottom]] = shown.area;
      const { width, height } = display.frame;
      const part = { ...display.frame, columns: Math.max(1, right - left), rows: Math.max(1, bottom - top) };
      view = { ...view, ...{ x: (left + right) / 2, y: (top + bottom) / 2, zoom: fitted({ ...part, width, height }, view).zoom } };
    }
    display.setView(view);
    this.applied.set(pane, { image: id, frame, shown });
    this.#attend(pane);
    this.draw(pane);
    pane.dispatchEvent(new Event('window'));
    /** @type {HTMLDetailsElement} */ (this.menu).open = false;
    this.viewer.say(this.viewer.words.stateApplied);
    if (shown.left_out) tell(this.viewer.words.stateLeftOut.replace('{count}', String(shown.left_out)), 'warning');
  }

  clear() {
    this.applied.delete(this.pane);
    this.draw(this.pane);
    this.pane.reset();
    /** @type {HTMLDetailsElement} */ (this.menu).open = false;
  }

  /** @param {any} pane */
  #attend(pane) {
    if (pane.stateLayer) return;
    pane.stateLayer = document.createElementNS(SVG, 'svg');
    pane.stateLayer.setAttribute('class', 'marks state-layer');
    pane.stateLayer.setAttribute('aria-hidden', 'true');
    pane.marks.svg.before(pane.stateLayer);
    pane.display.addEventListener('change', () => this.draw(pane));
  }

  /** @param {any} pane */
  draw(pane) {
    if (!pane.stateLayer) return;
    const { display } = pane;
    const held = this.applied.get(pane);
    const here = held && held.image === display.pixels?.id && held.frame === display.pixels?.frame;
    pane.stateLayer.replaceChildren();
    if (!held || !here) return;
    const make = (/** @type {string} */ name, /** @type {Record<string, string>} */ attributes, text = '') => {
      const element = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      element.textContent = text;
      pane.stateLayer.append(element);
    };
    for (const line of held.shown.lines) {
      const places = line.map((/** @type {any} */ point) => display.toPane(point).map((/** @type {number} */ number) => number.toFixed(1)).join(' '));
      const d = places.length > 1 ? `M${places.join('L')}` : `M${places[0]}m-5 0h10m-5 -5v10`;
      for (const layer of ['halo', 'line stated']) make('path', { class: layer, d });
    }
    for (const { text, at } of held.shown.words) {
      const [x, y] = display.toPane(at);
      make('text', { class: 'value stated', x: (x + 4).toFixed(1), y: (y - 4).toFixed(1) }, text);
    }
  }
}
