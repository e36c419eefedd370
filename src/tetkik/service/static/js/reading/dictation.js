/**
 * Dictation: into the hospital's own recogniser, or into one that the browser has on this machine. A browser
 * that would send the sound elsewhere is refused, with the reason.
 */

import { headers, tell } from './requests.js';

const LONGEST = 120_000; // milliseconds of one recording; the server takes 1 MB
const BITS = 32_000; // a second

export class Dictation {
  /** @param {import('./aids.js').Aids} aids */
  constructor(aids) {
    this.aids = aids;
    /** @type {(() => void) | null} ends what is under way */
    this.stop = null;
  }

  get #button() {
    const button = this.aids.bar?.querySelector('[data-dictate]');
    return button instanceof HTMLElement ? button : null;
  }

  /** The button is new: it shows whether one is listened to. */
  shown() {
    this.#button?.setAttribute('aria-pressed', String(Boolean(this.stop)));
  }

  async toggle() {
    const button = this.#button;
    if (!button) return;
    if (this.stop) {
      this.stop();
      return;
    }
    const { listening = '', noSound = '' } = button.dataset;
    try {
      await (button.dataset.dictate === 'server' ? this.#record() : this.#listen());
    } catch {
      this.stop = null;
      tell(noSound, 'error');
    }
    if (this.stop) this.aids.hint(listening);
    this.shown();
  }

  async #record() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const recorder = new MediaRecorder(stream, { audioBitsPerSecond: BITS });
    /** @type {Blob[]} */
    const pieces = [];
    const target = this.aids.target();
    const over = setTimeout(() => this.stop?.(), LONGEST);
    recorder.addEventListener('dataavailable', ({ data }) => pieces.push(data));
    recorder.addEventListener('stop', () => {
      stream.getTracks().forEach((track) => track.stop());
      this.#send(new Blob(pieces, { type: recorder.mimeType }), recorder.mimeType, target);
    });
    this.stop = () => {
      clearTimeout(over);
      this.stop = null;
      recorder.stop();
      this.shown();
    };
    recorder.start();
  }

  async #listen() {
    const { elsewhere = '', download = '' } = /** @type {HTMLElement} */ (this.#button).dataset;
    const Recognition = /** @type {any} */ (window).SpeechRecognition;
    const local = { langs: [this.aids.language === 'tr' ? 'tr-TR' : 'en-GB'], processLocally: true };
    const there = Recognition?.available && 'processLocally' in Recognition.prototype ? await Recognition.available(local) : 'unavailable';
    if (there === 'downloadable') Recognition.install(local);
    if (there !== 'available') {
      tell(there === 'unavailable' ? elsewhere : download, 'warning');
      return;
    }
    const recognition = new Recognition();
    Object.assign(recognition, { lang: local.langs[0], processLocally: true, continuous: true, interimResults: false });
    const target = this.aids.target();
    recognition.addEventListener('result', (/** @type {any} */ { results, resultIndex }) => {
      this.#send([...results].slice(resultIndex).map(([best]) => best.transcript).join(' '), 'text/plain', target);
    });
    recognition.addEventListener('end', () => {
      this.stop = null;
      this.shown();
    });
    this.stop = () => recognition.stop();
    recognition.start();
  }

  /** @param {Blob | string} content @param {string} kind @param {HTMLTextAreaElement} target */
  async #send(content, kind, target) {
    const { heard = '' } = this.#button?.dataset ?? {};
    this.aids.hint(heard);
    const address = `/read/${this.aids.room.dataset.case}/dictation?language=${this.aids.language}`;
    const sent = { method: 'POST', headers: { ...headers(), 'Content-Type': kind, Accept: 'application/json' }, body: content };
    const answer = await fetch(address, sent).catch(() => null);
    this.aids.hint('');
    if (!answer?.ok) {
      const page = new DOMParser().parseFromString((await answer?.text()) ?? '', 'text/html');
      tell(page.querySelector('main p')?.textContent || document.body.dataset.failed || '', 'error');
      return;
    }
    const { text } = await answer.json();
    if (!text) return;
    const field = target.isConnected ? target : this.aids.target();
    const before = field.value.slice(0, field.selectionStart);
    const first = before.trim() ? text : text.charAt(0).toLocaleUpperCase(this.aids.language) + text.slice(1);
    this.aids.insert(field, (before && !/\s$/.test(before) ? ' ' : '') + first);
  }
}
