/** The page of one's own macros: a file of them is taken in. */

import { headers, tell } from './reading/requests.js';

const field = document.getElementById('macros-file');

field?.addEventListener('change', async () => {
  if (!(field instanceof HTMLInputElement) || !field.files?.length) return;
  const { done = '', fault = '' } = field.dataset;
  const content = await field.files[0].text();
  field.value = '';
  const answer = await fetch('/api/v1/macros', { method: 'PUT', headers: headers(), body: content }).catch(() => null);
  if (answer?.ok) {
    tell(done);
    location.reload();
    return;
  }
  const said = answer && answer.status !== 422 ? (await answer.json().catch(() => ({}))).detail : '';
  tell(said || fault, 'error');
});
