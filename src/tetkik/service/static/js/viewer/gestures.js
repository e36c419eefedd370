/** What a hand does on a pane: a mouse, a pen, a finger, two fingers, a wheel. */

/** @typedef {import('./view.js').Point} Point */

/**
 * @typedef {object} Hands
 * @property {(at: Point, button: number, touch: boolean) => void} press
 * @property {(at: Point) => void} hold a finger that was pressed lay still for a moment
 * @property {(at: Point, by: Point, held: boolean) => void} move `held`: while something is pressed
 * @property {(at: Point) => void} release
 * @property {(at: Point, factor: number, by: Point) => void} pinch
 * @property {(at: Point) => void} twice
 * @property {(at: Point, notches: number, zooms: boolean) => void} wheel `zooms`: with Ctrl, or as a touch pad pinches
 */

const HELD = 450; // milliseconds
const STILL = 8; // CSS pixels that a finger trembles

/**
 * @param {HTMLElement} element
 * @param {Hands} hands
 */
export function listen(element, hands) {
  /** @type {Map<number, Point>} */
  const down = new Map();
  /** @type {Point | null} */
  let last = null;
  /** @type {Point} */
  let began = [0, 0];
  let holding = 0;

  /** @param {MouseEvent} event @returns {Point} */
  const place = (event) => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  /** @param {Point} a @param {Point} b @returns {Point} */
  const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];

  /** @param {number} moving @param {Point} at */
  function pinch(moving, at) {
    const [id] = [...down.keys()].filter((key) => key !== moving);
    const still = /** @type {Point} */ (down.get(id));
    const before = /** @type {Point} */ (down.get(moving));
    const [was, is] = [Math.hypot(...minus(before, still)), Math.hypot(...minus(at, still))];
    const by = minus(at, before);
    down.set(moving, at);
    hands.pinch([(at[0] + still[0]) / 2, (at[1] + still[1]) / 2], was ? is / was : 1, [by[0] / 2, by[1] / 2]);
  }

  element.addEventListener('pointerdown', (event) => {
    const at = place(event);
    down.set(event.pointerId, at);
    element.setPointerCapture(event.pointerId);
    last = began = at;
    clearTimeout(holding);
    const touch = event.pointerType === 'touch';
    if (down.size === 1) hands.press(at, event.button, touch);
    else hands.release(at); // A second finger ends what the first began.
    if (touch && down.size === 1) holding = setTimeout(() => hands.hold(at), HELD);
  });
  element.addEventListener('pointermove', (event) => {
    const at = place(event);
    if (Math.hypot(...minus(at, began)) > STILL) clearTimeout(holding);
    if (down.size > 1 && down.has(event.pointerId)) return pinch(event.pointerId, at);
    hands.move(at, last ? minus(at, last) : [0, 0], down.size === 1);
    last = at;
  });
  for (const name of /** @type {const} */ (['pointerup', 'pointercancel'])) {
    element.addEventListener(name, (event) => {
      if (!down.delete(event.pointerId)) return;
      clearTimeout(holding);
      if (down.size === 0) hands.release(place(event));
    });
  }
  element.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      hands.wheel(place(event), event.deltaY / (event.deltaMode === 1 ? 3 : event.deltaMode === 2 ? 1 : 100), event.ctrlKey || event.metaKey);
    },
    { passive: false },
  );
  element.addEventListener('dblclick', (event) => hands.twice(place(event)));
  element.addEventListener('contextmenu', (event) => event.preventDefault());
}
