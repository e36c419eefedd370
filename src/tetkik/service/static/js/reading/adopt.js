/** What the server answers takes the place of what is shown, and nobody who is typing is disturbed. */

import { fieldOf, linesOf } from './lines.js';

/** @typedef {{line: HTMLElement, text: string}} Sent a line as it was sent */

/** How to find an element again that is drawn anew. @param {Element | null} element */
function traceOf(element) {
  if (!(element instanceof HTMLElement)) return null;
  const names = ['judge', 'label', 'heat', 'move', 'decide', 'rewrite', 'remove', 'sign', 'add', 'put', 'named', 'unmeasure'];
  const known = names.filter((name) => name in element.dataset);
  if (!known.length) return null;
  const row = element.closest('[data-measurement]')?.getAttribute('data-measurement');
  const within = row ? `[data-measurement="${CSS.escape(row)}"] ` : '';
  const selector = within + known.map((name) => `[data-${name}="${CSS.escape(element.dataset[name] ?? '')}"]`).join('');
  const line = element.closest('[data-line]');
  return { selector, line };
}

/** @param {Element} room @param {() => void} change */
function keepingFocus(room, change) {
  const focused = document.activeElement;
  const trace = traceOf(focused);
  change();
  if (!focused || focused.isConnected || !trace) return;
  const within = trace.line?.isConnected ? trace.line : room;
  /** @type {HTMLElement | null} */ (within.querySelector(trace.selector))?.focus();
}

/** @param {Element} room @param {Document} page */
function adoptFindings(room, page) {
  const [old, fresh] = [room.querySelector('.findings-side'), page.querySelector('.findings-side')];
  if (!old || !fresh) return;
  const top = old.querySelector('.scroll')?.scrollTop ?? 0;
  const open = old.querySelector('#not-assessed')?.hasAttribute('open');
  const looked = old.querySelector('[data-heat][aria-pressed="true"]')?.getAttribute('data-heat');
  old.replaceWith(fresh);
  if (open) fresh.querySelector('#not-assessed')?.setAttribute('open', '');
  if (looked) fresh.querySelector(`[data-heat="${CSS.escape(looked)}"]`)?.setAttribute('aria-pressed', 'true');
  const scroller = fresh.querySelector('.scroll');
  if (scroller) scroller.scrollTop = top;
}

/** @param {Sent} sent @param {HTMLElement} fresh */
function adoptLine({ line, text }, fresh) {
  const field = fieldOf(line);
  const now = fieldOf(fresh).value;
  line.dataset.evidence = fresh.dataset.evidence;
  line.className = fresh.className;
  if (field.value === text) line.dataset.author = fresh.dataset.author;
  if (field.value === text && now !== text && document.activeElement !== field) field.value = now;
  for (const old of line.querySelectorAll('.about, .objection, .own-hint')) old.remove();
  line.append(...fresh.querySelectorAll('.about, .objection, .own-hint'));
}

/** A part anew; a name that somebody is writing stays as far as it is. @param {Element} old @param {Element} fresh */
function adoptPart(old, fresh) {
  const field = document.activeElement;
  const row = field instanceof HTMLInputElement && old.contains(field) ? field.closest('[data-measurement]') : null;
  old.replaceWith(fresh);
  if (!row || !(field instanceof HTMLInputElement)) return;
  const id = CSS.escape(row.getAttribute('data-measurement') ?? '');
  const again = fresh.querySelector(`[data-measurement="${id}"] [data-named]`);
  if (again instanceof HTMLInputElement) again.value = field.value;
}

/** What came and went while the answer was on its way does so in the draft that is new. @param {Element} fresh @param {Element} old @param {Sent[]} sent */
function carryTyped(fresh, old, sent) {
  const again = (/** @type {HTMLElement} */ line, /** @type {string} */ text) =>
    linesOf(fresh).find((one) => one.dataset.section === line.dataset.section && fieldOf(one).value === text);
  for (const line of linesOf(old)) {
    const { text } = sent.find((one) => one.line === line) ?? { text: '' };
    const { value } = fieldOf(line);
    if (value === text || !value.trim()) continue;
    const there = text ? again(line, text) : null;
    if (there) {
      fieldOf(there).value = value;
      there.dataset.author = line.dataset.author;
    } else fresh.querySelector(`[data-lines="${line.dataset.section}"]`)?.append(line);
  }
  for (const { line, text } of sent) {
    if (!old.contains(line)) again(line, text)?.remove();
  }
}

/** @param {Element} room @param {Document} page @param {Sent[] | null} sent @param {boolean} judged */
function adoptDraft(room, page, sent, judged) {
  const [old, fresh] = [room.querySelector('[data-draft]'), page.querySelector('[data-draft]')];
  if (!(old instanceof HTMLElement) || !(fresh instanceof HTMLElement)) return;
  const lines = linesOf(fresh);
  // A line that came or went while the answer was on its way is saved after this.
  const same = !judged || sent?.every(({ text }, place) => lines[place] && fieldOf(lines[place]).value === text);
  if (sent && sent.length === lines.length && same) {
    sent.forEach((one, place) => adoptLine(one, lines[place]));
    old.dataset.revision = fresh.dataset.revision;
    for (const part of ['header', '.critical-banner', '.measurements', '.key-images', 'footer']) {
      const [before, after] = [old.querySelector(`:scope > ${part}`), fresh.querySelector(`:scope > ${part}`)];
      if (before && after) adoptPart(before, after);
    }
    return;
  }
  const top = old.querySelector('.scroll')?.scrollTop ?? 0;
  const place = linesOf(old).findIndex((line) => line.contains(document.activeElement));
  old.replaceWith(fresh);
  if (judged && sent) carryTyped(fresh, old, sent);
  const scroller = fresh.querySelector('.scroll');
  if (scroller) scroller.scrollTop = top;
  const line = place >= 0 ? (lines[place] ?? lines.at(-1)) : null;
  if (line) fieldOf(line).focus();
}

/**
 * @param {Element} room
 * @param {Document} page
 * @param {Sent[] | null} [sent] the lines as they were sent, where only what belongs to each is to change;
 *   otherwise the whole draft is new
 * @param {boolean} [judged] whether sentences may have come and gone by judging
 */
export function adopt(room, page, sent = null, judged = false) {
  keepingFocus(room, () => {
    adoptFindings(room, page);
    adoptDraft(room, page, sent, judged);
  });
  room.dispatchEvent(new Event('adopted'));
}
