/** Files of another patient than the case: one question for all that differ in the same way. */

import { part, place, show } from './list.js';

/** @typedef {import('./list.js').Row} Row */

const words = /** @type {HTMLElement} */ (document.getElementById('words')).dataset;
const list = /** @type {HTMLElement} */ (document.getElementById('questions'));

/** @type {Map<string, {element: HTMLElement, rows: Row[]}>} */
const asked = new Map();

/**
 * Ask about a file.
 * @param {Row} row
 * @param {{detail: string, errors: {trait: string, file: string, record: string}[]}} problem
 * @param {(rows: Row[]) => void} sure what happens where a person is sure
 */
export function ask(row, problem, sure) {
  const same = JSON.stringify(problem.errors);
  const question = asked.get(same) ?? made(same, problem, sure);
  question.rows.push(row);
  question.element.querySelector('.files')?.append(row.element);
  /** @type {HTMLElement} */ (question.element.querySelector('.count')).textContent = question.rows.length === 1 ? words.askedOne : words.asked.replace('{count}', String(question.rows.length));
  place(row, 'asks');
  show(row, 'asks');
}

/** @param {string} same @param {{detail: string, errors: any[]}} problem @param {(rows: Row[]) => void} sure */
function made(same, problem, sure) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById('question'));
  const element = /** @type {HTMLElement} */ (/** @type {HTMLElement} */ (template.content.firstElementChild).cloneNode(true));
  const question = { element, rows: /** @type {Row[]} */ ([]) };
  asked.set(same, question);
  /** @type {HTMLElement} */ (element.querySelector('.why')).textContent = problem.detail;
  element.querySelector('tbody')?.replaceChildren(...problem.errors.map(line));
  const answered = () => {
    asked.delete(same);
    element.remove();
    document.getElementById('uploads-title')?.focus();
    return question.rows;
  };
  element.querySelector('.sure')?.addEventListener('click', () => sure(answered()));
  element.querySelector('.leave')?.addEventListener('click', () => {
    for (const row of answered()) {
      place(row, 'done');
      show(row, 'left');
      part(row, 'open').hidden = true;
    }
  });
  list.append(element);
  return question;
}

/** @param {{trait: string, file: string, record: string}} difference */
function line(difference) {
  const row = document.createElement('tr');
  const head = document.createElement('th');
  head.scope = 'row';
  head.textContent = { name: words.name, number: words.number, birth_date: words.birthDate }[difference.trait] ?? '';
  const cells = [difference.file, difference.record].map((text) => {
    const cell = document.createElement('td');
    cell.textContent = difference.trait === 'birth_date' ? text.replace(/^(\d{4})(\d\d)(\d\d)$/, '$3.$2.$1') : text;
    return cell;
  });
  row.append(head, ...cells);
  return row;
}
