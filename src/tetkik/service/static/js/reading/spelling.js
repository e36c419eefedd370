/** Spelling: below each sentence that a person wrote stand its unknown words, with what may be meant. */

import { fieldOf, linesOf, put } from './lines.js';
import { headers } from './requests.js';

const PAUSE = 700; // milliseconds after the last key

/** @typedef {{start: number, end: number, suggestions: string[]}} Unknown */

export class Spelling {
  /** @param {import('./aids.js').Aids} aids */
  constructor(aids) {
    this.aids = aids;
    /** @type {Map<string, Unknown[]>} what is known of a sentence */
    this.known = new Map();
    aids.room.addEventListener('input', () => this.soon());
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#check(), PAUSE);
  }

  /** The sentences that a person wrote. */
  #lines() {
    return linesOf(this.aids.editor.panel).filter((line) => {
      const field = fieldOf(line);
      return !field.readOnly && field.value.trim() && (line.querySelector('.chip.person') || field.value !== field.defaultValue);
    });
  }

  async #check() {
    if (this.aids.language !== 'tr') return;
    const texts = [...new Set(this.#lines().map((line) => fieldOf(line).value))].filter((text) => !this.known.has(text));
    if (texts.length) {
      const body = JSON.stringify({ language: 'tr', texts });
      const address = `/read/${this.aids.room.dataset.case}/spelling`;
      const answer = await fetch(address, { method: 'POST', headers: headers(), body }).catch(() => null);
      if (!answer?.ok) return;
      const { unknown } = await answer.json();
      texts.forEach((text, place) => this.known.set(text, unknown[place]));
    }
    this.#show();
  }

  #show() {
    const lines = new Set(this.#lines());
    for (const line of linesOf(this.aids.editor.panel)) {
      const field = fieldOf(line);
      const found = lines.has(line) ? (this.known.get(field.value) ?? []) : [];
      const words = found.map(({ start, end, suggestions }) => ({ word: field.value.slice(start, end), start, end, suggestions }));
      const old = line.querySelector('.spelling');
      const said = JSON.stringify(words);
      if (old instanceof HTMLElement ? old.dataset.said === said : !words.length) continue;
      const focused = document.activeElement && old?.contains(document.activeElement);
      old?.remove();
      if (focused) field.focus();
      if (words.length) field.after(this.#row(words, said));
    }
  }

  /** @param {{word: string, start: number, end: number, suggestions: string[]}[]} words @param {string} said */
  #row(words, said) {
    const row = Object.assign(document.createElement('div'), { className: 'spelling small' });
    row.dataset.said = said;
    const { addWord = '', unknown = '' } = /** @type {HTMLElement} */ (this.aids.bar.querySelector('[data-aid-hint]')).dataset;
    for (const { word, start, end, suggestions } of words) {
      const group = document.createElement('span');
      group.setAttribute('role', 'group');
      group.setAttribute('aria-label', `${unknown}: ${word}`);
      group.append(Object.assign(document.createElement('s'), { textContent: word }));
      for (const one of suggestions.slice(0, 3)) group.append(this.#button(one, one, start, end));
      group.append(this.#button('', `+ ${addWord}`, start, end));
      row.append(group);
    }
    return row;
  }

  /** @param {string} word empty to add the word as it is @param {string} text @param {number} start @param {number} end */
  #button(word, text, start, end) {
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: text });
    Object.assign(button.dataset, { word, start, end });
    return button;
  }

  /** @param {HTMLElement} button */
  async clicked(button) {
    const line = button.closest('[data-line]');
    if (!line) return;
    const field = fieldOf(line);
    const [start, end] = [Number(button.dataset.start), Number(button.dataset.end)];
    if (button.dataset.word) {
      put(field, button.dataset.word, start, end);
      return;
    }
    const body = JSON.stringify({ word: field.value.slice(start, end) });
    await fetch(`/read/${this.aids.room.dataset.case}/spelling/words`, { method: 'POST', headers: headers(), body }).catch(() => null);
    this.known.clear();
    field.focus();
    this.soon();
  }

  /** F7: select the next unknown word; the arrows choose another in its place. */
  next() {
    const lines = this.#lines();
    const here = document.activeElement?.closest('[data-line]');
    const place = Math.max(0, lines.indexOf(/** @type {HTMLElement} */ (here)));
    for (const line of [...lines.slice(place), ...lines.slice(0, place)]) {
      const field = fieldOf(line);
      const after = field === document.activeElement ? field.selectionEnd : 0;
      const found = (this.known.get(field.value) ?? []).find(({ start }) => start >= after);
      if (!found) continue;
      field.focus();
      field.setSelectionRange(found.start, found.end);
      this.aids.choose(field, found.start, found.end, found.suggestions);
      return;
    }
  }
}
