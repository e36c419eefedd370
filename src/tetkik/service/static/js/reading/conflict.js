/**
 * Somebody saved first: what is there now beside what one has here, sentence by sentence, measurement by
 * measurement, finding by finding. Only what one did oneself and the server does not know yet is at stake.
 */

import { textsOf } from './lines.js';

/** @typedef {{label: string, judgement: string | null}} Judging a finding that was judged and not kept */

/**
 * Measurements as the page lists them; what the server does not know yet comes from whoever keeps it.
 * @param {HTMLElement} room
 * @param {string} waiting what is said of one that is not kept yet
 */
function measured(room, waiting) {
  /** @type {Map<string, string>} the names of those that wait, by their id or a number */
  const pending = new Map();
  room.dispatchEvent(new CustomEvent('pending', { detail: pending }));
  const rows = /** @type {HTMLElement[]} */ ([...room.querySelectorAll('[data-measurement]')]);
  const kept = rows.map((row) => {
    const size = row.querySelector('.much')?.textContent ?? '';
    const field = row.querySelector('[data-named]');
    const name = field instanceof HTMLInputElement ? field.value || field.placeholder : '';
    const waits = pending.get(row.dataset.measurement ?? '');
    pending.delete(row.dataset.measurement ?? '');
    return `${waits ?? name}: ${waits === undefined ? size : waiting}`;
  });
  return [...kept, ...[...pending.values()].map((name) => `${name}: ${waiting}`)];
}

/** @param {HTMLElement} room @param {DOMStringMap} words @param {Judging | null} judging */
function judged(room, words, judging) {
  const pressed = /** @type {HTMLElement[]} */ ([...room.querySelectorAll('[data-judge][aria-pressed="true"]')]);
  /** @type {Map<string, string | null>} */
  const said = new Map(pressed.map(({ dataset }) => [dataset.label ?? '', dataset.judge ?? '']));
  if (judging) said.set(judging.label, judging.judgement);
  return [...said].flatMap(([label, judgement]) => {
    const name = room.querySelector(`[data-finding="${CSS.escape(label)}"] .name`)?.textContent ?? label;
    return judgement ? [`${name.trim()}: ${words[judgement] ?? ''}`] : [];
  });
}

/**
 * Fill the side of whoever is here, and show where the two differ.
 * @param {HTMLElement} dialog with what the server gave
 * @param {HTMLElement} room
 * @param {HTMLElement} panel of the draft
 * @param {boolean} wrote whether anything was written here that is not saved
 * @param {Judging | null} judging
 */
export function fill(dialog, room, panel, wrote, judging) {
  const words = /** @type {HTMLElement} */ (dialog.querySelector('[data-current]')).dataset;
  const mine = { text: textsOf(panel), measured: measured(room, words.waiting ?? ''), judged: judged(room, words, judging) };
  for (const [part, said] of Object.entries(mine)) {
    const sides = /** @type {HTMLElement[]} */ ([...dialog.querySelectorAll(`[data-part="${part}"]`)]);
    const own = sides[1].querySelector('[data-mine-text]') ?? sides[1];
    own.append(...said.map((text) => Object.assign(document.createElement('p'), { textContent: text })));
    const [theirs, ours] = sides.map((side) => [...side.querySelectorAll('p:not(.none)')]);
    for (const side of sides) side.hidden = part === 'text' ? !wrote : !theirs.length && !ours.length;
    for (const [here, there] of [[theirs, ours], [ours, theirs]]) {
      const known = new Set(there.map((paragraph) => paragraph.textContent));
      for (const paragraph of here) paragraph.classList.toggle('differs', !known.has(paragraph.textContent));
    }
    for (const [place, side] of sides.entries()) {
      side.querySelector('.none')?.toggleAttribute('hidden', [theirs, ours][place].length > 0);
    }
  }
  for (const choice of /** @type {NodeListOf<HTMLElement>} */ (dialog.querySelectorAll('[data-when]'))) {
    choice.hidden = (choice.dataset.when === 'wrote') !== wrote;
  }
}

/**
 * Bring the first sentence that differs into sight on each side; what is not open does not scroll.
 * @param {HTMLElement} dialog that is open
 */
export function reveal(dialog) {
  for (const side of dialog.querySelectorAll('.versus > section')) {
    const first = side.querySelector('[data-part="text"] .differs');
    const below = (first?.getBoundingClientRect().bottom ?? 0) - side.getBoundingClientRect().bottom;
    if (below > 0) side.scrollTop += below + 12;
  }
}
