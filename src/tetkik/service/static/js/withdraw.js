/** Withdrawing a signed report: a reason, and the password or a passkey again. */

import { known, proof } from './passkeys.js';
import { headers } from './reading/requests.js';

const form = /** @type {HTMLFormElement} */ (document.querySelector('[data-withdraw]'));
const refused = /** @type {HTMLElement} */ (form.querySelector('[data-refused]'));
const password = /** @type {HTMLInputElement} */ (form.elements.namedItem('password'));

/** @param {object} proof a password or a passkey's answer */
async function withdraw(proof) {
  const { why, words } = Object.fromEntries(new FormData(form));
  const answer = await fetch(`/api/v1/reports/${form.dataset.withdraw}/withdraw`, {
    method: 'POST',
    headers: {
      ...headers(),
      'If-Match': `"${form.dataset.version}"`,
      'Idempotency-Key': crypto.randomUUID?.() ?? String(Math.random()).slice(2),
    },
    body: JSON.stringify({ why, words, ...proof }),
  });
  if (answer.ok) {
    location.reload();
    return;
  }
  password.value = '';
  refuse((await answer.json()).detail);
}

/** @param {string} sentence */
function refuse(sentence) {
  refused.textContent = sentence;
  refused.hidden = false;
  const why = /** @type {HTMLSelectElement} */ (form.elements.namedItem('why'));
  const words = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem('words'));
  const unsaid = why.value === 'other' && !words.value.trim();
  (unsaid ? words : password).focus();
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  withdraw({ password: password.value }).catch(() => refuse(form.dataset.offline ?? ''));
});

const passkey = /** @type {HTMLElement} */ (form.querySelector('[data-passkey-withdraw]'));
passkey.hidden = !known;
passkey.addEventListener('click', async () => {
  // The password is not asked for here, the reason is.
  const why = /** @type {HTMLSelectElement} */ (form.elements.namedItem('why'));
  if (!why.reportValidity()) return;
  try {
    await withdraw({ assertion: await proof() });
  } catch (fault) {
    // The person may have changed their mind.
    if (fault instanceof Error && fault.name !== 'NotAllowedError') refuse(fault.message);
  }
});
