/** Parts beside the image that fold away; what was folded stays so in this browser, in the next case as well. */

import { preferences, remember } from '../viewer/preferences.js';

const FINDINGS = 'fold-findings';

/** @param {HTMLElement} room */
export function folds(room) {
  const { folded = [] } = preferences();
  const closed = new Set(folded);

  /** @param {string} name @param {boolean} shut */
  const keep = (name, shut) => {
    if (closed.has(name) === shut) return;
    if (shut) closed.add(name);
    else closed.delete(name);
    remember({ folded: [...closed] });
  };
  const show = () => {
    for (const part of /** @type {NodeListOf<HTMLDetailsElement>} */ (room.querySelectorAll('details[data-fold]'))) part.open = !closed.has(part.dataset.fold ?? '');
    room.classList.toggle(FINDINGS, closed.has(FINDINGS));
    room.querySelector('[data-fold-findings]')?.setAttribute('aria-expanded', String(!closed.has(FINDINGS)));
  };

  room.addEventListener('toggle', ({ target }) => {
    if (target instanceof HTMLDetailsElement && target.isConnected && target.dataset.fold) keep(target.dataset.fold, !target.open);
  }, true);
  room.addEventListener('click', ({ target }) => {
    if (!(/** @type {HTMLElement} */ (target).closest('[data-fold-findings]'))) return;
    keep(FINDINGS, !closed.has(FINDINGS));
    show();
  });
  room.addEventListener('adopted', show);
  show();
}
