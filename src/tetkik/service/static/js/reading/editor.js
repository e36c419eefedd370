/**
 * The draft: saved by itself while one writes, always naming the revision that one saw. What is asked of the
 * server goes one after the other, so that a decision never overtakes the text that it is about.
 */

import { adopt } from './adopt.js';
import { fill, reveal } from './conflict.js';
import { added, confirmed, ended, fieldOf, gone, fitHeight, linesOf, moved, namedTexts, rewritten, textsOf, typed, written } from './lines.js';
import { agreed, send, tell } from './requests.js';
import { Writing } from './writing.js';

const PAUSE = 900; // milliseconds after the last key
const AGAIN = 5000; // after the server could not be reached

export class Editor {
  /** @param {HTMLElement} room */
  constructor(room) {
    this.room = room;
    this.dirty = false;
    this.conflict = false;
    /** @type {import('./conflict.js').Judging | null} a finding that was judged and is not kept yet */
    this.judging = null;
    this.writing = new Writing(room);
    /** @type {HTMLTextAreaElement | null} the field that was written in last, until it is left */
    this.typedIn = null;
    /** @type {Promise<unknown>} */
    this.queue = Promise.resolve();
    room.addEventListener('input', (event) => {
      const field = event.target;
      if (!(field instanceof HTMLTextAreaElement)) return;
      const line = field.closest('[data-line]');
      if (line) rewritten(line);
      fitHeight(field);
      this.typedIn = field;
      this.changed();
    });
    room.addEventListener('focusout', ({ target }) => target === this.typedIn && this.end());
    room.addEventListener('keydown', (event) => {
      if (event.target instanceof HTMLTextAreaElement && typed(event, this.panel)) this.changed();
      if ((event.ctrlKey || event.metaKey) && event.key === 's') {
        event.preventDefault();
        this.save();
      }
    });
    document.addEventListener('keydown', (event) => this.#undoes(event));
    room.addEventListener('submit', (event) => this.#detail(event));
    room.addEventListener('keydown', (event) => {
      const form = event.key === 'Escape' && /** @type {HTMLElement} */ (event.target).closest('[data-detail]');
      if (form instanceof HTMLElement) this.#closeDetail(form);
    });
    room.addEventListener('click', (event) => {
      const { target, detail } = event;
      this.#click(/** @type {HTMLElement} */ (target));
      // A side that is clicked is written at once; by keyboard the arrows pass over those between.
      if (detail && target instanceof HTMLInputElement && target.name === 'side') target.form?.requestSubmit();
    });
    window.addEventListener('beforeunload', (event) => {
      if (this.dirty) event.preventDefault();
    });
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.save();
    });
    document.getElementById('conflict')?.addEventListener('click', (event) => this.#settle(event));
    room.querySelectorAll('textarea').forEach(fitHeight);
  }

  get panel() {
    return /** @type {HTMLElement} */ (this.room.querySelector('[data-draft]'));
  }

  get revision() {
    return Number(this.panel.dataset.revision);
  }

  get address() {
    return `/read/${this.room.dataset.case}/${this.panel.dataset.report}`;
  }

  /** Something was written; it is saved soon. */
  changed() {
    this.dirty = true;
    this.panel.classList.add('unsaved');
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), PAUSE);
  }

  /** The sentence that is being typed ends here. */
  end() {
    const field = this.typedIn;
    this.typedIn = null;
    if (field && ended(field)) this.changed();
  }

  /** Save now, if there is anything to save. @returns {Promise<boolean>} whether all is saved */
  save() {
    clearTimeout(this.timer);
    return this.#next(() => {
      if (!this.conflict) this.judging = null;
      return this.#put([]);
    });
  }

  /** One thing after the other. @param {() => Promise<boolean>} work */
  #next(work) {
    const done = this.queue.then(work);
    this.queue = done.catch(() => undefined);
    return done;
  }

  /** @param {object[]} decisions by the place of their line among those that are sent */
  async #put(decisions) {
    if (this.conflict) return false;
    if (!this.dirty && !decisions.length) return true;
    this.dirty = false;
    const sent = this.#lines();
    const sentences = sent.map(({ line }) => written(line));
    const edit = { ...namedTexts(this.panel), sentences, decisions };
    const answer = await send('PUT', this.address, { revision: this.revision, ...edit });
    if (answer.status === 200) {
      adopt(this.room, answer.page, sent);
      this.panel.classList.toggle('unsaved', this.dirty);
      this.away = false;
      return true;
    }
    this.dirty = true;
    if (answer.status === 0 || answer.status === 401) this.timer = setTimeout(() => this.save(), AGAIN);
    return this.#refusedOnce(answer);
  }

  /** That the server is away is told once. @param {import('./requests.js').Answer} answer */
  #refusedOnce(answer) {
    const away = answer.status === 0 || answer.status === 401;
    if (away && this.away) return false;
    this.away = away;
    return this.#refused(answer);
  }

  /**
   * Ask for something that is made of the draft as it is saved.
   * @param {string} path
   * @param {object} body
   */
  ask(path, body) {
    return this.#next(async () => {
      this.refusal = 0;
      if (this.conflict) return false;
      this.judging = path === 'findings' ? /** @type {import('./conflict.js').Judging} */ (body) : null;
      do {
        if (!(await this.#put([]))) return false;
      } while (this.dirty); // somebody went on writing meanwhile
      const judged = ['findings', 'accepted', 'undo'].includes(path);
      const same = judged || path === 'identity' || path.startsWith('measurements') || path.startsWith('key-images');
      const sent = same ? this.#lines() : null;
      const answer = await send('POST', `${this.address}/${path}`, { revision: this.revision, ...body });
      this.refusal = answer.status;
      if (answer.status !== 200) return this.#refusedOnce(answer);
      this.away = false;
      this.judging = null;
      adopt(this.room, answer.page, sent, judged);
      return true;
    });
  }

  /** The draft as it is on the server takes the place of what is shown. @returns {Promise<boolean>} whether it does */
  async reload() {
    const answer = await send('GET', this.address);
    if (answer.status !== 200) return this.#refused(answer);
    adopt(this.room, answer.page);
    return true;
  }

  /** The earlier image was judged anew: what is said against the lines follows, and what is typed stays. */
  compared() {
    return this.#next(async () => {
      if (this.writing.active || !(await this.#put([]))) return false;
      const sent = this.#lines();
      const answer = await send('GET', this.address);
      const fresh = answer.page.querySelector('[data-draft]');
      // Another revision is somebody's text: who saves is told of it. What was typed meanwhile is saved soon.
      if (Number(fresh?.getAttribute('data-revision')) !== this.revision || this.dirty) return false;
      adopt(this.room, answer.page, sent);
      tell(this.room.dataset.compared ?? '', 'warning');
      return true;
    });
  }

  /** The lines that say something, as they stand. */
  #lines() {
    return linesOf(this.panel)
      .map((line) => ({ line, text: fieldOf(line).value }))
      .filter(({ text }) => text.trim());
  }

  /** @param {import('./requests.js').Answer} answer */
  #refused(answer) {
    if (answer.status === 401) tell(this.room.dataset.ended ?? '', 'warning');
    else if (answer.status === 409 && answer.page.querySelector('[data-moved]')) this.#showMoved(answer.page);
    else if (answer.status === 409 && answer.page.querySelector('[data-current]')) this.#show(answer.page);
    else tell(answer.sentence || document.body.dataset.failed || '', 'error');
    return false;
  }

  /** The case was moved: where it went is told, and nothing that was written goes with the page. */
  async moved() {
    if (!this.gone) this.#refused(await send('GET', this.address));
  }

  /** Where the case went, with the words as they stand here. @param {Document} page */
  #showMoved(page) {
    if (this.gone) return;
    this.gone = true;
    this.conflict = true; // nothing more is sent from here
    clearTimeout(this.timer);
    const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('conflict'));
    dialog.close();
    dialog.replaceChildren(...page.body.childNodes);
    const texts = textsOf(this.panel);
    for (const part of dialog.querySelectorAll('[data-mine]')) /** @type {HTMLElement} */ (part).hidden = !texts.length;
    const mine = /** @type {HTMLElement} */ (dialog.querySelector('[data-mine-text]'));
    mine.lang = this.panel.querySelector('textarea')?.closest('[lang]')?.getAttribute('lang') ?? '';
    mine.append(...texts.map((text) => Object.assign(document.createElement('p'), { textContent: text })));
    for (const field of this.panel.querySelectorAll('textarea')) field.readOnly = true;
    this.dirty ||= Boolean(this.panel.querySelector('.chip.person')); // asked before the page goes, too
    dialog.showModal();
  }

  /** What is there now and what one has here, side by side. @param {Document} page */
  #show(page) {
    this.conflict = true;
    const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('conflict'));
    dialog.replaceChildren(...page.body.childNodes);
    fill(dialog, this.room, this.panel, this.dirty, this.judging);
    dialog.showModal();
    reveal(dialog);
  }

  /** @param {MouseEvent} event */
  async #settle(event) {
    const copy = /** @type {HTMLElement} */ (event.target).closest('[data-copy-mine]');
    if (copy instanceof HTMLElement) await this.#copied(copy.dataset.copyMine ?? '');
    const button = /** @type {HTMLElement} */ (event.target).closest('[data-take]');
    if (!(button instanceof HTMLElement)) return;
    const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('conflict'));
    const current = /** @type {HTMLElement} */ (dialog.querySelector('[data-current]')).dataset.current;
    dialog.close();
    this.conflict = false;
    const { dirty: wrote, judging } = this;
    const mine = button.dataset.take === 'mine';
    this.judging = null;
    if (!wrote && !mine) this.room.dispatchEvent(new Event('dropped')); // what was measured and not kept
    if (wrote && mine) {
      this.panel.dataset.revision = current;
      await this.save();
    } else {
      this.dirty = false;
      await this.reload();
    }
    if (mine && judging) await this.ask('findings', judging);
  }

  /** Let the words be pasted elsewhere; where the browser does not copy, they are marked. @param {string} said */
  async #copied(said) {
    const words = /** @type {HTMLElement} */ (document.querySelector('#conflict [data-mine-text]'));
    const text = [...words.children].map((part) => part.textContent).join('\n');
    try {
      await navigator.clipboard.writeText(text);
      this.dirty = false;
      tell(said);
    } catch {
      getSelection()?.selectAllChildren(words); // without TLS there is no clipboard: Ctrl+C copies what is marked
    }
  }

  /** @param {HTMLElement} target */
  #click(target) {
    const on = (/** @type {string} */ selector) => /** @type {HTMLElement | null} */ (target.closest(selector));
    if (this.writing.active) {
      // What is judged now would be overtaken by the draft that comes.
      if (on('[data-judge]')) tell(this.room.dataset.busy ?? '', 'warning');
      return;
    }
    const line = on('[data-line]');
    if (on('[data-add]')) {
      added(this.panel, on('[data-add]')?.dataset.add ?? '', null);
    } else if (line && on('[data-remove]')) {
      gone(this.panel, line);
      this.changed();
    } else if (line && on('[data-move]')) {
      if (moved(line, Number(on('[data-move]')?.dataset.move))) this.changed();
    } else if (line && on('[data-decide]')) {
      this.#decide(line, on('[data-decide]')?.dataset.decide ?? '');
    } else if (line && on('[data-confirm]')) {
      if (confirmed(line)) this.changed();
      this.save();
    } else if (on('[data-confirm-all]')) {
      if (linesOf(this.panel).filter(confirmed).length) this.changed();
      this.save();
    } else if (on('[data-judge]')) {
      const { judge = '', label = '' } = /** @type {HTMLElement} */ (on('[data-judge]')).dataset;
      const taken = on('[data-judge]')?.getAttribute('aria-pressed') === 'true';
      this.judge(label, taken ? null : judge);
    } else if (on('[data-detail-open]')) {
      this.#openDetail(on('[data-finding]')?.dataset.finding ?? '');
    } else if (on('[data-detail-close]')) {
      this.#closeDetail(/** @type {HTMLElement} */ (on('[data-detail]')));
    } else if (on('[data-undo]')) {
      this.ask('undo', {});
    } else if (on('[data-identity]')) {
      this.ask('identity', {});
    } else if (on('[data-accept-all]')) {
      this.acceptStated();
    } else if (on('[data-empty]')) {
      this.#empty(/** @type {HTMLElement} */ (on('[data-empty]')));
    } else if (on('[data-template]')) {
      this.ask('template', { template_id: on('[data-template]')?.dataset.template });
    } else if (on('[data-rewrite]')) {
      this.#rewrite(/** @type {HTMLElement} */ (on('[data-rewrite]')));
    }
  }

  /** Keep a sentence whatever is said against it, or take it out. @param {HTMLElement} line @param {string} word */
  #decide(line, word) {
    this.#next(async () => {
      if (!(await this.#put([]))) return false;
      // The text may have changed, and objections gone with the words that they were about.
      const sentence = linesOf(this.panel).filter((one) => fieldOf(one).value.trim()).indexOf(line);
      const marks = [...line.querySelectorAll('[data-fault]')].map((mark) => /** @type {HTMLElement} */ (mark).dataset);
      if (sentence < 0 || !marks.length) return false;
      const decision = word === 'open' ? null : word;
      return this.#put(
        marks.map(({ fault, start, end }) => ({ sentence, fault, start: Number(start), end: Number(end), decision })),
      );
    });
  }

  /** What the report states and nobody has judged. */
  get unjudged() {
    return /** @type {HTMLElement[]} */ ([...this.panel.querySelectorAll('[data-to-judge] > li')]);
  }

  /** Accept at once what the report states. */
  async acceptStated() {
    const labels = this.unjudged.map(({ dataset }) => dataset.label);
    return !labels.length || this.ask('accepted', { labels });
  }

  /** Judge a finding; of one that is there, side and size are asked then. @param {string} label @param {string | null} judgement */
  async judge(label, judgement) {
    const kept = await this.ask('findings', { label, judgement });
    if (kept && (judgement === 'accepted' || judgement === 'added')) this.#openDetail(label);
    return kept;
  }

  /** @param {string} label */
  #openDetail(label) {
    const form = this.room.querySelector(`[data-detail][data-label="${CSS.escape(label)}"]`);
    if (!(form instanceof HTMLFormElement)) return;
    form.hidden = false;
    form.scrollIntoView({ block: 'nearest' });
    /** @type {HTMLElement | null} */ (form.querySelector('input:checked') ?? form.querySelector('input'))?.focus();
  }

  /** @param {HTMLElement} form */
  #closeDetail(form) {
    form.hidden = true;
    this.#nextToJudge(form);
  }

  /** The focus goes to the next finding that waits for a judgement, else to the one that was judged. @param {Element} form */
  #nextToJudge(form) {
    const next = this.room.querySelector('.finding.to-judge [data-judge="accepted"]') ?? form.closest('[data-finding]')?.querySelector('[data-judge]');
    if (next instanceof HTMLElement) next.focus();
  }

  /** Side and size of a finding that is there; Enter alone skips them. @param {SubmitEvent} event */
  async #detail(event) {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches('[data-detail]')) return;
    event.preventDefault();
    const said = new FormData(form);
    const [side, size] = [said.get('side'), String(said.get('size') ?? '').trim()];
    const { label, judgement } = form.dataset;
    if (side || size) await this.ask('findings', { label, judgement, side, size });
    const now = this.room.querySelector(`[data-detail][data-label="${CSS.escape(label ?? '')}"]`);
    if (now instanceof HTMLElement) this.#closeDetail(now);
  }

  /** The last judging is taken back; in a field the browser undoes what was typed. @param {KeyboardEvent} event */
  #undoes(event) {
    const typing = event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLInputElement;
    const undo = event.key.toLowerCase() === 'z' && (event.ctrlKey || event.metaKey) && !event.shiftKey;
    if (!undo || typing || this.writing.active || !this.room.querySelector('[data-undo]')) return;
    event.preventDefault();
    this.ask('undo', {});
  }

  /** @param {HTMLElement} button */
  async #empty(button) {
    if (!(await agreed(button.dataset.ask ?? ''))) return;
    for (const line of linesOf(this.panel)) line.remove();
    this.changed();
    await this.save();
  }

  /** @param {HTMLElement} button */
  async #rewrite(button) {
    const { rewrite: language, writer } = button.dataset;
    // What was typed a moment ago counts: only the saved draft knows whether anything would be lost.
    if (!(await this.save())) return;
    const same = `[data-rewrite="${language}"]${writer ? `[data-writer="${writer}"]` : ':not([data-writer])'}`;
    const { ask } = /** @type {HTMLElement} */ (this.panel.querySelector(same)).dataset;
    if (ask && !(await agreed(ask))) return;
    if (writer === 'language_model') {
      await this.#next(() => this.#written(language ?? ''));
      return;
    }
    this.panel.classList.add('unsaved');
    await this.ask('rewrite', { language });
    this.panel.classList.toggle('unsaved', this.dirty);
  }

  /** A language model's draft, and whatever became of it: what stands at the server is shown. @param {string} language */
  async #written(language) {
    if (!(await this.#put([]))) return false;
    const { panel, revision } = this;
    const words = /** @type {HTMLTemplateElement} */ (panel.querySelector('[data-writing]')).dataset;
    const { how, marks = 0, detail } = await this.writing.run(panel, { language, writer: 'language_model' });
    const shown = how !== 'over' && (await this.reload());
    if (!shown) this.writing.uncover(panel);
    // It may have been through at the server by the moment the stream ended.
    const late = shown && this.revision !== revision;
    const said = {
      done: (marks === 1 ? words.markedOne : marks ? words.marked : words.done) ?? '',
      instead: words.instead ?? '',
      stale: words.stale ?? '',
      stopped: (late ? words.late : words.stopped) ?? '',
      broken: (late ? words.through : words.broken) ?? '',
      over: this.room.dataset.ended ?? '',
      fault: detail ?? document.body.dataset.failed ?? '',
    }[how].replace('{count}', String(marks));
    this.writing.say('');
    const calm = how === 'stopped' || (how === 'done' && !marks);
    tell(said, calm ? 'ok' : how === 'broken' || how === 'fault' ? 'error' : 'warning');
    if (document.activeElement === document.body) {
      /** @type {HTMLElement | null} */ (this.panel.querySelector(':scope > .scroll'))?.focus();
    }
    return how === 'done' || how === 'instead';
  }
}
