/** The reading view: brings its parts to life. The viewer, and with it Cornerstone, comes after the page. */

import { subscribe } from '../events.js';
import { Aids } from './aids.js';
import { Editor } from './editor.js';
import { keyImages } from './key_images.js';
import { Measurements } from './measurements.js';
import { nextAddress } from './next.js';
import { folds } from './folds.js';
import { headers, leave, send } from './requests.js';
import { keepInStep } from './second.js';
import { signing } from './sign.js';

const RENEW = 5 * 60_000; // a claim lasts longer than this
const LOOK = 5000;

const room = /** @type {HTMLElement} */ (document.querySelector('[data-room]'));
const viewer = /** @type {HTMLElement | null} */ (room.querySelector('[data-viewer]'));

const editor = room.querySelector('[data-draft]') ? new Editor(room) : null;
const measures = Boolean(room.querySelector('[data-measurements][data-edits]'));
const measurements = viewer && new Measurements(room, viewer, measures ? editor : null);
if (viewer) keyImages(room, viewer, measures ? editor : null);
if (editor) signing(room, editor, measurements);
if (editor && room.querySelector('[data-aids]')) new Aids(room, editor);

if (viewer) {
  // After the first paint: the findings and the draft can be read while the image comes.
  requestAnimationFrame(async () => {
    const { mount } = await import('../viewer/viewer.js');
    await mount(viewer);
    measurements?.show();
    if (measurements) keepInStep(room, viewer, measurements);
  });
}

folds(room);

// ---- a finding and its heatmap ---------------------------------------------------------------------------

room.addEventListener('click', (event) => {
  const chosen = /** @type {HTMLElement} */ (event.target).closest('[data-heat]');
  if (!(chosen instanceof HTMLElement) || !viewer) return;
  const on = chosen.getAttribute('aria-pressed') !== 'true';
  for (const other of room.querySelectorAll('[data-heat]')) {
    other.setAttribute('aria-pressed', String(other === chosen && on));
  }
  const detail = on ? { address: chosen.dataset.heat, name: chosen.dataset.name } : {};
  viewer.dispatchEvent(new CustomEvent('heat', { detail }));
});

// ---- a sentence shows what it leans on -------------------------------------------------------------------

for (const name of ['pointerover', 'focusin']) {
  room.addEventListener(name, (event) => {
    const line = /** @type {HTMLElement} */ (event.target).closest('[data-line]');
    const leant = new Set([...(line?.querySelectorAll('[data-leans]') ?? [])].map((chip) => chip.getAttribute('data-leans')));
    for (const finding of room.querySelectorAll('[data-finding]')) {
      finding.classList.toggle('leant-on', leant.has(finding.getAttribute('data-finding')));
    }
  });
}

// ---- tabs, where there is room for one panel alone -------------------------------------------------------

const tabs = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('.phone-tabs [role="tab"]'))];

/** @param {HTMLElement} chosen */
function show(chosen) {
  for (const tab of tabs) {
    tab.setAttribute('aria-selected', String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
  }
  room.dataset.tab = chosen.id;
}
for (const tab of tabs) {
  tab.addEventListener('click', () => show(tab));
  tab.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    const other = tabs[(tabs.indexOf(tab) + 1) % tabs.length];
    show(other);
    other.focus();
  });
}
if (tabs.length) show(tabs[0]);

// ---- reading goes on; a model that is still at work ------------------------------------------------------

const { case: caseId, image } = room.dataset;

let { until } = room.dataset; // when the claim ends by itself

/** Renew the claim; whoever took the case over is named. */
async function stillReading() {
  const answer = await send('PUT', `/read/${caseId}/claim`);
  if (answer.status === 200) until = JSON.parse(answer.page.body.textContent ?? '').expires_at;
  if (answer.status !== 409) return;
  mine = false;
  const banner = /** @type {HTMLElement} */ (document.querySelector('[data-taken]'));
  banner.hidden = false;
  /** @type {HTMLElement} */ (banner.querySelector('p')).textContent = answer.sentence;
  room.dispatchEvent(new CustomEvent('taken'));
}

/** Load the page again, once the model is through. */
async function look() {
  const answer = await send('GET', `/read/${caseId}/ready?image=${image}`);
  if (answer.status === 200) location.reload();
}

let mine = 'mine' in room.dataset;
const awaited = Boolean(room.querySelector('[data-awaited]'));

if (mine) setInterval(() => mine && stillReading(), RENEW);

// ---- leaving ---------------------------------------------------------------------------------------------

let stays = false; // another image of this case, this page anew, or a form of it
/** @type {any} */ (window).navigation?.addEventListener('navigate', (/** @type {any} */ event) => {
  const { pathname } = new URL(event.destination.url);
  stays = pathname === location.pathname || pathname.startsWith(`${location.pathname}/`);
});
addEventListener('pagehide', () => {
  leave();
  if (editor?.dirty) editor.save(); // and the case stays claimed: the text is not finished
  else if (mine && !stays && !('only' in room.dataset)) {
    const address = `/api/v1/cases/${caseId}/claim?until=${encodeURIComponent(until ?? '')}`;
    fetch(address, { method: 'DELETE', headers: headers(), keepalive: true }).catch(() => undefined);
  }
});

for (const link of document.querySelectorAll('[data-next]')) {
  /** @type {HTMLAnchorElement} */ (link).href = nextAddress(room);
  /** @type {HTMLAnchorElement} */ (link).dataset.post = nextAddress(room);
}
/** @type {HTMLDialogElement | null} */ (document.querySelector('#read-by'))?.showModal();
/** The case goes on as another patient's: nobody writes here any more. */
function moved() {
  room.dispatchEvent(new CustomEvent('taken'));
  if (editor) editor.moved();
  else location.reload();
}

/** How far the critical results of the case have come. */
async function criticals() {
  const answer = await send('GET', `/cases/${caseId}/critical-results`);
  const shown = document.querySelector('[data-critical-now]');
  if (answer.status === 200 && !shown?.querySelector('[open]')) shown?.replaceChildren(...answer.page.body.children);
}

if (mine || awaited || editor) {
  subscribe({
    after: room.dataset.seq,
    onEvent: ({ kind, case_id: about }) => {
      const here = about === caseId;
      if (here && kind === 'moved') moved();
      if (here && kind === 'case' && document.querySelector('[data-critical-now] > *')) criticals();
      if (mine && here && kind === 'claim.taken') stillReading();
      if (editor && here && kind === 'draft.compared') editor.compared();
      if (awaited && (kind === undefined || (here && kind === 'job'))) look();
    },
  });
}
if (awaited) setInterval(look, LOOK); // also where no stream stands
