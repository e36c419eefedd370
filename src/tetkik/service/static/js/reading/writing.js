/**
 * A language model writes: its words as they come, in the place of the editor. What is shown here is nobody's
 * text yet: it is in no field, so that it can be neither saved nor signed. At the end the server has checked
 * it, and gives the draft that stands.
 */

import { piecesOf } from './pieces.js';
import { headers, renewed } from './requests.js';

/**
 * @typedef {object} End how the writing ended
 * @property {'done' | 'instead' | 'stale' | 'stopped' | 'broken' | 'over' | 'fault'} how
 * @property {number} [marks] objections that are to be decided
 * @property {string} [detail] a sentence of the server
 */

export class Writing {
  /** @param {HTMLElement} room */
  constructor(room) {
    this.room = room;
    /** @type {AbortController | null} */
    this.abort = null;
    document.addEventListener('keydown', (event) => {
      if (!this.active || event.key !== 'Escape' || document.querySelector('dialog[open]')) return;
      event.preventDefault();
      this.stop();
    });
    room.addEventListener('click', (event) => {
      if (/** @type {HTMLElement} */ (event.target).closest('[data-stop]')) this.stop();
    });
    room.addEventListener('taken', () => this.stop()); // somebody else reads the case now
  }

  get active() {
    return this.abort !== null;
  }

  /** Stop it, here and at the server, which hears of it by the end of the connection. */
  stop() {
    this.abort?.abort();
  }

  /**
   * @param {HTMLElement} panel of the draft
   * @param {object} wanted language and writer
   * @returns {Promise<End>}
   */
  async run(panel, wanted) {
    const abort = (this.abort = new AbortController());
    const view = this.#cover(panel);
    const ask = () =>
      fetch(`/api/v1/drafts/${panel.dataset.report}/redraft/stream`, {
        method: 'POST',
        headers: { ...headers(), 'If-Match': `"${panel.dataset.revision}"` },
        body: JSON.stringify(wanted),
        signal: abort.signal,
      });
    try {
      let answer = await ask();
      // The session may be another one by now, begun in the next tab.
      if ((answer.status === 401 || answer.status === 403) && (await renewed())) answer = await ask();
      if (!answer.ok || !answer.body) return refused(answer.status, await answer.json());
      return await readStream(answer.body, view);
    } catch {
      return { how: abort.signal.aborted ? 'stopped' : 'broken' };
    } finally {
      this.abort = null;
    }
  }

  /** The editor gives way to the words that come. @param {HTMLElement} panel */
  #cover(panel) {
    const template = /** @type {HTMLTemplateElement} */ (panel.querySelector('[data-writing]'));
    const view = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    for (const menu of panel.querySelectorAll('details[open]')) menu.removeAttribute('open');
    panel.classList.add('being-written');
    panel.querySelector('header')?.toggleAttribute('inert', true);
    template.before(view);
    /** @type {HTMLElement} */ (view.querySelector('[data-stop]')).focus();
    this.say(view.dataset.begun ?? '');
    return view;
  }

  /** The editor again, where the draft as the server has it did not come. @param {HTMLElement} panel */
  uncover(panel) {
    panel.querySelector('.writing')?.remove();
    panel.querySelector('header')?.toggleAttribute('inert', false);
    panel.classList.remove('being-written');
  }

  /** Only that it begins and how it ends is said aloud, not every word. @param {string} sentence */
  say(sentence) {
    const place = document.querySelector('[data-announced]');
    if (place) place.textContent = sentence;
  }
}

/** @param {number} status @param {{detail?: string}} problem @returns {End} */
function refused(status, { detail }) {
  if (status === 412) return { how: 'stale' };
  return status === 401 ? { how: 'over' } : { how: 'fault', detail };
}

/**
 * Server-sent events (HTML standard, section 9.2), as far as this stream uses them.
 * @param {ReadableStream<Uint8Array>} body
 */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ''; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const [, name, data] = block.match(/^event: (\w+)\ndata: (.*)$/) ?? [];
      if (name) yield { name, data: JSON.parse(data) };
    }
  }
}

/** @param {ReadableStream<Uint8Array>} body @param {HTMLElement} view @returns {Promise<End>} */
async function readStream(body, view) {
  let answer = '';
  for await (const { name, data } of eventsOf(body)) {
    if (name === 'text') {
      answer += data.text;
      show(view, answer);
    } else if (name === 'asked') {
      answer = '';
      show(view, answer);
      const again = /** @type {HTMLElement} */ (view.querySelector('[data-again]'));
      again.hidden = data.try === 1;
    } else if (name === 'done') {
      return { how: data.writer === 'composer' ? 'instead' : 'done', marks: data.open_marks };
    } else if (name === 'fault') {
      return refused(data.status, data);
    } else if (name === 'end') {
      return { how: 'over' };
    }
  }
  return { how: 'broken' };
}

/** What has come so far, each sentence in its part. @param {HTMLElement} view @param {string} answer */
function show(view, answer) {
  const pieces = piecesOf(answer);
  let some = false;
  for (const part of /** @type {NodeListOf<HTMLElement>} */ (view.querySelectorAll('[data-part]'))) {
    const mine = pieces.filter(({ section }) => section === part.dataset.part);
    const lines = /** @type {HTMLElement} */ (part.querySelector('ol'));
    while (lines.children.length > mine.length) lines.lastElementChild?.remove();
    while (lines.children.length < mine.length) lines.append(document.createElement('li'));
    mine.forEach(({ section, text }, place) => {
      const line = lines.children[place];
      line.textContent = text;
      const last = pieces.at(-1);
      line.classList.toggle('coming', last?.section === section && place === mine.length - 1);
    });
    part.hidden = !mine.length;
    some ||= mine.length > 0;
  }
  /** @type {HTMLElement} */ (view.querySelector('[data-none]')).hidden = some;
  const words = /** @type {HTMLElement} */ (view.querySelector('.scroll'));
  words.scrollTop = words.scrollHeight;
}
