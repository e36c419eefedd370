/** Aids to writing: macros with their fields, normal sentences, dictation, spelling, critical results. */

import { Dictation } from './dictation.js';
import { added, fieldOf, fitHeight, linesOf, put } from './lines.js';
import { send, tell } from './requests.js';
import { Spelling } from './spelling.js';

/** @typedef {{id: string | null, abbreviation: string, name: string, language: string, text: string, hotkey: number | null}} Macro */

const FIELD = /\[[^[\]]{0,80}\]/g;
const UNIT = /^\[(mm|cm|HU|°|derece|degrees)\]$/;
const ABBREVIATION = /(^|\s)(\.[\p{L}\p{N}-]{1,16})$/u;

/** Small letters of ASCII, as abbreviations are kept. @param {string} text */
const flat = (text) =>
  text
    .toLocaleLowerCase('tr')
    .replace(/ı/g, 'i')
    .normalize('NFD')
    .replace(/\p{M}/gu, '');

export class Aids {
  /** @param {HTMLElement} room @param {import('./editor.js').Editor} editor */
  constructor(room, editor) {
    this.room = room;
    this.editor = editor;
    /** @type {Macro[]} */
    this.macros = [];
    /** @type {{field: HTMLTextAreaElement, start: number, end: number, options: string[]} | null} */
    this.choice = null;
    /** @type {HTMLElement | null} the sentence that had the caret last */
    this.line = null;
    this.spelling = new Spelling(this);
    this.dictation = new Dictation(this);
    // Of the whole page: before anything is chosen in it, the keys go to its body.
    document.addEventListener('keydown', (event) => this.#key(event), true);
    room.addEventListener('focusin', ({ target }) => {
      const line = /** @type {HTMLElement} */ (target).closest('[data-line]');
      if (line instanceof HTMLElement) this.line = line;
    });
    room.addEventListener('click', (event) => this.#click(/** @type {HTMLElement} */ (event.target)));
    room.addEventListener('adopted', () => this.#shown());
    document.addEventListener('submit', (event) => this.#critical(event));
    this.#load();
    this.#shown();
  }

  /** @returns {HTMLElement} */
  get bar() {
    return /** @type {HTMLElement} */ (this.room.querySelector('[data-aids]'));
  }

  get language() {
    return this.bar.dataset.language ?? 'tr';
  }

  /** Say something beside the buttons. @param {string} text */
  hint(text) {
    const place = this.bar.querySelector('[data-aid-hint]');
    if (place) place.textContent = text;
  }

  async #load() {
    const answer = await fetch('/api/v1/macros').catch(() => null);
    if (!answer?.ok) return;
    this.macros = (await answer.json()).items;
    this.#shown();
  }

  #fitting() {
    return this.macros.filter(({ language }) => language === this.language);
  }

  /** The panel is new: its menu is filled, and what was confirmed asks to be reported, once. */
  #shown() {
    if (!this.bar) return;
    const menu = /** @type {HTMLElement} */ (this.bar.querySelector('[data-macros]'));
    menu.querySelectorAll('[data-macro]').forEach((old) => old.remove());
    menu.prepend(
      ...this.#fitting().map((macro) => {
        const button = Object.assign(document.createElement('button'), { type: 'button', className: 'item' });
        button.dataset.macro = macro.abbreviation;
        const key = Object.assign(document.createElement('span'), { className: 'mono quiet' });
        key.textContent = `.${macro.abbreviation}${macro.hotkey ? ` Alt+${macro.hotkey}` : ''}`;
        button.append(macro.name, ' ', key);
        return button;
      }),
    );
    const dialog = document.getElementById('report-critical');
    const banner = this.room.querySelector('[data-critical-banner]');
    if (banner instanceof HTMLElement && dialog) {
      banner.hidden = !banner.dataset.words || 'raised' in dialog.dataset;
      const words = /** @type {HTMLTextAreaElement} */ (dialog.querySelector('[name="words"]'));
      if (!words.value) words.value = banner.dataset.words ?? '';
    }
    this.dictation.shown();
    this.spelling.soon();
  }

  /** The field to write into: where the caret is or was last, else a new sentence of the findings. */
  target() {
    const here = document.activeElement?.closest('[data-line]') ?? this.line;
    if (here instanceof HTMLElement && here.isConnected) return fieldOf(here);
    return fieldOf(added(this.editor.panel, 'findings', null));
  }

  /**
   * Put a text into a sentence; each further line becomes a sentence of its own.
   * @param {HTMLTextAreaElement} field
   * @param {string} text
   * @param {number} [start] where what gives way begins
   */
  insert(field, text, start = field.selectionStart) {
    const [first, ...rest] = text.split('\n');
    put(field, first, start, field.selectionEnd);
    let line = /** @type {HTMLElement} */ (field.closest('[data-line]'));
    const open = { line, from: start };
    for (const one of rest) {
      line = added(this.editor.panel, line.dataset.section ?? 'findings', line, one);
      fitHeight(fieldOf(line));
    }
    this.editor.changed();
    const end = fieldOf(line);
    end.focus();
    if (rest.length) end.setSelectionRange(end.value.length, end.value.length);
    const lines = [open.line, ...rest.map((_, place) => linesOf(this.editor.panel)[linesOf(this.editor.panel).indexOf(open.line) + place + 1])];
    this.#next(lines, open.from);
  }

  /** @param {Macro} macro @param {HTMLTextAreaElement} field @param {number} [start] */
  #take(macro, field, start) {
    this.insert(field, macro.text, start);
  }

  /** Select the first open field from a place on. @param {HTMLElement[]} lines @param {number} from */
  #next(lines, from) {
    for (const [place, line] of lines.entries()) {
      const field = fieldOf(line);
      for (const match of field.value.matchAll(FIELD)) {
        if (place || match.index >= from) return this.#select(field, match.index, match[0]);
      }
    }
    return false;
  }

  /** @param {HTMLElement[]} lines the last one ends at `until` @param {number} until */
  #previous(lines, until) {
    for (const [place, line] of [...lines].reverse().entries()) {
      const field = fieldOf(line);
      const match = [...field.value.matchAll(FIELD)].filter(({ index, 0: text }) => place || index + text.length <= until).at(-1);
      if (match) return this.#select(field, match.index, match[0]);
    }
    return false;
  }

  /** @param {HTMLTextAreaElement} field @param {number} start @param {string} text */
  #select(field, start, text) {
    field.focus();
    field.setSelectionRange(start, start + text.length);
    const said = text.slice(1, -1).replace(/^[^:|]*:\s*/, '');
    this.choose(field, start, start + text.length, said.includes('|') ? said.split('|').map((one) => one.trim()) : []);
    return true;
  }

  /**
   * Let the arrows choose what stands in a place that is selected.
   * @param {HTMLTextAreaElement} field
   * @param {number} start
   * @param {number} end
   * @param {string[]} options
   */
  choose(field, start, end, options) {
    this.choice = options.length ? { field, start, end, options } : null;
    const { choices = '' } = /** @type {HTMLElement} */ (this.bar.querySelector('[data-aid-hint]')).dataset;
    this.hint(options.length ? `${choices}: ${options.join(' · ')}` : '');
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const field = event.target;
    if (document.querySelector('dialog[open]')) return;
    if (event.key === 'F7') {
      event.preventDefault();
      this.spelling.next();
      return;
    }
    if (event.altKey && !event.ctrlKey && !event.metaKey) {
      if (event.code === 'KeyN') this.#press(event, '[data-normals]');
      else if (event.code === 'KeyR') this.#press(event, '[data-dictate]');
      else if (/^Digit[1-9]$/.test(event.code) && !event.shiftKey) {
        const macro = this.#fitting().find(({ hotkey }) => hotkey === Number(event.code.at(-1)));
        if (!macro || this.editor.writing.active) return;
        event.preventDefault();
        this.#take(macro, this.target());
      }
      return;
    }
    if (!(field instanceof HTMLTextAreaElement) || field.readOnly || !field.closest('[data-line]')) return;
    if (event.ctrlKey || event.metaKey) return;
    if (event.key === 'Tab' && this.#tab(event, field)) event.preventDefault();
    else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && this.#turn(field, event.key === 'ArrowDown' ? 1 : -1)) {
      event.preventDefault();
    } else if (/^\d$/.test(event.key)) {
      const unit = UNIT.exec(field.value.slice(field.selectionStart, field.selectionEnd))?.[1];
      if (!unit) return;
      event.preventDefault();
      put(field, event.key + (unit === '°' ? unit : ` ${unit}`));
      const caret = field.selectionStart - unit.length - (unit === '°' ? 0 : 1);
      field.setSelectionRange(caret, caret);
    }
  }

  /** @param {KeyboardEvent} event @param {string} selector */
  #press(event, selector) {
    const button = this.bar.querySelector(selector);
    if (!(button instanceof HTMLElement)) return;
    event.preventDefault();
    button.click();
  }

  /** Tab expands an abbreviation, or goes to the next open field; gives whether it did. @param {KeyboardEvent} event @param {HTMLTextAreaElement} field */
  #tab(event, field) {
    const { selectionStart: start, selectionEnd: end } = field;
    const typed = start === end && !event.shiftKey && ABBREVIATION.exec(field.value.slice(0, start))?.[2];
    const macro = typed && this.#fitting().find(({ abbreviation }) => abbreviation === flat(typed.slice(1)));
    if (macro) {
      this.#take(macro, field, start - typed.length);
      return true;
    }
    const lines = linesOf(this.editor.panel);
    const place = lines.indexOf(/** @type {HTMLElement} */ (field.closest('[data-line]')));
    this.choose(field, 0, 0, []);
    return event.shiftKey ? this.#previous(lines.slice(0, place + 1), start) : this.#next(lines.slice(place), end);
  }

  /** The next word in the place of the one that is selected. @param {HTMLTextAreaElement} field @param {number} by */
  #turn(field, by) {
    const { choice } = this;
    if (!choice || choice.field !== field || field.selectionStart !== choice.start || field.selectionEnd !== choice.end) return false;
    const now = choice.options.indexOf(field.value.slice(choice.start, choice.end));
    const count = choice.options.length;
    const word = choice.options[now < 0 ? (by > 0 ? 0 : count - 1) : (now + by + count) % count];
    put(field, word);
    choice.end = choice.start + word.length;
    field.setSelectionRange(choice.start, choice.end);
    return true;
  }

  /** @param {HTMLElement} target */
  #click(target) {
    const on = (/** @type {string} */ selector) => /** @type {HTMLElement | null} */ (target.closest(selector));
    if (this.editor.writing.active) return;
    const macro = this.#fitting().find(({ abbreviation }) => abbreviation === on('[data-macro]')?.dataset.macro);
    if (macro) {
      on('details')?.removeAttribute('open');
      this.#take(macro, this.target());
    } else if (on('[data-normals]')) this.#normals(/** @type {HTMLElement} */ (on('[data-normals]')));
    else if (on('[data-dictate]')) this.dictation.toggle();
    else if (on('[data-word]')) this.spelling.clicked(/** @type {HTMLElement} */ (on('[data-word]')));
  }

  /** @param {HTMLElement} button */
  async #normals(button) {
    if (!(await this.editor.save())) return;
    const { revision } = this.editor;
    const { none = '' } = button.dataset;
    if ((await this.editor.ask('normals', {})) && this.editor.revision === revision) tell(none, 'warning');
  }

  /** Report a critical result, or who heard it, without leaving the page; says how far it has come. @param {SubmitEvent} event */
  async #critical(event) {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (!('critical' in form.dataset)) return;
    event.preventDefault();
    await this.editor.save();
    const answer = await send('POST', form.action, new FormData(form));
    if (answer.status !== 200) return tell(answer.sentence, 'error');
    const dialog = form.closest('dialog');
    if (dialog) {
      dialog.dataset.raised = '';
      dialog.close();
      form.reset();
      this.#shown();
    }
    document.querySelector('[data-critical-now]')?.replaceChildren(...answer.page.body.children);
  }
}
