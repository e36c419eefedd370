/**
 * The measurements of the viewer, kept with the draft. Each is sent as it is made, moved, named or removed,
 * one after the other and in line with the text, naming the revision that one saw. What the server does not
 * know yet stays on the image, and is sent again.
 */

import { added, fieldOf } from './lines.js';

/** @typedef {import('../viewer/marks.js').Mark} Mark */

const PAUSE = 600; // milliseconds after the last step by keyboard
const AGAIN = 5000; // after the server could not be reached
const NEAR = 0.02; // pixels: the server keeps hundredths

/** @param {Mark} one @param {Mark} other */
function same(one, other) {
  const near = one.points.every(([x, y], place) => {
    const [left, top] = other.points[place] ?? [Infinity, Infinity];
    return Math.abs(x - left) < NEAR && Math.abs(y - top) < NEAR;
  });
  return one.image === other.image && one.kind === other.kind && near;
}

export class Measurements {
  /**
   * @param {HTMLElement} room
   * @param {HTMLElement} viewer
   * @param {import('./editor.js').Editor | null} editor none where nothing may be changed
   */
  constructor(room, viewer, editor) {
    this.room = room;
    this.viewer = viewer;
    this.editor = editor;
    /** @type {Map<string, Mark>} those that the server knows, by their id */
    this.known = new Map();
    /** @type {Map<Mark, 'changed' | 'removed'>} what the server does not know yet */
    this.waiting = new Map();
    /** @type {Mark | null} */
    this.sending = null;
    /** @type {HTMLTextAreaElement | null} the sentence that had the caret before the list of measurements */
    this.field = null;
    if (!editor) return;
    viewer.addEventListener('measured', (event) => this.#took(/** @type {CustomEvent} */ (event).detail));
    room.addEventListener('adopted', () => {
      this.show();
      if (this.waiting.size) this.#soon(0);
    });
    room.addEventListener('pending', (event) => this.#tell(/** @type {CustomEvent} */ (event).detail));
    room.addEventListener('dropped', () => this.waiting.clear());
    room.addEventListener('focusin', ({ target }) => {
      const element = /** @type {HTMLElement} */ (target);
      if (element instanceof HTMLTextAreaElement && element.closest('[data-line]')) this.field = element;
      else if (!element.closest('.measurements')) this.field = null;
    });
    viewer.addEventListener('pointerdown', () => (this.field = null));
    room.addEventListener('change', ({ target }) => {
      if (target instanceof HTMLInputElement && 'named' in target.dataset) this.#name(target);
    });
    room.addEventListener('click', ({ target }) => this.#click(/** @type {HTMLElement} */ (target)));
    window.addEventListener('beforeunload', (event) => {
      if (this.waiting.size || this.sending) event.preventDefault();
    });
  }

  /** Draw what the page lists, and what is still on its way. */
  show() {
    const rows = /** @type {HTMLElement[]} */ ([...this.room.querySelectorAll('[data-measurement]')]);
    const listed = rows.map((row, place) => this.#mark(JSON.parse(row.dataset.drawn ?? '{}'), place + 1));
    this.known = new Map(listed.map((mark) => [mark.id ?? '', mark]));
    const fresh = [...this.waiting.keys(), ...(this.sending ? [this.sending] : [])].filter((mark) => !mark.id);
    const shown = [...listed, ...fresh].filter((mark) => this.waiting.get(mark) !== 'removed');
    this.viewer.dispatchEvent(new CustomEvent('measurements', { detail: shown }));
  }

  /** The mark of a row: the one that is drawn already, unless there is none. @param {Mark} row @param {number} number */
  #mark(row, number) {
    const sent = this.sending && !this.sending.id && same(this.sending, row) ? this.sending : null;
    const mark = this.known.get(row.id ?? '') ?? sent ?? row;
    mark.id = row.id;
    mark.number = number;
    mark.fixed = !this.editor;
    if (mark !== this.sending && !this.waiting.has(mark)) Object.assign(mark, { points: row.points, label: row.label });
    if (same(mark, row)) mark.text = row.text; // the server alone knows the pixels of a region
    return mark;
  }

  /** @param {{mark: Mark, how: 'made' | 'moved' | 'removed'}} change from the viewer */
  #took({ mark, how }) {
    if (how !== 'removed') this.waiting.set(mark, 'changed');
    else if (mark.id || mark === this.sending) this.waiting.set(mark, 'removed');
    else this.waiting.delete(mark);
    this.#soon(how === 'moved' ? PAUSE : 0);
  }

  /** @param {number} pause */
  #soon(pause) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.settled(), pause);
  }

  /** Send everything that waits. @returns {Promise<boolean>} whether the server knows all */
  settled() {
    clearTimeout(this.timer);
    this.work ??= this.#send().finally(() => (this.work = undefined));
    return this.work;
  }

  async #send() {
    for (const [mark, how] of this.waiting) {
      this.waiting.delete(mark);
      this.sending = mark;
      const done = await this.#ask(mark, how);
      this.sending = null;
      if (!done && !this.#again(mark, how)) return false;
    }
    return true;
  }

  /** @param {Mark} mark @param {'changed' | 'removed'} how */
  #ask(mark, how) {
    const { id, kind, image, frame, points, label = '' } = mark;
    const editor = /** @type {import('./editor.js').Editor} */ (this.editor);
    if (how === 'removed') return editor.ask('measurements/remove', { id });
    if (id) return editor.ask('measurements/change', { id, points, label });
    return editor.ask('measurements', { kind, image_id: image, frame: frame ?? null, points, label });
  }

  /** After a refusal: wait, or give up what cannot be; gives whether to go on. @param {Mark} mark @param {'changed' | 'removed'} how */
  #again(mark, how) {
    const { conflict = false, refusal = 0 } = this.editor ?? {};
    if (!conflict && refusal !== 0 && refusal !== 401) {
      this.show(); // as the server has it
      return true;
    }
    if (!this.waiting.has(mark)) this.waiting.set(mark, how);
    if (!conflict) this.#soon(AGAIN); // after a conflict, once it is settled
    return false;
  }

  /** What the server does not know yet, by its id or a number. @param {Map<string, string>} pending */
  #tell(pending) {
    const words = JSON.parse(this.viewer.dataset.words ?? '{}');
    for (const mark of [...(this.sending ? [this.sending] : []), ...this.waiting.keys()]) {
      const row = this.room.querySelector(`[data-measurement="${CSS.escape(mark.id ?? '')}"] [data-named]`);
      const usual = row instanceof HTMLInputElement ? row.placeholder : words[mark.kind];
      pending.set(mark.id ?? `new ${pending.size}`, mark.label || usual || '');
    }
  }

  /** @param {HTMLInputElement} field */
  #name(field) {
    const mark = this.#of(field);
    if (!mark) return;
    mark.label = field.value;
    this.waiting.set(mark, 'changed');
    this.#soon(0);
  }

  /** @param {Element} element of a row */
  #of(element) {
    const row = /** @type {HTMLElement | null} */ (element.closest('[data-measurement]'));
    return this.known.get(row?.dataset.measurement ?? '');
  }

  /** @param {HTMLElement} target */
  async #click(target) {
    const put = target.closest('[data-put]');
    const gone = target.closest('[data-unmeasure]');
    const mark = gone && this.#of(gone);
    if (put instanceof HTMLElement) this.#put(put);
    if (!mark) return;
    this.waiting.set(mark, 'removed');
    this.show();
    await this.settled();
    if (document.activeElement !== document.body) return;
    const next = this.room.querySelector('[data-unmeasure]') ?? this.room.querySelector('[data-draft] > .scroll');
    /** @type {HTMLElement | null} */ (next)?.focus();
  }

  /** Into the sentence that had the caret last; else as a sentence of its own. @param {HTMLElement} button */
  #put(button) {
    const { editor, field } = this;
    const { put: size = '' } = button.dataset;
    if (!editor || editor.writing.active) return;
    if (!field?.isConnected) {
      const name = /** @type {HTMLInputElement | null} */ (button.closest('[data-measurement]')?.querySelector('[data-named]'));
      const line = added(editor.panel, 'findings', null, `${name?.value || name?.placeholder}: ${size}.`);
      editor.changed();
      fieldOf(line).focus();
      return;
    }
    const { selectionStart: start, selectionEnd: end, value } = field;
    const before = start && !/\s$/.test(value.slice(0, start)) ? ' ' : '';
    const after = /^[\p{L}\p{N}]/u.test(value.slice(end)) ? ' ' : '';
    field.focus();
    field.setRangeText(`${before}${size}${after}`, start, end, 'end');
    field.dispatchEvent(new Event('input', { bubbles: true }));
  }
}
