/** The list of files: what needs a person on top, what is done folded away, so that two hundred stay readable. */

const words = /** @type {HTMLElement} */ (document.getElementById('words')).dataset;
const card = /** @type {HTMLElement} */ (document.getElementById('uploads'));
const whole = /** @type {HTMLProgressElement} */ (document.getElementById('whole'));
const FEW = 12;
const SAID_EVERY = 1000;

/** @typedef {'asks' | 'failed' | 'active' | 'waits' | 'done'} Group */

/**
 * A file of the list.
 * @typedef {object} Row
 * @property {string} name
 * @property {HTMLElement} element
 * @property {Group} group
 * @property {string} key
 * @property {string | null} image id, once it is kept
 * @property {boolean} followed whether the model is still working on it
 * @property {string} said
 * @property {boolean} again whether trying once more may help
 * @property {File} [file] of its own
 * @property {boolean} [archive] whether it is a zip; its images have rows of their own
 * @property {number} [images] how many a zip holds
 * @property {number} [left] images of a zip that have not been answered yet
 * @property {Row} [inside] the zip that it lies in
 * @property {number} [number] its place in there
 */

const BADGES = { done: 'green', kept: 'accent', reading: 'accent', failed: 'red', asks: 'amber', refused: 'amber', unread: 'amber' };

/** @type {Row[]} */
export const rows = [];

/** @param {Group} group */
const section = (group) => /** @type {HTMLElement} */ (card.querySelector(`[data-group="${group}"]`));

/**
 * A new row, which waits.
 * @param {Pick<Row, 'name' | 'key'> & Partial<Row>} made
 * @returns {Row}
 */
export function added(made) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById('file'));
  const element = /** @type {HTMLElement} */ (/** @type {HTMLElement} */ (template.content.firstElementChild).cloneNode(true));
  const row = /** @type {Row} */ ({ element, image: null, followed: false, said: '', again: false, ...made });
  part(row, 'name').textContent = made.name;
  part(row, 'from').textContent = made.inside ? words.from.replace('{file}', made.inside.name) : '';
  rows.push(row);
  card.hidden = false;
  place(row, 'waits');
  show(row, 'waits');
  return row;
}

/** @param {Row} row @param {string} name */
export function part(row, name) {
  return /** @type {HTMLElement} */ (row.element.querySelector(`.${name}`));
}

/** @param {Row} row @param {Group} group */
export function place(row, group) {
  if (row.group === group) return;
  row.group = group;
  row.element.dataset.in = group;
  if (group !== 'asks') section(group).querySelector('.files')?.append(row.element);
  later();
}

/**
 * Say how a file is.
 * @param {Row} row
 * @param {string} state a word of the page
 * @param {string} [said] a sentence
 */
export function show(row, state, said = '') {
  const badge = part(row, 'state');
  badge.textContent = words[state] ?? '';
  badge.className = `state badge ${BADGES[/** @type {keyof BADGES} */ (state)] ?? ''}`;
  part(row, 'said').textContent = said;
  part(row, 'again').hidden = !(state === 'failed' && row.again);
  later();
}

/** @param {Row} row @param {number | null} share None while it is not known */
export function progress(row, share) {
  const bar = /** @type {HTMLProgressElement} */ (row.element.querySelector('progress'));
  if (share === null) bar.removeAttribute('value');
  else bar.value = share;
}

/** Says how many files were not opened. @param {number} others @param {number} archives */
export function passedOverWords(others, archives) {
  return [
    others === 1 ? words.othersOne : others ? words.others.replace('{count}', String(others)) : '',
    archives === 1 ? words.archivesOne : archives ? words.archives.replace('{count}', String(archives)) : '',
  ];
}

/** How many files of folders were left where they were. @param {number} others @param {number} archives */
export function passedOver(others, archives) {
  const note = /** @type {HTMLElement} */ (document.getElementById('others'));
  note.dataset.others = String(Number(note.dataset.others ?? 0) + others);
  note.dataset.archives = String(Number(note.dataset.archives ?? 0) + archives);
  const count = Number(note.dataset.archives);
  note.hidden = note.dataset.others === '0';
  note.textContent = passedOverWords(Number(note.dataset.others), count).join(' ');
  card.hidden = false;
}

let counting = 0;
let announced = 0;

/** The figures once what happens now is over. */
function later() {
  counting ||= requestAnimationFrame(() => {
    counting = 0;
    count();
  });
}

function count() {
  for (const group of /** @type {Group[]} */ (['failed', 'active', 'waits', 'done'])) {
    const inside = rows.filter((row) => row.group === group);
    const place = section(group);
    place.hidden = inside.length === 0;
    /** @type {HTMLElement} */ (place.querySelector('.count')).textContent = String(group === 'done' ? inside.filter((row) => !row.archive).length : inside.length);
  }
  const retry = /** @type {HTMLElement} */ (document.getElementById('retry'));
  retry.hidden = !rows.some((row) => row.group === 'failed' && row.again);
  section('asks').hidden = !rows.some((row) => row.group === 'asks');
  const files = rows.filter((row) => !row.archive);
  const all = files.length + rows.reduce((sum, row) => sum + (row.left ?? 0), 0);
  const kept = files.filter((row) => row.image).length;
  const over = files.filter((row) => row.group !== 'waits' && row.group !== 'active').length;
  whole.max = all || 1;
  whole.value = over;
  whole.hidden = all < 2;
  fold(all);
  // A screen reader gets it now and then, and at the end.
  const now = Date.now();
  const text = words.tally.replace('{done}', String(kept)).replace('{all}', String(all));
  if (over === all || now - announced > SAID_EVERY) {
    /** @type {HTMLElement} */ (document.getElementById('tally')).textContent = text;
    announced = now;
  }
}

let folded = false;

/** A long list is folded once; after that a person decides. @param {number} all */
function fold(all) {
  if (folded || all <= FEW) return;
  folded = true;
  /** @type {HTMLDetailsElement} */ (section('done')).open = false;
}
