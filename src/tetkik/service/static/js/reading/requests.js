/** Requests of the reading view: JSON there, a piece of the page back. */

/**
 * @typedef {object} Answer
 * @property {number} status 0 where the server could not be reached
 * @property {Document} page what came back
 * @property {string} sentence of a fault, for the user
 */

/** What every request carries: JSON, and the token that shows that it comes from a page of this service. */
export function headers() {
  const csrf = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="csrf-token"]')).content;
  return { 'Content-Type': 'application/json', 'X-CSRF-Token': csrf };
}

let leaving = false;

/** The page goes: what is sent from now on arrives all the same. */
export function leave() {
  leaving = true;
}

/**
 * @param {string} method
 * @param {string} address
 * @param {object | FormData} [body] a form goes as one
 * @returns {Promise<Answer>}
 */
export async function send(method, address, body) {
  const ask = () => {
    const form = body instanceof FormData ? new URLSearchParams(/** @type {any} */ (body)) : null;
    const kind = form ? { 'Content-Type': 'application/x-www-form-urlencoded' } : {};
    const content = form ?? (body === undefined ? undefined : JSON.stringify(body));
    const given = { ...headers(), ...kind, 'HX-Request': 'true' };
    return fetch(address, { method, headers: given, body: content, keepalive: leaving });
  };
  try {
    let answer = await ask();
    // The session may have ended, and another have begun in the next tab: its token is another one.
    if ((answer.status === 401 || answer.status === 403) && (await renewed())) answer = await ask();
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const said = page.querySelector('[data-toast] p, main p') ?? page.body;
    return { status: answer.status, page, sentence: answer.ok ? '' : (said?.textContent ?? '').trim() };
  } catch {
    return { status: 0, page: new Document(), sentence: document.body.dataset.offline ?? '' };
  }
}

/** Take the token of the session that there is now; gives whether there is one. */
export async function renewed() {
  const answer = await fetch(location.pathname + location.search);
  if (!answer.ok || answer.redirected) return false;
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const [old, fresh] = [document, page].map((one) => one.querySelector('meta[name="csrf-token"]'));
  if (!(old instanceof HTMLMetaElement) || !(fresh instanceof HTMLMetaElement)) return false;
  if (!fresh.content || old.content === fresh.content) return false;
  old.content = fresh.content;
  return true;
}

/** @param {string} text @param {string} [kind] */
export function tell(text, kind = 'ok') {
  document.dispatchEvent(new CustomEvent('toast', { detail: { text, kind } }));
}

/** Ask before something that cannot be undone. @param {string} question @returns {Promise<boolean>} */
export async function agreed(question) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('confirm'));
  /** @type {HTMLElement} */ (dialog.querySelector('[data-question]')).textContent = question;
  dialog.returnValue = 'no';
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  return dialog.returnValue === 'yes';
}
