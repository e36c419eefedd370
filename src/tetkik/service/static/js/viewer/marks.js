/** What is drawn over an image, in SVG, by hand or by keyboard; each end is reachable with Tab. */

import { POINTS, clicks, isRegion, lines, measured, written } from './measure.js';
import { askWords } from './notes.js';
import { oppositeWall } from './wall.js';

/** @typedef {import('./view.js').Point} Point */
/** @typedef {import('./measure.js').Kind} Kind */
/**
 * @typedef {object} Mark
 * @property {Kind} kind
 * @property {Point[]} points of the image, from the outer corner of its first pixel
 * @property {string} [image] id of the image
 * @property {number | null} [frame] of several, from 1
 * @property {string} [id] by which the server knows it
 * @property {string} [text] how much it is, as the server says it; of a region it alone knows what the pixels are
 * @property {string} [label] what the radiologist calls it
 * @property {number} [number] its place in the list beside the draft, from 1
 * @property {boolean} [fixed] whether it is signed, or somebody else's to change
 */

const SVG = 'http://www.w3.org/2000/svg';
const ARROWS = /** @type {Record<string, Point>} */ ({
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
});

/** @param {string} name @param {Record<string, string | number>} attributes */
function shape(name, attributes, text = '') {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.textContent = text;
  return element;
}

/** Says `change` when a measurement came, went or moved; `took` {mark, how} when a person did that. */
export class Marks extends EventTarget {
  /**
   * @param {import('./display.js').Display} display
   * @param {Record<string, string>} words
   * @param {(sentence: string) => void} say
   */
  constructor(display, words, say) {
    super();
    this.display = display;
    this.words = words;
    this.say = say;
    /** @type {Mark[]} */
    this.list = [];
    /** @type {Mark | null} one whose last points are still to come */
    this.growing = null;
    /** @type {Point | null} of the pane: the keyboard's cross */
    this.cross = null;
    /** @type {Point | null} of the pane: where the hand is */
    this.hover = null;
    this.svg = /** @type {SVGSVGElement} */ (shape('svg', { class: 'marks' }));
    display.element.parentElement?.append(this.svg); // over everything else
    display.addEventListener('change', () => this.draw());
  }

  /** @param {Mark} mark */
  text(mark) {
    if (isRegion(mark.kind) && mark.text) return mark.text;
    return written(mark.kind, mark.points, this.display.pixels?.spacing ?? null, { pixels: this.words.pixels });
  }

  /** @param {Mark} mark */
  name(mark) {
    const much = this.text(mark) || mark.label || '';
    return `${this.words[mark.kind]} ${mark.number ?? this.list.indexOf(mark) + 1}${much && ': '}${much}`;
  }

  /**
   * Set a point; the last one completes a measurement.
   * @param {Kind} kind
   * @param {Point} at of the pane
   */
  set(kind, at) {
    if (this.growing?.kind !== kind) {
      const { id, frame = null } = this.display.pixels ?? {};
      this.growing = { kind, points: [], image: id, frame };
    }
    const mark = this.growing;
    mark.points.push(this.#within(at));
    const full = mark.points.length === clicks(kind);
    if (full) this.growing = null;
    else this.say(this.steps(kind)[mark.points.length] ?? this.words.point);
    this.draw();
    this.dispatchEvent(new Event('step'));
    if (full) this.#complete(mark, at); // which may say more than what to click next
  }

  /** @param {Mark} mark @param {Point} at of the pane */
  async #complete(mark, at) {
    const { pixels } = this.display;
    if (mark.kind === 'cardiothoracic' && pixels) mark.points.push(oppositeWall(pixels, mark.points));
    if (mark.kind === 'text') {
      mark.label = await askWords(/** @type {HTMLElement} */ (this.display.element.parentElement), at, /** @type {any} */ (this.words));
      if (!mark.label) return;
    }
    // A slip of the hand is no measurement.
    else if (measured('length', mark.points, null) <= 1) return;
    this.list.push(mark);
    this.say(mark.kind === 'cardiothoracic' ? `${this.name(mark)}. ${this.words.cardiothoracic_3}` : this.name(mark));
    this.#notify(mark, 'made');
    this.draw();
    if (mark.kind === 'cardiothoracic') this.dispatchEvent(new CustomEvent('step', { detail: this.words.cardiothoracic_3 }));
  }

  /** What is to be clicked, point by point; empty of what is drawn in one stroke. @param {string} kind @returns {string[]} */
  steps(kind) {
    return this.words[`steps_${kind}`]?.split('|') ?? [];
  }

  /** Forget a half measurement. */
  cancel() {
    this.growing = null;
    this.cross = null;
    this.dispatchEvent(new Event('step'));
    this.draw();
  }

  /** @param {Mark} mark */
  remove(mark) {
    this.list = this.list.filter((other) => other !== mark);
    this.say(this.words.removed);
    this.draw();
    this.#notify(mark, 'removed');
  }

  /** Show these in the place of those that are shown. @param {Mark[]} marks */
  show(marks) {
    this.list = marks;
    this.draw();
    this.dispatchEvent(new Event('change'));
  }

  /** Those of the frame that is shown. */
  get seen() {
    const shown = this.display.pixels?.frame ?? null;
    const image = this.display.pixels?.id;
    return this.list.filter((mark) => (mark.image ?? image) === image && (mark.frame == null || shown === null || mark.frame === shown));
  }

  /** @param {Mark} mark @param {'made' | 'moved' | 'removed'} how */
  #notify(mark, how) {
    this.dispatchEvent(new Event('change'));
    this.dispatchEvent(new CustomEvent('took', { detail: { mark, how } }));
  }

  /** A point of the image, its edge for what lies beyond. @param {Point} at of the pane @returns {Point} */
  #within(at) {
    const { rows, columns } = this.display.frame;
    const [x, y] = this.display.toImage(at);
    return [Math.min(Math.max(x, 0), columns), Math.min(Math.max(y, 0), rows)];
  }

  /**
   * The keyboard's cross goes a step; it begins in the middle.
   * @param {string} key
   * @param {boolean} far
   */
  step(key, far) {
    const { width, height } = this.display.frame;
    const [x, y] = this.cross ?? [width / 2, height / 2];
    const [right, down] = ARROWS[key];
    const by = far ? 20 : 2;
    this.cross = [Math.min(Math.max(x + right * by, 0), width), Math.min(Math.max(y + down * by, 0), height)];
    this.draw();
  }

  draw() {
    if (!this.display.pixels) return;
    const held = this.#focused();
    this.svg.replaceChildren();
    for (const mark of this.seen) this.#drawMark(mark);
    if (this.growing) {
      const at = this.cross ?? this.hover;
      const { kind } = this.growing;
      const points = [...this.growing.points, ...(at ? [this.display.toImage(at)] : [])].slice(0, POINTS[kind]);
      for (const line of lines(kind, points, this.display.pixels.spacing)) this.#drawLine(line, 'line growing');
      for (const point of this.growing.points) {
        const [x, y] = this.display.toPane(point);
        this.svg.append(shape('circle', { class: 'dot', cx: x, cy: y, r: 3 }));
      }
    }
    if (this.cross) {
      const [x, y] = this.cross;
      this.svg.append(shape('path', { class: 'cross', d: `M${x - 14} ${y}h28M${x} ${y - 14}v28` }));
    }
    if (held) /** @type {SVGElement | undefined} */ (this.svg.querySelectorAll('.end')[held - 1])?.focus();
  }

  /** Which end has the focus, counted from 1; 0 for none. Drawing makes the ends anew. */
  #focused() {
    return [...this.svg.querySelectorAll('.end')].indexOf(/** @type {Element} */ (document.activeElement)) + 1;
  }

  /** @param {Point[]} points @param {string} kind */
  #drawLine(points, kind) {
    const path = points.map((point) => this.display.toPane(point).map((number) => number.toFixed(1)).join(' '));
    for (const layer of ['halo', kind]) this.svg.append(shape('path', { class: layer, d: `M${path.join('L')}` }));
  }

  /** @param {Mark} mark */
  #drawMark(mark) {
    const { spacing = null } = this.display.pixels ?? {};
    for (const line of lines(mark.kind, mark.points, spacing)) this.#drawLine(line, 'line');
    if (mark.kind === 'arrow') this.#drawHead(mark.points);
    const places = mark.points.map((point) => this.display.toPane(point));
    const rightmost = places.reduce((best, place) => (place[0] > best[0] ? place : best));
    const [x, y] = mark.kind === 'angle' ? places[1] : mark.kind === 'arrow' ? places[0] : rightmost;
    const { width, height } = this.display.frame;
    const number = mark.number ? `${mark.number} · ` : '';
    const said = [mark.kind === 'text' || mark.kind === 'arrow' ? mark.label : '', this.text(mark)].filter(Boolean).join(' ');
    // A letter is about eight pixels wide.
    const at = { x: Math.max(4, Math.min(x + 12, width - 8 * (said.length + 4))), y: Math.min(Math.max(y - 10, 16), height - 8) };
    if (said) this.svg.append(shape('text', { class: 'value', ...at }, `${mark.kind === 'text' ? '' : number}${said}`));
    if (mark.fixed) return;
    places.forEach((place, index) => this.svg.append(this.#end(mark, index, place)));
  }

  /** The head of an arrow, as large whatever the zoom. @param {Point[]} points */
  #drawHead(points) {
    const [end, head] = points.map((point) => this.display.toPane(point));
    const way = Math.atan2(end[1] - head[1], end[0] - head[0]);
    const sides = [-0.44, 0.44].map((turn) => [head[0] + 14 * Math.cos(way + turn), head[1] + 14 * Math.sin(way + turn)]);
    this.#drawLine([sides[0], head, sides[1]].map((place) => this.display.toImage(/** @type {Point} */ (place))), 'line');
  }

  /** @param {Mark} mark @param {number} index @param {Point} place */
  #end(mark, index, place) {
    const end = shape('g', {
      class: 'end',
      tabindex: 0,
      role: 'button',
      'aria-label': `${this.name(mark)}, ${this.words.end} ${index + 1}`,
      transform: `translate(${place[0].toFixed(1)} ${place[1].toFixed(1)})`,
    });
    end.append(shape('circle', { class: 'reach', r: 14 }), shape('circle', { class: 'dot', r: 4.5 }));
    end.addEventListener('pointerdown', (event) => this.#drag(/** @type {PointerEvent} */ (event), mark, index));
    end.addEventListener('keydown', (event) => this.#key(/** @type {KeyboardEvent} */ (event), mark, index));
    return end;
  }

  /** @param {Mark} mark @param {number} index @param {Point} at of the pane @param {boolean} [whole] all of it goes with the point */
  #move(mark, index, at, whole = false) {
    const [x, y] = this.#within(at);
    const { rows, columns } = this.display.frame;
    // No further than its outermost point lets it.
    const by = [x, y].map((to, axis) => {
      const along = whole ? mark.points.map((point) => point[axis]) : [mark.points[index][axis]];
      const most = axis ? rows : columns;
      return Math.min(Math.max(to - mark.points[index][axis], -Math.min(...along)), most - Math.max(...along));
    });
    mark.points = mark.points.map((point, place) => (whole || place === index ? [point[0] + by[0], point[1] + by[1]] : point));
    mark.text = undefined; // until the server has counted its pixels anew
    this.draw();
    this.dispatchEvent(new Event('change'));
  }

  /** @param {PointerEvent} event @param {Mark} mark @param {number} index */
  #drag(event, mark, index) {
    event.stopPropagation();
    event.preventDefault();
    const box = this.svg.getBoundingClientRect();
    const follow = (/** @type {PointerEvent} */ moved) => {
      moved.preventDefault();
      this.#move(mark, index, [moved.clientX - box.left, moved.clientY - box.top], moved.shiftKey);
    };
    // On the document, for the end itself is drawn anew with every step.
    document.addEventListener('pointermove', follow);
    document.addEventListener(
      'pointerup',
      () => {
        document.removeEventListener('pointermove', follow);
        this.say(this.name(mark));
        this.#notify(mark, 'moved');
      },
      { once: true },
    );
  }

  /** @param {KeyboardEvent} event @param {Mark} mark @param {number} index */
  #key(event, mark, index) {
    if (event.key === 'Delete' || event.key === 'Backspace') {
      event.preventDefault();
      event.stopPropagation();
      this.remove(mark);
      this.display.element.parentElement?.focus();
    } else if (event.key in ARROWS) {
      event.preventDefault();
      event.stopPropagation();
      const [x, y] = this.display.toPane(mark.points[index]);
      const [right, down] = ARROWS[event.key];
      const by = event.shiftKey ? 10 : 1;
      this.#move(mark, index, [x + right * by, y + down * by], event.ctrlKey);
      this.say(this.name(mark));
      this.#notify(mark, 'moved');
    }
  }
}
