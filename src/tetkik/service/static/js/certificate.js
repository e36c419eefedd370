/**
 * The PDF of a report signed with the certificate of a card. The card lies beside this browser, where
 * `tetkik sign-agent` listens: it asks for the PIN, which this page never sees.
 */

import { headers } from './reading/requests.js';

const button = /** @type {HTMLButtonElement} */ (document.querySelector('[data-certificate]'));
const said = /** @type {HTMLElement} */ (document.querySelector('[data-certificate-said]'));
const { certificate: address = '', agent = '', unreachable = '', waiting = '' } = button.dataset;

/**
 * @param {string} url
 * @param {object} [body]
 * @returns {Promise<any>} what was answered; an error has the sentence of a refusal
 */
async function ask(url, body) {
  const own = url.startsWith('/') ? headers() : { 'Content-Type': 'application/json' };
  const asked = body ? { method: 'POST', headers: own, body: JSON.stringify(body) } : {};
  const answer = await fetch(url, asked).catch(() => {
    throw new Error(unreachable);
  });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.detail);
  return content;
}

button.addEventListener('click', async () => {
  button.disabled = true;
  try {
    const card = await ask(`${agent}/certificate`);
    const { certificate, chain } = card;
    const prepared = await ask(address, { certificate, chain });
    said.textContent = waiting;
    const { to_sign, about } = prepared;
    const { signature } = await ask(`${agent}/sign`, { to_sign, about });
    await ask(`${address}/${prepared.id}`, { signature });
    location.reload();
  } catch (fault) {
    said.textContent = fault instanceof Error ? fault.message : unreachable;
    button.disabled = false;
  }
});
