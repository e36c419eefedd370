/** The sentences in the editor: reading them, adding, splitting, moving, removing. */

/** @param {Element} line */
export const fieldOf = (line) => /** @type {HTMLTextAreaElement} */ (line.querySelector('textarea'));

/** @param {Element} panel @returns {HTMLElement[]} */
export const linesOf = (panel) => [...panel.querySelectorAll('[data-line]')].map((line) => /** @type {HTMLElement} */ (line));

/** Texts beside the sentences, each a field of the draft's form. @param {Element} panel @returns {HTMLTextAreaElement[]} */
const fieldsOf = (panel) => [...panel.querySelectorAll('textarea')].filter((field) => field.name);

/** What is sent of them, by their names. @param {Element} panel */
export const namedTexts = (panel) => Object.fromEntries(fieldsOf(panel).map(({ name, value }) => [name, value]));

/** All that is written. @param {Element} panel */
export const textsOf = (panel) =>
  [...linesOf(panel).map(fieldOf), ...fieldsOf(panel)].map(({ value }) => value).filter((text) => text.trim());

/** What is sent of a line. @param {HTMLElement} line */
export function written(line) {
  const { section = '', evidence = '[]', author } = line.dataset;
  return { text: fieldOf(line).value, section, evidence: JSON.parse(evidence), author: author || null };
}

/** Other words in a line: a model's sentence is an edited one then, one that judging wrote the person's. @param {Element} line */
export function rewritten(line) {
  const { dataset } = /** @type {HTMLElement} */ (line);
  if (dataset.author === 'machine') dataset.author = 'edited';
  else if (dataset.author === 'judged') dataset.author = 'person';
}

/** A full stop where a sentence that was typed has no end: lines are read as one paragraph. @param {HTMLTextAreaElement} field */
export function ended(field) {
  const text = field.value.trimEnd();
  if (!text || field.readOnly || !field.closest('[data-line]') || /[.!?…:;,]$/.test(text)) return false;
  field.value = `${text}.`;
  return true;
}

/** Whoever changed a model's sentence says that it is theirs. @param {HTMLElement | null} line */
export function confirmed(line) {
  if (line?.dataset.author !== 'edited') return false;
  line.dataset.author = 'person';
  return true;
}

/**
 * A new line in a section, after another one or at the end.
 * @param {Element} panel
 * @param {string} section
 * @param {Element | null} after
 * @param {string} [text]
 */
export function added(panel, section, after, text = '') {
  const list = /** @type {HTMLElement} */ (panel.querySelector(`[data-lines="${section}"]`));
  const template = /** @type {HTMLTemplateElement} */ (list.parentElement?.querySelector('[data-new]'));
  const line = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
  if (after) after.after(line);
  else list.append(line);
  const field = fieldOf(line);
  field.value = text;
  field.focus();
  field.setSelectionRange(0, 0);
  return line;
}

/**
 * One place up or down within its section.
 * @param {HTMLElement} line
 * @param {number} by
 */
export function moved(line, by) {
  const other = by < 0 ? line.previousElementSibling : line.nextElementSibling;
  if (!other) return false;
  const focused = document.activeElement;
  if (by < 0) other.before(line);
  else other.after(line);
  if (focused instanceof HTMLElement && line.contains(focused)) focused.focus();
  return true;
}

/**
 * What a key does in a field; gives whether the text changed.
 * @param {KeyboardEvent} event
 * @param {Element} panel
 */
export function typed(event, panel) {
  const field = /** @type {HTMLTextAreaElement} */ (event.target);
  const line = /** @type {HTMLElement | null} */ (field.closest('[data-line]'));
  if (field.readOnly || !line) return false;
  if (event.key === 'Enter' && !event.shiftKey) {
    event.preventDefault();
    if (field.selectionStart === field.value.length && confirmed(line)) return true;
    const rest = field.value.slice(field.selectionEnd).trimStart();
    field.value = field.value.slice(0, field.selectionStart).trimEnd();
    const below = added(panel, line.dataset.section ?? '', line, rest);
    if (rest) {
      rewritten(line); // and what stands below now is of the same sentence
      Object.assign(below.dataset, { author: line.dataset.author, evidence: line.dataset.evidence });
    }
    return true;
  }
  if (event.key === 'Backspace' && field.value === '') {
    event.preventDefault();
    gone(panel, line);
    return true;
  }
  if (event.altKey && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
    event.preventDefault();
    return moved(line, event.key === 'ArrowUp' ? -1 : 1);
  }
  return false;
}

/** Take a line out; the one before it has the focus then. @param {Element} panel @param {HTMLElement} line */
export function gone(panel, line) {
  const all = linesOf(panel);
  const place = all.indexOf(line);
  const next = all[place - 1] ?? all[place + 1];
  line.remove();
  if (next) fieldOf(next).focus();
}

/** As high as its text, where the browser does not do it itself. @param {HTMLTextAreaElement} field */
export function fitHeight(field) {
  if (CSS.supports('field-sizing', 'content')) return;
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight}px`;
}

/**
 * Put a text where the caret stands, so that the browser can undo it.
 * @param {HTMLTextAreaElement} field
 * @param {string} text
 * @param {number} [start]
 * @param {number} [end]
 */
export function put(field, text, start = field.selectionStart, end = field.selectionEnd) {
  field.focus();
  field.setSelectionRange(start, end);
  if (document.execCommand('insertText', false, text)) return;
  field.setRangeText(text, start, end, 'end');
  field.dispatchEvent(new Event('input', { bubbles: true }));
}
