/** What waits on the phone goes to the hospital, each entry once: its id is the key under which the server takes it. */

import { note, remove, unseal, waiting } from './store.js';

/** @param {string} address @param {string} key @param {string} kind @param {BodyInit} content */
async function post(address, key, kind, content) {
  const csrf = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="csrf-token"]')).content;
  const headers = { 'X-CSRF-Token': csrf, 'Idempotency-Key': key, 'Content-Type': kind };
  const answer = await fetch(address, { method: 'POST', headers, body: content });
  return { status: answer.status, body: await answer.json().catch(() => ({})) };
}

/** Whether trying once more later may help: signed out, too much at once, a server that restarts. @param {number} status */
const passes = (status) => [401, 403, 408, 425, 429].includes(status) || status >= 500;

/**
 * Send what waits of this person. One tab at a time does; whoever calls meanwhile waits and finds nothing left.
 * @param {import('./store.js').Person} owner
 * @param {(what: {entry: import('./store.js').Entry, state: string, number?: string}) => void} tell
 */
export async function send(owner, tell) {
  await navigator.locks.request('tetkik-phone', async () => {
    for (const entry of await waiting(owner.person)) {
      if (entry.state !== 'waits') continue;
      tell({ entry, state: 'sending' });
      if (!(await one(owner, entry, tell))) return;
    }
  });
}

/**
 * @param {import('./store.js').Person} owner
 * @param {import('./store.js').Entry} entry
 * @param {(what: {entry: import('./store.js').Entry, state: string, number?: string}) => void} tell
 * @returns {Promise<boolean>} whether the next one may be tried
 */
async function one(owner, entry, tell) {
  try {
    const body = await unseal(owner, entry, 'body');
    let answer = await post('/api/v1/cases', entry.id, 'application/json', body);
    const { id, number } = answer.body;
    if (answer.status === 201 && entry.photo) {
      const photo = await unseal(owner, entry, 'photo');
      answer = await post(`/api/v1/images?case_id=${id}`, `${entry.id}-photo`, 'application/octet-stream', photo);
    }
    if (answer.status === 201) {
      await remove(entry.id);
      tell({ entry, state: 'sent', number });
      return true;
    }
    if (passes(answer.status)) {
      tell({ entry, state: 'waits' });
      return false;
    }
    const state = answer.status === 409 && !id ? 'known' : 'refused';
    await note(entry, { state, said: answer.body.detail ?? String(answer.status) });
    tell({ entry, state });
    return true;
  } catch {
    tell({ entry, state: 'waits' }); // the network went away
    return false;
  }
}
