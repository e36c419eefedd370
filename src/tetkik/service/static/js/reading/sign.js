/** Signing: what is signed is shown once more, as it is saved; the password proves who signs. */

import { known, proof } from '../passkeys.js';
import { fieldOf, linesOf } from './lines.js';
import { nextAddress } from './next.js';
import { headers, tell } from './requests.js';
import { criticalQuestion } from './told.js';

const SMALL = 600; // CSS pixels of the shorter side: tablets have more

/**
 * @param {HTMLElement} room
 * @param {import('./editor.js').Editor} editor
 * @param {import('./measurements.js').Measurements | null} measurements
 */
export function signing(room, editor, measurements) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('sign'));
  if (!dialog) return; // whoever may not sign has none
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector('[data-sign-form]'));
  const refused = /** @type {HTMLElement} */ (dialog.querySelector('[data-refused]'));
  const password = /** @type {HTMLInputElement} */ (form.elements.namedItem('password'));
  const passkey = /** @type {HTMLElement} */ (dialog.querySelector('[data-passkey-sign]'));
  const critical = criticalQuestion(room, form);
  const small = Math.min(screen.width, screen.height) < SMALL;
  const onPhone = /** @type {HTMLElement} */ (dialog.querySelector('[data-small-display]'));
  onPhone.hidden = !small;
  if (small && !onPhone.dataset.may) {
    // What is there to read stays; what would sign is gone.
    for (const field of form.querySelectorAll('[type=submit], [data-passkey-sign], [data-accept-stated]')) field.toggleAttribute('disabled', true);
    /** @type {HTMLElement} */ (password.closest('.field')).hidden = true;
    const told = () => {
      const button = /** @type {HTMLElement | null} */ (room.querySelector('[data-sign]'));
      button?.replaceChildren(button.dataset.elsewhere ?? '');
    };
    told(); // before a word is written, and whenever the draft came anew
    room.addEventListener('adopted', told);
  }
  const sure = /** @type {HTMLFieldSetElement} */ (form.querySelector('[data-sure]'));
  // Whoever came from the worklist goes on with its next case, unless they said once that they stay.
  const onward = /** @type {HTMLInputElement} */ (form.elements.namedItem('onward'));
  const came = sessionStorage.getItem('tetkik-view') !== null;
  /** @type {HTMLElement} */ (onward.closest('.field')).hidden = !came;
  onward.checked = came && localStorage.getItem('tetkik-onward') !== 'no';
  onward.addEventListener('change', () => localStorage.setItem('tetkik-onward', onward.checked ? 'yes' : 'no'));

  room.addEventListener('click', async (event) => {
    if (/** @type {HTMLElement} */ (event.target).closest('.open-marks')) return explain();
    const button = /** @type {HTMLElement} */ (event.target).closest('[data-sign]');
    if (!button || editor.writing.active) return;
    editor.end();
    if (!(await editor.save())) return;
    if (measurements && !(await measurements.settled())) return;
    // The saving may have brought an objection, or solved one.
    const now = /** @type {HTMLElement} */ (room.querySelector('[data-sign]'));
    if (now.getAttribute('aria-disabled') === 'true') return explain();
    refused.hidden = true;
    password.value = '';
    const first = show();
    dialog.showModal();
    first.focus();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey) || document.querySelector('dialog[open]')) return;
    event.preventDefault();
    /** @type {HTMLElement | null} */ (room.querySelector('[data-sign]'))?.click();
  });

  // ---- findings that the report states and nobody has judged ----------------------------------------------

  const before = /** @type {HTMLElement} */ (dialog.querySelector('[data-judge-first]'));
  const acceptAll = /** @type {HTMLElement} */ (before.querySelector('[data-accept-stated]'));

  /** What is signed, and what is to be judged first. @returns {HTMLElement} where the answer begins */
  function show() {
    dialog.querySelector('[data-what]')?.replaceChildren(...whatIsSigned());
    const waiting = editor.unjudged.map((row) => row.cloneNode(true));
    before.hidden = !waiting.length;
    before.querySelector('[data-judge-list]')?.replaceChildren(...waiting);
    const question = critical.ask();
    const doubts = [...doubted()].map((textContent) => Object.assign(document.createElement('li'), { textContent }));
    sure.hidden = sure.disabled = !doubts.length;
    sure.querySelector('[data-doubts]')?.replaceChildren(...doubts);
    const agree = /** @type {HTMLInputElement} */ (sure.querySelector('input'));
    agree.checked = false;
    if (waiting.length) return acceptAll;
    return question ?? (doubts.length ? agree : passkey.hidden ? password : passkey);
  }

  /** What a report with findings may be signed with, but hardly ever is meant to be. */
  function* doubted() {
    for (const hint of room.querySelectorAll('[data-line] .own-hint')) {
      const said = hint.closest('[data-line]')?.querySelector('textarea')?.value ?? '';
      yield `“${said.trim()}” ${hint.querySelector('[data-reason]')?.textContent ?? ''}`;
    }
    const written = (/** @type {string} */ section) =>
      [...room.querySelectorAll(`[data-lines="${section}"] [data-line] textarea`)].some((field) => /** @type {HTMLTextAreaElement} */ (field).value.trim());
    if (written('findings') && !written('impression')) yield sure.dataset.noImpression ?? '';
  }

  /** @param {Promise<boolean>} work */
  async function judged(work) {
    if (!(await work)) return dialog.close();
    const now = /** @type {HTMLElement} */ (room.querySelector('[data-sign]'));
    if (now.getAttribute('aria-disabled') !== 'true') return show().focus();
    dialog.close(); // what was rejected leaves a sentence to decide about, or none at all
    explain();
  }

  acceptAll.addEventListener('click', () => judged(editor.acceptStated()));
  before.addEventListener('click', (event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest('[data-judge]');
    if (!(button instanceof HTMLElement)) return;
    const { label = '', judge = '' } = button.dataset;
    judged(editor.ask('findings', { label, judgement: judge }));
  });
  before.addEventListener('keydown', (event) => {
    const word = { a: 'accepted', r: 'rejected' }[event.key.toLowerCase()];
    const row = /** @type {HTMLElement} */ (event.target).closest('li') ?? before.querySelector('li');
    if (word && !event.ctrlKey && !event.metaKey) /** @type {HTMLElement | null} */ (row?.querySelector(`[data-judge="${word}"]`))?.click();
  });

  function explain() {
    const reason = document.getElementById('why-not')?.textContent ?? '';
    tell(reason.trim(), 'warning');
    const places = ['[data-identity]', '.objection:not(.decided) button', '.finding.to-judge [data-judge]', '[data-add]'];
    const open = places.map((place) => room.querySelector(place)).find(Boolean);
    if (!(open instanceof HTMLElement)) return;
    open.focus();
    open.closest('.objection, .banner, .finding')?.scrollIntoView({ block: 'center' });
  }

  function* whatIsSigned() {
    for (const part of room.querySelectorAll('.part')) {
      const texts = linesOf(part).map((line) => fieldOf(line).value.trim()).filter(Boolean);
      if (!texts.length) continue;
      yield Object.assign(document.createElement('h3'), { textContent: part.querySelector('h3')?.textContent });
      yield Object.assign(document.createElement('p'), { textContent: texts.join(' ') });
    }
    const rows = [...room.querySelectorAll('[data-measurement]')];
    if (!rows.length) return;
    yield Object.assign(document.createElement('h3'), { textContent: room.querySelector('#measured-title')?.textContent });
    for (const row of rows) {
      const field = /** @type {HTMLInputElement | null} */ (row.querySelector('[data-named]'));
      const parts = [field?.value || field?.placeholder, row.querySelector('.much')?.textContent];
      yield Object.assign(document.createElement('p'), { textContent: parts.filter(Boolean).join(': ') });
    }
  }

  /** @param {object} proof a password or a passkey's answer */
  async function sign(proof) {
    const answer = await fetch(`/api/v1/reports/${form.dataset.report}/sign`, {
      method: 'POST',
      headers: { ...headers(), 'Idempotency-Key': crypto.randomUUID?.() ?? String(Math.random()).slice(2) },
      body: JSON.stringify({ revision: editor.revision, small_display: small, ...proof }),
    });
    if (answer.ok) {
      editor.dirty = false;
      if (onward.checked) {
        sessionStorage.setItem('tetkik-notice', form.dataset.signed ?? '');
        const next = /** @type {HTMLAnchorElement} */ (document.querySelector('a[data-next]'));
        next.dataset.post = nextAddress(room, true);
        next.click();
      } else location.reload();
      return;
    }
    const { detail, current } = await answer.json();
    password.value = '';
    if (current) {
      // Somebody saved after this text was read: it has to be read again.
      dialog.close();
      tell(detail, 'warning');
      await editor.reload();
      return;
    }
    refuse(detail);
  }

  /** @param {string} sentence */
  function refuse(sentence) {
    refused.textContent = sentence;
    refused.hidden = false;
    password.focus();
  }

  /** @param {object} proof */
  async function answerAndSign(proof) {
    if (![...sure.elements].every((field) => /** @type {HTMLInputElement} */ (field).reportValidity())) return;
    const fault = await critical.keep();
    if (fault === null) await sign(proof);
    else if (fault) refuse(fault);
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!before.hidden) return acceptAll.focus();
    answerAndSign({ password: password.value }).catch(() => refuse(document.body.dataset.offline ?? ''));
  });

  passkey.hidden = !known;
  passkey.addEventListener('click', async () => {
    try {
      await answerAndSign({ assertion: await proof() });
    } catch (fault) {
      // The person may have changed their mind.
      if (fault instanceof Error && fault.name !== 'NotAllowedError') refuse(fault.message);
    }
  });
}
