/** A toolbar as the WAI-ARIA pattern has it: one stop for Tab, arrows between its buttons. */

/** @param {HTMLElement} bar */
export function arrowKeys(bar) {
  const items = () =>
    /** @type {HTMLElement[]} */ ([...bar.querySelectorAll('button, input')]).filter(
      (item) => item.checkVisibility({ visibilityProperty: true }) && !(/** @type {HTMLButtonElement} */ (item).disabled),
    );
  /** @param {HTMLElement} chosen */
  const only = (chosen) => items().forEach((item) => (item.tabIndex = item === chosen ? 0 : -1));

  bar.addEventListener('focusin', (event) => only(/** @type {HTMLElement} */ (event.target)));
  bar.addEventListener('keydown', (event) => {
    const list = items();
    const here = list.indexOf(/** @type {HTMLElement} */ (event.target));
    // A slider needs its arrows up and down itself; left and right lead on.
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: -1 };
    const next = steps[event.key];
    if (here < 0 || next === undefined) return;
    event.preventDefault();
    list.at(next % list.length)?.focus();
  });
  const [first] = items();
  if (first) only(first);
}
