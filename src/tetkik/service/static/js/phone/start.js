/**
 * The reading room on a phone: its service worker, and what was taken without a network goes out from any page.
 *
 * shell.js loads it on devices with a touch screen, and on the pages that are about it.
 */

import { send } from './send.js';
import { arrive, expire, forget, leave, present, waiting } from './store.js';
import { lockWhenStill, taking } from './take.js';

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

/** How many wait, in the bar of every page; signing out asks before it deletes them. */
async function count() {
  const owner = await present();
  const entries = owner?.person === dataset.person ? await waiting(owner?.person ?? '') : [];
  const link = /** @type {HTMLElement | null} */ (document.querySelector('[data-phone-waiting]'));
  if (link) {
    link.hidden = !entries.length;
    const words = (link.dataset.phoneWaiting ?? '').replace('{n}', String(entries.length));
    link.title = words;
    link.setAttribute('aria-label', words);
    /** @type {HTMLElement} */ (link.querySelector('span')).textContent = String(entries.length);
  }
  for (const form of document.querySelectorAll('form[action="/logout"]')) {
    const { dataset: asks } = /** @type {HTMLElement} */ (form);
    if (entries.length) asks.confirm = dataset.unsent ?? '';
    else delete asks.confirm;
  }
}

async function withoutNetwork() {
  const left = ['/logout', '/lock'].includes(location.pathname);
  if (left) await leave();
  /** @type {HTMLElement} */ (document.querySelector('[data-not-left]')).hidden = location.pathname !== '/logout';
  const again = () => (left || location.pathname === '/offline' ? location.assign('/') : location.reload());
  document.querySelector('[data-try-again]')?.addEventListener('click', again);
  await lockWhenStill();
  // An interface that is up is no hospital that answers. What is half written stays until it is kept.
  const reach = async () => {
    const answer = await fetch('/api/v1/health', { cache: 'no-store' }).catch(() => null);
    if (answer?.ok && page?.empty()) again();
  };
  addEventListener('online', reach);
  setInterval(reach, 5000);
}

async function begin() {
  await navigator.serviceWorker.register('/service-worker.js', { scope: '/' });
  await expire();
  if (dataset.person) await arrive(dataset.person, (dataset.takes ?? '').split(' ').filter(Boolean), Number(dataset.queueHours), Number(dataset.lockMinutes));
  else if (!offline) await leave();
  document.addEventListener('submit', (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (event.defaultPrevented || form.getAttribute('action') !== '/logout') return;
    event.preventDefault();
    forget().finally(() => form.submit());
  });
  if (document.querySelector('[data-take]')) page = await taking(sending);
  if (offline) await withoutNetwork();
  if (!dataset.person) return;
  await count();
  addEventListener('online', sending);
  await sending();
}

// Sealing and sending once need what browsers give to pages that came over TLS alone.
if (isSecureContext && 'serviceWorker' in navigator && 'locks' in navigator) begin();
