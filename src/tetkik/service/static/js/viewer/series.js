/** The thumbnails: each stack of the case's studies, and the list of earlier studies; dragged or chosen into a pane. */

/** @typedef {import('./stack.js').StackData} StackData */
/**
 * @typedef {object} Study
 * @property {string} id
 * @property {string} date
 * @property {string} kind modality in words
 * @property {string} about modality, body part and description
 * @property {number} count
 * @property {StackData[]} stacks
 */
/**
 * @typedef {object} ViewerData as `service/studies/viewer.py` gives it
 * @property {string} case
 * @property {string} lead id of the image that is shown first
 * @property {Study[]} studies
 * @property {Study[]} priors
 * @property {Study | null} relevant the prior with which the case is compared
 * @property {{layout: string, cells: string[]}} hanging
 */

/** @param {string} name @param {string} [kind] @param {string} [text] */
function made(name, kind = '', text = '') {
  return Object.assign(document.createElement(name), { className: kind, textContent: text });
}

export class Series {
  /**
   * @param {any} viewer
   * @param {ViewerData} data
   */
  constructor(viewer, data) {
    this.viewer = viewer;
    this.data = data;
    this.words = viewer.words;
    this.list = /** @type {HTMLElement} */ (viewer.root.querySelector('[data-series]'));
    for (const study of data.studies) this.#know(study, false);
    if (data.relevant) this.#know(data.relevant, true);
    this.#write();
    this.list.addEventListener('click', (event) => this.#click(/** @type {HTMLElement} */ (event.target)));
    this.list.addEventListener('keydown', (event) => this.#key(event));
    this.list.addEventListener('dragstart', (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest?.('[data-stack]');
      if (button instanceof HTMLElement) event.dataTransfer?.setData('text/tetkik-stack', button.dataset.stack ?? '');
    });
  }

  /** @param {Study} study @param {boolean} earlier */
  #know(study, earlier) {
    for (const stack of study.stacks) Object.assign(stack, { date: study.date, earlier });
  }

  /** Every study whose stacks are known, the case's own first. */
  get studies() {
    const { relevant, studies, priors } = this.data;
    const known = priors.map((prior) => (prior.id === relevant?.id ? relevant : prior)).filter(({ stacks }) => stacks.length);
    return [...studies, ...known];
  }

  inOrder() {
    return this.studies.flatMap(({ stacks }) => stacks);
  }

  /** @param {string} id */
  stack(id) {
    return this.inOrder().find((stack) => stack.id === id);
  }

  /** @param {string} image */
  holding(image) {
    return this.inOrder().find(({ images }) => images.includes(image));
  }

  /** The stack with the image that is shown first. */
  get lead() {
    return /** @type {StackData} */ (this.holding(this.data.lead) ?? this.inOrder()[0]);
  }

  /** What is compared with first: of the relevant prior, the same view as the lead's. @returns {StackData | undefined} */
  get prior() {
    const stacks = this.data.relevant?.stacks ?? [];
    return stacks.find(({ title }) => title === this.lead.title) ?? stacks[0];
  }

  /** The stack after or before that of the active pane. @param {number} by */
  step(by) {
    const { active } = this.viewer;
    const stacks = this.inOrder();
    const here = stacks.findIndex(({ id }) => id === active.stack.data?.id);
    const next = stacks[here + by];
    if (next) this.viewer.put(active, next);
  }

  /** Show which stacks are in a pane, and which in the active one. */
  mark() {
    const shown = new Set(this.viewer.shown.map((/** @type {any} */ pane) => pane.stack.data?.id));
    const { id } = this.viewer.active.stack.data ?? {};
    for (const element of this.list.querySelectorAll('[data-stack]')) {
      const button = /** @type {HTMLElement} */ (element);
      button.classList.toggle('shown', shown.has(button.dataset.stack));
      button.setAttribute('aria-pressed', String(button.dataset.stack === id));
    }
  }

  #write() {
    const { studies, priors } = this.data;
    const alone = this.inOrder().length < 2 && !priors.length;
    this.viewer.root.classList.toggle('one-series', alone);
    this.list.replaceChildren(
      ...studies.map((study) => this.#study(study, false)),
      ...(priors.length ? [made('h2', '', this.words.priors)] : []),
      ...priors.map((prior) => this.#study(this.studies.find(({ id }) => id === prior.id) ?? prior, true)),
    );
  }

  /** @param {number} count */
  #images(count) {
    return count === 1 ? this.words.image : this.words.images.replace('{n}', String(count));
  }

  /** @param {Study} study @param {boolean} earlier */
  #study(study, earlier) {
    const part = made('section', earlier ? 'study earlier' : 'study');
    const { about } = study;
    if (earlier && !study.stacks.length) {
      const button = made('button', 'study-name');
      Object.assign(button, { type: 'button', title: about });
      button.dataset.prior = study.id;
      button.append(made('b', '', study.date), made('span', '', about), made('span', 'count', this.#images(study.count)));
      part.append(button);
      return part;
    }
    const name = made('p', 'study-name');
    name.append(made('b', '', study.date), made('span', '', about));
    name.title = about;
    part.append(name, ...study.stacks.map((stack) => this.#thumbnail(stack, study.kind)));
    return part;
  }

  /** @param {StackData} stack @param {string} kind */
  #thumbnail(stack, kind) {
    const button = made('button', 'thumbnail');
    Object.assign(button, { type: 'button', draggable: true, title: this.words.into });
    button.dataset.stack = stack.id;
    const picture = made('span', 'picture');
    if (stack.preview) {
      const image = Object.assign(document.createElement('img'), { src: `/api/v1/images/${stack.preview}/preview`, alt: '', loading: 'lazy', draggable: false });
      picture.append(image);
    }
    if (stack.count > 1) picture.append(made('span', 'count', String(stack.count)));
    button.append(picture, made('span', 'name', [kind, stack.title].filter((word, place, all) => word && all.indexOf(word) === place).join(' ')));
    if (stack.count > 1) button.append(made('span', 'sr-only', this.#images(stack.count)));
    return button;
  }

  /** @param {HTMLElement} target */
  async #click(target) {
    const thumbnail = /** @type {HTMLElement | null} */ (target.closest('[data-stack]'));
    const prior = /** @type {HTMLElement | null} */ (target.closest('[data-prior]'));
    const stack = thumbnail && this.stack(thumbnail.dataset.stack ?? '');
    if (stack) {
      const pane = this.viewer.paneFor(stack);
      if (pane.stack.data?.id !== stack.id) await this.viewer.put(pane, stack);
      this.viewer.focus(pane);
      this.viewer.say(pane.stage.getAttribute('aria-label') ?? '');
    }
    if (prior) await this.#compare(prior.dataset.prior ?? '');
  }

  /** Fetch the stacks of a prior, and put the first beside the image. @param {string} id */
  async #compare(id) {
    const answer = await fetch(`/read/${this.data.case}/studies/${id}`, { headers: { Accept: 'application/json' } });
    const place = this.data.priors.findIndex((prior) => prior.id === id);
    if (!answer.ok || place < 0) {
      document.dispatchEvent(new CustomEvent('toast', { detail: { text: this.words.failed, kind: 'warning' } }));
      return;
    }
    const study = /** @type {Study} */ (await answer.json());
    this.#know(study, true);
    this.data.priors[place] = study;
    this.#write();
    const like = study.stacks.find(({ title }) => title === this.viewer.active.stack.data?.title) ?? study.stacks[0];
    await this.viewer.compare(like);
    /** @type {HTMLElement | null} */ (this.list.querySelector(`[data-stack="${CSS.escape(like.id)}"]`))?.focus();
  }

  /** Arrows lead from thumbnail to thumbnail. @param {KeyboardEvent} event */
  #key(event) {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const buttons = /** @type {HTMLElement[]} */ ([...this.list.querySelectorAll('button')]);
    const here = buttons.indexOf(/** @type {HTMLElement} */ (event.target));
    if (!by || here < 0) return;
    event.preventDefault();
    buttons.at((here + by) % buttons.length)?.focus();
  }
}
