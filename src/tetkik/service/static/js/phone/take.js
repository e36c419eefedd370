/** The form for a complaint or a photo, and the list of what waits on this phone. */

import { isTckn } from '../tckn.js';
import { keep, leave, present, remove, renew, waiting } from './store.js';

const MOST = 20; // entries of a person
const LONGEST_SIDE = 3000; // pixels of a photo

/** A photo drawn anew, so that nothing is in it but what is seen: cameras note place and device. @param {File} file @returns {Promise<Blob>} */
async function plain(file) {
  const picture = await createImageBitmap(file);
  const share = Math.min(1, LONGEST_SIDE / Math.max(picture.width, picture.height));
  const canvas = Object.assign(document.createElement('canvas'), {
    width: Math.round(picture.width * share),
    height: Math.round(picture.height * share),
  });
  canvas.getContext('2d')?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error())), 'image/jpeg', 0.9));
}

/** @param {() => Promise<void>} sending what sends, where there is a session to send with */
export async function taking(sending) {
  const form = /** @type {HTMLFormElement} */ (document.querySelector('[data-take]'));
  const queue = /** @type {HTMLElement} */ (document.querySelector('[data-queue]'));
  const words = /** @type {HTMLElement} */ (document.querySelector('[data-phone-words]')).dataset;
  const entryForm = /** @type {HTMLTemplateElement} */ (document.querySelector('template[data-entry]'));
  const part = (/** @type {ParentNode} */ root, /** @type {string} */ name) => /** @type {HTMLElement} */ (root.querySelector(`[data-${name}]`));
  const field = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
  const say = (/** @type {string} */ text, kind = 'ok') => document.dispatchEvent(new CustomEvent('toast', { detail: { text, kind } }));

  /** As all pages write a time. @param {number} time */
  const at = (time) => {
    const [day, month, hour, minute] = ['getDate', 'getMonth', 'getHours', 'getMinutes'].map((part) => /** @type {any} */ (new Date(time))[part]());
    const two = (/** @type {number} */ number) => String(number).padStart(2, '0');
    return `${two(day)}.${two(month + 1)} ${two(hour)}:${two(minute)}`;
  };

  /** @param {string} [sent] the id of the entry that is on its way */
  async function show(sent) {
    const owner = await present();
    const takes = owner?.takes ?? [];
    part(document, 'nobody').hidden = takes.length > 0;
    form.hidden = !takes.length;
    for (const one of form.querySelectorAll('[data-part]')) {
      const element = /** @type {HTMLElement} */ (one);
      element.hidden = !takes.includes(element.dataset.part ?? '');
    }
    const entries = owner ? await waiting(owner.person) : [];
    queue.hidden = !entries.length;
    part(queue, 'count').textContent = String(entries.length);
    part(queue, 'entries').replaceChildren(
      ...entries.map((entry) => {
        const row = /** @type {HTMLElement} */ (/** @type {Element} */ (entryForm.content.firstElementChild).cloneNode(true));
        row.dataset.id = entry.id;
        row.dataset.is = entry.state;
        part(row, 'what').textContent = entry.parts.map((name) => words[name]).join(' + ');
        part(row, 'when').textContent = ((entry.body ? words.taken : words.was) ?? '').replace('{at}', at(entry.at)).replace('{until}', at(entry.until));
        const state = entry.id === sent ? 'sending' : entry.state;
        part(row, 'state').textContent = (words[state] ?? '').replace('{why}', entry.said).replace('{number}', entry.number ?? '');
        part(row, 'renew').hidden = entry.state !== 'known';
        return row;
      }),
    );
  }

  /** @param {HTMLInputElement} input @param {boolean} right */
  function check(input, right) {
    input.setCustomValidity(right ? '' : (input.dataset.wrong ?? ''));
    return right;
  }

  function checked() {
    const [name, tckn, number, unknown, complaint] = ['name', 'tckn', 'number', 'unknown', 'complaint'].map(field);
    const known = name.value.trim() || tckn.value || number.value.trim();
    check(tckn, tckn.value === '' || isTckn(tckn.value));
    check(unknown, unknown.checked || known !== '');
    check(complaint, complaint.value.trim() !== '' || Boolean(field('photo').files?.length) || complaint.closest('[hidden]') !== null);
    field('photo').required = complaint.closest('[hidden]') !== null;
    return form.reportValidity();
  }
  form.addEventListener('input', () => {
    for (const name of ['tckn', 'unknown', 'complaint']) check(field(name), true);
  });

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const button = /** @type {HTMLButtonElement} */ (form.querySelector('[type=submit]'));
    if (button.disabled || !checked()) return; // pressed twice it is one entry
    // Until it is kept nothing is typed, for then all that was typed goes.
    const rest = (/** @type {boolean} */ on) => [...form.elements].forEach((one) => (/** @type {HTMLInputElement} */ (one).disabled = on));
    rest(true);
    try {
      if (await kept()) {
        form.reset();
        part(queue, 'told').textContent = words.kept ?? '';
        await show();
      }
    } finally {
      rest(false);
      button.focus();
    }
    await sending();
  });

  /** Keep what the form says; whether it is kept. */
  async function kept() {
    const owner = await present();
    if (!owner) return false;
    if ((await waiting(owner.person)).filter(({ body }) => body).length >= MOST) {
      say((words.full ?? '').replace('{most}', String(MOST)), 'warning');
      return false;
    }
    const unknown = field('unknown').checked;
    const patient = Object.fromEntries(
      ['name', 'tckn', 'number', 'birth_date'].map((name) => [name, field(name).value.trim()]).filter(([, value]) => value),
    );
    const complaint = field('complaint').value.trim();
    const picture = field('photo').files?.[0];
    const photo = picture ? await plain(picture).catch(() => null) : null;
    if (picture && !photo) {
      say(words.picture ?? '', 'error');
      return false;
    }
    const parts = [...(complaint ? ['complaint'] : []), ...(photo ? ['photo'] : [])];
    await keep(owner, crypto.randomUUID(), parts, { ...(unknown ? { unknown } : { patient }), complaint }, photo);
    say(words.kept ?? '');
    return true;
  }

  /** What a press in the list is about. @param {Event} event */
  async function pressed(event) {
    const element = /** @type {HTMLElement} */ (event.target);
    const owner = await present();
    const all = owner ? await waiting(owner.person) : [];
    return { element, owner, entry: all.find((one) => one.id === /** @type {HTMLElement | null} */ (element.closest('[data-id]'))?.dataset.id) };
  }

  queue.addEventListener('click', async (event) => {
    const { element, owner, entry } = await pressed(event);
    if (owner && entry && element.closest('[data-renew]')) await renew(owner, entry);
    else if (!element.closest('[data-send]')) return;
    await show();
    await sending();
  });

  queue.addEventListener('submit', async (event) => {
    event.preventDefault();
    const { entry } = await pressed(event);
    if (entry) await remove(entry.id);
    await show();
  });

  await show();
  return { show, empty: () => ![...form.elements].some((one) => /** @type {HTMLInputElement} */ (one).value && one.matches('input:not([type=checkbox]), textarea')) };
}

/** Without a network a screen locks, too, where it has lain still: nothing is taken until somebody signs in. */
export async function lockWhenStill() {
  const KEY = 'tetkik-active'; // as shell.js keeps it
  const active = () => localStorage.setItem(KEY, String(Date.now()));
  let here = false;
  const still = async () => {
    const owner = await present();
    if (!owner && !here) return; // else another tab has locked
    here = true;
    if (owner) {
      const idle = Date.now() - Number(localStorage.getItem(KEY));
      if (idle > -60_000 && idle < owner.lockMinutes * 60_000) return; // less than nothing: the clock was set back
      const body = new URLSearchParams({ csrf: owner.csrf });
      await fetch('/lock', { method: 'POST', body, redirect: 'manual' }).catch(() => null); // see worker.js
      await leave();
    }
    location.reload();
  };
  await still();
  for (const name of ['pointerdown', 'keydown']) document.addEventListener(name, active, { passive: true });
  setInterval(still, 5000);
}
