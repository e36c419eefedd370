/** At the signature: whether somebody was told of a critical finding. Asked once, and only where there is one. */

import { send } from './requests.js';

/**
 * @param {HTMLElement} room
 * @param {HTMLFormElement} form of the signature
 */
export function criticalQuestion(room, form) {
  const question = /** @type {HTMLFieldSetElement} */ (form.querySelector('[data-critical-question]'));
  const report = document.getElementById('report-critical');
  const first = /** @type {HTMLInputElement} */ (question.querySelector('input[type=radio]'));
  const answers = /** @type {NodeListOf<HTMLElement>} */ (question.querySelectorAll('[data-answer]'));
  const chosen = () => new FormData(form).get('told');
  const names = () => /** @type {HTMLElement | null} */ (room.querySelector('[data-critical-names]'))?.dataset.criticalNames ?? '';

  const shown = () => {
    for (const part of answers) {
      part.hidden = part.dataset.answer !== chosen();
      for (const field of /** @type {NodeListOf<HTMLInputElement>} */ (part.querySelectorAll('input, select'))) field.disabled = part.hidden;
    }
  };
  question.addEventListener('change', shown);

  return {
    /** Ask, if there is something to ask. @returns {HTMLElement | null} where the answer begins */
    ask() {
      question.disabled = question.hidden = !names() || !report || 'raised' in report.dataset;
      /** @type {HTMLElement} */ (question.querySelector('[data-names]')).textContent = names();
      const when = /** @type {HTMLInputElement} */ (question.querySelector('[name="told_at"]'));
      when.value ||= new Date().toTimeString().slice(0, 5);
      shown();
      return question.hidden ? null : first;
    },
    /** Keep the answer, before the report is signed. @returns {Promise<string | null>} what is wrong with it; null if nothing, empty where the browser says it */
    async keep() {
      if (question.hidden) return null;
      if (![...question.elements].every((field) => /** @type {HTMLInputElement} */ (field).reportValidity())) return '';
      const given = new FormData(form);
      const body = new FormData();
      const no = chosen() === 'no';
      const fields = no ? ['reason'] : chosen() === 'told' ? ['told_to', 'told_at', 'read_back'] : [];
      for (const name of fields) if (given.has(name)) body.set(name, String(given.get(name)));
      if (!no) {
        body.set('level', 'red');
        body.set('words', names());
      }
      const answer = await send('POST', `/cases/${question.dataset.case}/critical-results${no ? '/not-told' : ''}`, body);
      if (answer.status !== 200 && answer.status !== 204) return answer.sentence || (document.body.dataset.offline ?? '');
      if (report) report.dataset.raised = ''; // a wrong password does not ask again
      question.disabled = question.hidden = true;
      return null;
    },
  };
}
