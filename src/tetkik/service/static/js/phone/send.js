/** What waits on the phone goes to the hospital, each entry once: its id is the key under which the server takes it. */

import { EMPTIED, note, remove, unseal, waiting } from './store.js';

const REMEMBERED = 23 * 3600_000; // the server knows an entry's name again for 24 hours

/** @param {string} address @param {string} key @param {string} kind @param {BodyInit} content */
async function post(address, key, kind, content) {
  const csrf = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="csrf-token"]')).content;
  const headers = { 'X-CSRF-Token': csrf, 'Idempotency-Key': key, 'Content-Type': kind };
  const answer = await fetch(address, { method: 'POST', headers, body: content });
  return { status: answer.status, body: await answer.json().catch(() => ({})) };
}

/**
 * Whether trying once more later may help: signed out, too much at once, a server that restarts, a proxy that refuses.
 * @param {{status: number, body: any}} answer
 */
const passes = ({ status, body }) => [401, 403, 408, 425, 429].includes(status) || status >= 500 || !`${body?.type}`.startsWith('urn:tetkik:');
/** Whether it would be answered to every other entry as well. @param {number} status */
const stops = (status) => [401, 429].includes(status);

/**
 * Send what waits of this person. One tab at a time does; whoever calls meanwhile waits and finds nothing left.
 * @param {import('./store.js').Person} owner
 * @param {(what: {entry: import('./store.js').Entry, state: string, number?: string}) => void} tell
 */
export async function send(owner, tell) {
  await navigator.locks.request('tetkik-phone', async () => {
    const entries = (await waiting(owner.person)).filter(({ state }) => state === 'waits');
    const now = entries.length ? await serverTime() : null;
    if (now === null) return;
    for (const entry of entries) {
      tell({ entry, state: 'sending' });
      if (!(await one(owner, entry, now, tell))) return;
    }
  });
}

/** Milliseconds since 1970; null where nothing answers. A phone's own clock may jump. */
async function serverTime() {
  const answer = await fetch('/api/v1/health', { cache: 'no-store' }).catch(() => null);
  return answer?.ok ? Date.parse(answer.headers.get('Date') ?? '') || Date.now() : null; // a proxy may take it out
}

/**
 * @param {import('./store.js').Person} owner
 * @param {import('./store.js').Entry} entry
 * @param {number} now by the server's clock
 * @param {(what: {entry: import('./store.js').Entry, state: string, number?: string}) => void} tell
 * @returns {Promise<boolean>} whether the next one may be tried
 */
async function one(owner, entry, now, tell) {
  try {
    entry.tried ||= now;
    const late = now - entry.tried > REMEMBERED; // the server may have it already, and would take it again
    await note(entry, late ? { ...EMPTIED, state: 'expired' } : {});
    if (late) return true;
    const body = await unseal(owner, entry, 'body');
    let answer = await post('/api/v1/cases', entry.id, 'application/json', body);
    const { id, number } = answer.body;
    const opened = answer.status === 201;
    if (opened && entry.photo) {
      const photo = await unseal(owner, entry, 'photo');
      answer = await post(`/api/v1/images?case_id=${id}`, `${entry.id}-photo`, 'application/octet-stream', photo);
    }
    if (answer.status === 201) {
      await remove(entry.id);
      tell({ entry, state: 'sent', number });
      return true;
    }
    const { title } = answer.body;
    const again = title === 'Conflict' && !entry.again; // somebody wrote at the same moment: once more tells
    if (again) await note(entry, { again });
    if (again || passes(answer)) {
      tell({ entry, state: 'waits' });
      return !stops(answer.status);
    }
    const said = answer.body.detail ?? String(answer.status);
    if (title === 'PatientKnown') await note(entry, { state: 'known', said });
    else if (opened) await note(entry, { ...EMPTIED, state: 'opened', parts: ['photo'], number, said });
    else await note(entry, { ...EMPTIED, state: 'refused', said });
    tell({ entry, state: 'refused' });
    return true;
  } catch (fault) {
    tell({ entry, state: 'waits' });
    return !(fault instanceof TypeError); // by which fetch says that the network went away
  }
}
