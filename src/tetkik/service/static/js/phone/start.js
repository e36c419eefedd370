/**
 * The reading room on a phone: its service worker, and what was taken without a network goes out from any page.
 *
 * shell.js loads it on devices with a touch screen, and on the pages that are about it.
 */

import { send } from './send.js';
import { arrive, expire, forget, leave, present, waiting } from './store.js';
import { lockWhenStill, taking } from './take.js';

const SIGN_OUT = 'form:is([action="/logout"], [action="/account/sign-out-everywhere"])';
const { dataset } = document.body;
const offline = document.querySelector('[data-offline-page]') !== null;
/** @type {{show: (sent?: string) => Promise<void>, empty: () => boolean} | null} */
let page = null;

async function sending() {
  const owner = await present();
  if (!owner || owner.person !== dataset.person) return; // nobody is signed in on this page
  let sent = 0;
  await send(owner, ({ entry, state }) => {
    sent += Number(state === 'sent');
    page?.show(state === 'sending' ? entry.id : undefined);
  });
  await page?.show();
  await count();
  if (sent) document.dispatchEvent(new CustomEvent('toast', { detail: { text: (dataset.sent ?? '').replace('{n}', String(sent)) } }));
}

/** An interface that is up is no hospital that answers. What a question is open about stays as it is. */
async function sendingAgain() {
  if (document.querySelector('dialog[open]')) return;
  await sending();
  await page?.show();
}

/** How many wait, in the bar of every page; signing out asks before it deletes them. */
async function count() {
  const entries = await waiting(dataset.person ?? '');
  const link = /** @type {HTMLElement | null} */ (document.querySelector('[data-phone-waiting]'));
  if (link) {
    link.hidden = !entries.length;
    const words = (link.dataset.phoneWaiting ?? '').replace('{n}', String(entries.length));
    link.title = words;
    link.setAttribute('aria-label', words);
    /** @type {HTMLElement} */ (link.querySelector('span')).textContent = String(entries.length);
  }
  for (const form of document.querySelectorAll(SIGN_OUT)) {
    const { dataset: asks } = /** @type {HTMLElement} */ (form);
    asks.own ??= asks.confirm ?? '';
    asks.confirm = [asks.own, entries.length ? dataset.unsent : ''].filter(Boolean).join(' ');
  }
}

function withoutNetwork() {
  const again = () => (location.pathname === '/offline' ? location.assign('/') : location.reload());
  document.querySelector('[data-try-again]')?.addEventListener('click', again);
  // What is half written stays until it is kept.
  const reach = async () => {
    const answer = await fetch('/api/v1/health', { cache: 'no-store' }).catch(() => null);
    if (answer?.ok && page?.empty()) again();
  };
  addEventListener('online', reach);
  setInterval(reach, 5000);
}

async function begin() {
  const owed = (await (await caches.open('tetkik-owed')).keys()).length > 0; // see worker.js
  const past = owed && Boolean(dataset.person); // it came past the worker, as where a page is loaded anew by force
  document.documentElement.hidden = past;
  await navigator.serviceWorker.register('/service-worker.js', { scope: '/' });
  if (past) {
    await navigator.serviceWorker.ready;
    location.reload();
    return;
  }
  await expire();
  if (dataset.person) {
    await arrive({
      person: dataset.person,
      takes: (dataset.takes ?? '').split(' ').filter(Boolean),
      hours: Number(dataset.queueHours),
      lockMinutes: Number(dataset.lockMinutes),
      csrf: /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="csrf-token"]')).content,
    });
  } else {
    if (owed || !offline) await leave();
    if (owed) localStorage.setItem('tetkik-left', String(Date.now())); // as left.js tells the other tabs
    const banner = /** @type {HTMLElement | null} */ (document.querySelector('[data-not-left]'));
    if (banner) banner.hidden = !owed;
  }
  document.addEventListener('submit', (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    // The locked screen is left by somebody else: what its person took stays sealed until they are back.
    const { person } = dataset;
    if (event.defaultPrevented || !person || !form.matches(`${SIGN_OUT}, form[action="/lock"]`)) return;
    event.preventDefault();
    // Before the hospital answers: its page may never come, and without a network this phone would still be open.
    // A storage that hangs keeps no screen from being locked.
    const late = new Promise((go) => setTimeout(go, 2000));
    Promise.race([form.matches(SIGN_OUT) ? forget(person) : leave(), late]).finally(() => form.submit());
  });
  if (offline) await lockWhenStill();
  if (document.querySelector('[data-take]')) page = await taking(sending);
  setInterval(sendingAgain, 30_000);
  if (offline) withoutNetwork();
  if (!dataset.person) return;
  await count();
  addEventListener('online', () => {
    sending();
    setTimeout(sendingAgain, 3000); // the interface may be up before the hospital can be reached
  });
  document.addEventListener('visibilitychange', sendingAgain);
  await sending();
}

// Sealing and sending once need what browsers give to pages that came over TLS alone.
if (isSecureContext && 'serviceWorker' in navigator && 'locks' in navigator) begin();
