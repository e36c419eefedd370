/**
 * The viewer: up to four panes, what they show, and their tools.
 *
 * The markup is `templates/drafts/viewer.html.jinja`. Buttons name what they do (`data-do="invert"`), so that
 * the keys of the shell, a mouse and a finger all call the same methods; they act on the active pane. The page
 * around it talks to it by events on its element: `heat` {label, name, address} shows a heatmap, `{}` hides it;
 * `measurements` [marks] draws these and no others; `choose` {image} brings an image to the active pane. It says
 * `measured` {mark, how} when a person made, moved or removed one, and `image` {image, frame} when another is shown.
 */

import { theEngine } from './engine.js';
import { Pane } from './pane.js';
import { preferences, remember } from './preferences.js';
import { Series } from './series.js';
import { arrowKeys } from './toolbar.js';
import { tools } from './tools.js';
import { carried } from './view.js';

/** @typedef {import('./pane.js').Tool} Tool */
/** @typedef {import('./stack.js').StackData} StackData */

const ARROWS = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'];
/** How many panes each layout has, rows x columns. @type {Record<string, number>} */
const LAYOUTS = { '1x1': 1, '1x2': 2, '2x1': 2, '2x2': 4 };
const NARROW = 560; // CSS pixels; two images beside each other are too small below it

class Viewer {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.words = JSON.parse(root.dataset.words ?? '{}');
    this.live = /** @type {HTMLElement} */ (root.querySelector('[data-live]'));
    const say = (/** @type {string} */ sentence) => this.say(sentence);
    this.panes = [.../** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll('[data-pane]'))].map(
      (element) => new Pane(element, this.words, say),
    );
    /** @type {Pane} */
    this.active = this.panes[0];
    this.linked = true;
    /** @type {Tool} */
    this.tool = 'window';
    /** @type {import('./marks.js').Mark[]} */
    this.measurements = [];
    this.series = new Series(this, JSON.parse(root.dataset.studies ?? '{}'));
    for (const pane of this.panes) this.#attend(pane);
    this.#controls();
    // One finger moves the image or goes through the stack; held still first it changes the window.
    this.#choose(matchMedia('(pointer: coarse)').matches ? 'pan' : 'window');
  }

  /** What stands in the layout. */
  get shown() {
    return this.panes.filter((pane) => !pane.root.hidden);
  }

  async open() {
    theEngine(this.root.dataset.drawing).catch(() => undefined); // each pane tells of a fault
    const { hanging } = this.series.data;
    const hung = preferences().hang !== '1x1' && this.root.clientWidth > NARROW && !matchMedia('(max-width: 60rem)').matches;
    const cells = hung ? hanging.cells : [this.series.lead.id];
    this.#lay(hung ? hanging.layout : '1x1');
    const at = Math.max(cells.indexOf(this.series.lead.id), 0);
    this.focus(this.panes[at]);
    // The first image before all others: they share the server and the connection.
    const first = this.put(this.panes[at], this.series.lead);
    await first;
    await Promise.all(cells.map((id, place) => place !== at && this.put(this.panes[place], this.series.stack(id))));
    if (cells.length > 1) this.#sameScale();
    this.root.dataset.ready = this.panes[at].root.dataset.ready;
    this.#said();
  }

  /** Show a stack in a pane. @param {Pane} pane @param {StackData | undefined} stack @param {number} [position] */
  async put(pane, stack, position) {
    if (!stack) return;
    const beside = this.shown.find((other) => other !== pane && other.display.pixels);
    await pane.open(stack, position);
    this.#draw(pane);
    if (pane === this.active) this.#offer();
    if (beside && this.linked && pane.display.pixels) this.#carry(beside, pane, ['view', 'window']);
    this.series.mark();
  }

  /**
   * Where a chosen stack goes: the pane that shows it already; an earlier study does not take the place of the
   * case's own while another pane shows an earlier one. @param {StackData} stack
   */
  paneFor(stack) {
    const { active, shown } = this;
    const there = shown.find((pane) => pane.stack.data?.id === stack.id);
    const earlier = stack.earlier && !active.stack.data?.earlier ? shown.find((pane) => pane.stack.data?.earlier) : undefined;
    return there ?? earlier ?? active;
  }

  /** Tell a screen reader, once the hand has stopped. @param {string} sentence */
  say(sentence) {
    clearTimeout(this.saying);
    this.saying = setTimeout(() => (this.live.textContent = sentence), 250);
  }

  /** Make a pane the active one. @param {Pane} pane */
  focus(pane) {
    const other = this.active !== pane;
    this.active = pane;
    for (const one of this.panes) one.root.classList.toggle('active', one === pane);
    if (other) this.#offer();
    this.series.mark();
  }

  /** @param {Pane} pane */
  #attend(pane) {
    pane.addEventListener('focus', () => this.focus(pane));
    pane.addEventListener('view', () => this.#follow(pane, 'view'));
    pane.addEventListener('window', () => this.#follow(pane, 'window'));
    pane.addEventListener('image', () => {
      this.#scroll(pane);
      if ('kept' in this.root.dataset) return this.#said(pane);
      this.#listMarks();
      this.#said(pane);
    });
    pane.marks.addEventListener('change', () => this.#listMarks());
    pane.marks.addEventListener('step', (event) => this.#hint(/** @type {CustomEvent} */ (event).detail));
    pane.marks.addEventListener('took', (event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      this.root.dispatchEvent(new CustomEvent('measured', { detail }));
    });
    pane.stage.addEventListener('keydown', (event) => this.#key(event, pane));
    pane.root.addEventListener('dragover', (event) => event.dataTransfer?.types.includes('text/tetkik-stack') && event.preventDefault());
    pane.root.addEventListener('drop', (event) => {
      const id = event.dataTransfer?.getData('text/tetkik-stack');
      if (!id) return;
      event.preventDefault();
      this.focus(pane);
      this.put(pane, this.series.stack(id));
    });
  }

  /** @param {Pane} [pane] */
  #said(pane = this.active) {
    if (pane !== this.active) return;
    const detail = { image: pane.image, frame: pane.frame };
    this.root.dispatchEvent(new CustomEvent('image', { detail }));
  }

  /** The other panes do the same, where they are linked. @param {Pane} pane @param {'view' | 'window'} what */
  #follow(pane, what) {
    this.#pressed('invert', this.active.display.inverted);
    if (what === 'window') this.#preset();
    if (!this.linked) return;
    for (const other of this.shown) {
      if (other !== pane && other.display.pixels) this.#carry(pane, other, [what]);
    }
  }

  /** @param {Pane} from @param {Pane} to @param {('view' | 'window')[]} what */
  #carry(from, to, what) {
    const { display } = to;
    if (what.includes('view')) display.setView(carried(from.display.view, from.display.frame, display.frame, this.#millimetres(from, to)));
    // A window of one kind of image says nothing of another kind.
    if (!what.includes('window') || !this.#alike(from, to)) return;
    display.setWindow(from.display.window);
    display.setInverted(from.display.inverted);
  }

  /** @param {Pane} one @param {Pane} other */
  #alike(one, other) {
    const [a, b] = [one, other].map(({ stack }) => stack.data?.modality ?? null);
    return a === b || a === null || b === null || [a, b].every((name) => ['CR', 'DX', 'DR', 'RG'].includes(name));
  }

  /** The height of a row in either image, where both hold at the same plane. @param {Pane} one @param {Pane} other @returns {[number, number] | undefined} */
  #millimetres(one, other) {
    const [a, b] = [one.display.pixels, other.display.pixels];
    return a?.spacing && b?.spacing && a.plane === b.plane ? [a.spacing[0], b.spacing[0]] : undefined;
  }

  /** All images whole, and none larger than the others. */
  #sameScale() {
    const [first, ...others] = this.shown.filter((pane) => pane.display.pixels);
    if (!first || !others.length) return;
    let { view } = first.display;
    for (const other of others) {
      const millimetres = this.#millimetres(first, other);
      if (!millimetres) continue;
      const most = (other.display.view.zoom / millimetres[1]) * millimetres[0];
      view = { ...view, zoom: Math.min(view.zoom, most) };
    }
    first.display.setView(view);
    for (const other of others) this.#carry(first, other, ['view', 'window']);
  }

  /** The linked stacks go as far as this one did: in millimetres where they are known. @param {Pane} pane */
  #scroll(pane) {
    const { stack } = pane;
    const before = this.before?.pane === pane && this.before.data === stack.data ? this.before.shown : null;
    this.before = pane === this.active ? { pane, data: stack.data, shown: stack.shown } : this.before;
    if (pane !== this.active || !this.linked || before === null || before === stack.shown) return;
    for (const other of this.shown) {
      const { stack: its } = other;
      if (other === pane || its.count < 2 || stack.count < 2) continue;
      const here = stack.data?.locations ?? [];
      const there = its.data?.locations ?? [];
      let to = its.wanted + stack.shown - before;
      if (here.length && there.length) {
        const wanted = there[its.wanted - 1] + here[stack.shown - 1] - here[before - 1];
        to = there.reduce((best, at, place) => (Math.abs(at - wanted) < Math.abs(there[best] - wanted) ? place : best), 0) + 1;
      }
      its.go(to);
    }
  }

  // ---- layout ----------------------------------------------------------------------------------------------

  /** @param {string} layout */
  #lay(layout) {
    this.root.dataset.layout = layout;
    this.panes.forEach((pane, place) => {
      pane.root.hidden = place >= LAYOUTS[layout];
      if (pane.root.hidden) pane.stack.stop();
    });
    if (this.active.root.hidden) this.focus(this.panes[0]);
    for (const name of Object.keys(LAYOUTS)) this.#pressed('layout', name === layout, name);
    this.#pressed('prior', this.#compares());
  }

  /** @param {string} layout */
  async #layout(layout) {
    this.#lay(layout);
    const seen = new Set(this.shown.map((pane) => pane.stack.data?.id));
    const rest = this.series.inOrder().filter(({ id }) => !seen.has(id));
    const empty = this.shown.filter((pane) => !pane.stack.data);
    await Promise.all(empty.map((pane, place) => this.put(pane, rest[place])));
    for (const pane of this.shown) if (!pane.stack.data) pane.tell(this.words.empty);
    for (const pane of this.shown) if (pane.display.pixels) pane.fit();
    if (this.linked) this.#sameScale();
    this.say(this.words.layout.replace('{layout}', layout.replace('x', ' × ')));
  }

  /** Whether an earlier study stands beside the current one. */
  #compares() {
    return this.shown.some((pane) => pane.stack.data?.earlier);
  }

  /** The relevant prior beside the image, or the image alone again. */
  async #togglePrior() {
    const { prior } = this.series;
    if (!prior) return;
    if (this.#compares()) {
      const mine = this.shown.find((pane) => !pane.stack.data?.earlier);
      if (mine && mine !== this.panes[0] && mine.stack.data) await this.put(this.panes[0], mine.stack.data, mine.stack.shown);
      this.focus(this.panes[0]);
      this.#lay('1x1');
      this.panes[0].fit();
    } else await this.compare(prior);
  }

  /** Put a stack beside the image that is looked at. @param {StackData} stack */
  async compare(stack) {
    const { data, shown } = this.active.stack;
    if (data && this.active !== this.panes[0]) await this.put(this.panes[0], data, shown);
    this.focus(this.panes[0]);
    this.#lay('1x2');
    await this.put(this.panes[1], stack);
    for (const pane of this.shown) if (pane.display.pixels) pane.fit();
    this.#sameScale();
    this.#pressed('prior', true);
  }

  /** Put a panel away, or bring it back. @param {string} name */
  #panel(name) {
    const { closed = [] } = preferences();
    remember({ closed: closed.includes(name) ? closed.filter((other) => other !== name) : [...closed, name] });
    this.#panels();
  }

  #panels() {
    const { closed = [] } = preferences();
    const room = this.root.closest('[data-room]') ?? this.root;
    for (const name of ['tools', 'series', 'findings', 'report']) {
      room.classList.toggle(`no-${name}`, closed.includes(name));
      this.#pressed('panel', !closed.includes(name), name);
    }
  }

  async #fullScreen() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.root.requestFullscreen();
  }

  #controls() {
    for (const bar of this.root.querySelectorAll('[role="toolbar"]')) arrowKeys(/** @type {HTMLElement} */ (bar));
    this.root.addEventListener('click', (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest('[data-do]');
      if (button instanceof HTMLElement) this.do(button.dataset.do ?? '', button.dataset.with ?? '');
    });
    const opacity = /** @type {HTMLInputElement | null} */ (this.root.querySelector('[data-opacity]'));
    opacity?.addEventListener('input', () => {
      for (const pane of this.panes) pane.heat.setOpacity(Number(opacity.value) / 100);
    });
    document.addEventListener('fullscreenchange', () => this.#pressed('fullscreen', document.fullscreenElement === this.root));
    this.#panels();
    this.#pressed('hanging', preferences().hang !== '1x1');
    this.root.addEventListener('choose', (event) => this.bring(/** @type {CustomEvent} */ (event).detail.image));
    this.root.addEventListener('heat', (event) => this.#heat(/** @type {CustomEvent} */ (event).detail));
    this.root.addEventListener('measurements', (event) => {
      this.measurements = /** @type {CustomEvent<import('./marks.js').Mark[]>} */ (event).detail;
      for (const pane of this.panes) this.#draw(pane);
    });
  }

  /** The kept measurements of the stack in a pane. @param {Pane} pane */
  #draw(pane) {
    if ('kept' in this.root.dataset) pane.marks.show(this.measurements.filter(({ image }) => pane.stack.data?.images.includes(image ?? '')));
    else this.#listMarks();
  }

  /** Bring an image into sight: where its stack is shown already, else in the active pane. @param {string} image @param {number} [frame] */
  async bring(image, frame) {
    const stack = this.series.holding(image);
    if (!stack) return;
    const position = frame ?? (stack.images.length > 1 ? stack.images.indexOf(image) + 1 : undefined);
    const pane = this.shown.find((one) => one.stack.data?.id === stack.id) ?? this.active;
    this.focus(pane);
    if (pane.stack.data?.id === stack.id) await pane.stack.go(position ?? pane.stack.shown);
    else await this.put(pane, stack, position);
  }

  /** The presets of the active stack, numbered as they stand. */
  #offer() {
    const names = ['default', ...(this.active.stack.data?.presets ?? []), 'full'];
    for (const element of this.root.querySelectorAll('[data-do="preset"]')) {
      const button = /** @type {HTMLElement} */ (element);
      const place = names.indexOf(button.dataset.with ?? '');
      button.hidden = place < 0;
      if (place < 0) delete button.dataset.shortcut;
      else {
        button.dataset.shortcut = String(place + 1);
        button.title = `${button.textContent} (${place + 1})`;
      }
    }
  }

  /**
   * Do what a button says.
   * @param {string} what
   * @param {string} how
   */
  do(what, how) {
    const { active } = this;
    /** @type {Record<string, () => void>} */
    const doings = {
      tool: () => this.#choose(/** @type {Tool} */ (how)),
      preset: () => {
        active.preset(how);
        this.#preset(how);
      },
      invert: () => active.invert(),
      turn: () => active.turn(Number(how)),
      flip: () => active.flip(),
      fit: () => active.fit(),
      reset: () => {
        for (const pane of this.shown) if (pane.display.pixels) pane.reset();
        if (this.linked) this.#sameScale();
        this.#preset('default');
        this.say(this.words.reset);
      },
      zoom: () => active.zoom(Number(how)),
      heat: () => this.#toggleHeat(),
      prior: () => this.#togglePrior(),
      layout: () => this.#layout(how),
      hanging: () => {
        const hang = preferences().hang === '1x1' ? 'protocol' : '1x1';
        remember({ hang });
        this.#pressed('hanging', hang !== '1x1');
        if (hang === '1x1') this.#layout('1x1');
        else this.open();
        this.say(hang === '1x1' ? this.words.alone : this.words.hung);
      },
      fullscreen: () => this.#fullScreen(),
      step: () => active.stack.step(Number(how)),
      cine: () => active.stack.toggle(),
      series: () => this.series.step(Number(how)),
      pane: () => {
        const { shown } = this;
        shown[(shown.indexOf(active) + 1) % shown.length].stage.focus();
      },
      link: () => {
        this.linked = !this.linked;
        this.#pressed('link', this.linked);
        this.say(this.linked ? this.words.linked : this.words.unlinked);
        if (this.linked) this.#follow(active, 'view');
      },
    };
    if (what === 'panel') this.#panel(how);
    else if (this.panes.some((pane) => pane.display.pixels)) doings[what]?.();
  }

  /** Which preset is on; none once the window was changed by hand. @param {string} [name] */
  #preset(name) {
    for (const button of this.root.querySelectorAll('[data-do="preset"]')) {
      const on = /** @type {HTMLElement} */ (button).dataset.with === name;
      button.setAttribute('aria-pressed', String(on));
      if (on) this.say(button.textContent ?? '');
    }
  }

  /** @param {string} what @param {boolean} on @param {string} [how] */
  #pressed(what, on, how) {
    const which = how === undefined ? `[data-do="${what}"]` : `[data-do="${what}"][data-with="${how}"]`;
    for (const button of this.root.querySelectorAll(which)) button.setAttribute('aria-pressed', String(on));
  }

  /** @param {Tool} tool */
  #choose(tool) {
    this.tool = tool;
    this.root.dataset.tool = tool;
    for (const pane of this.panes) {
      pane.tool = tool;
      pane.marks.cancel();
    }
    for (const other of /** @type {NodeListOf<HTMLElement>} */ (this.root.querySelectorAll('[data-do="tool"]'))) {
      other.setAttribute('aria-pressed', String(other.dataset.with === tool));
    }
    this.say(this.words[`tool_${tool}`] ?? '');
    this.#hint();
  }

  /** Which click of a tool comes next, in sight over the images; the live region says it as well. @param {string} [instead] */
  #hint(instead) {
    const hint = /** @type {HTMLElement} */ (this.root.querySelector('[data-hint]'));
    const { marks } = this.active;
    const steps = marks.steps(this.tool);
    const done = marks.growing?.points.length ?? 0;
    hint.hidden = !steps.length;
    const [count, words] = hint.children;
    count.textContent = instead ? '' : `${done + 1} / ${steps.length}`;
    words.textContent = instead ?? steps[done];
  }

  /** @param {{address?: string, name?: string}} shown */
  async #heat({ address, name = '' }) {
    const label = this.root.querySelector('[data-heat-name]');
    if (label) label.textContent = address ? name : this.words.chooseHeat;
    const image = address?.match(/images\/([^/]+)\//)?.[1];
    if (address && image) {
      if (!this.shown.some((pane) => pane.image === image)) await this.bring(image);
      for (const pane of this.panes) {
        pane.heat.show(address);
        pane.heat.setElsewhere(pane.image !== image || !pane.fitsHeat(image, pane.frame ?? undefined));
      }
      this.say(this.words.heat.replace('{name}', name));
    } else {
      for (const pane of this.panes) pane.heat.hide();
    }
    this.#heatState(Boolean(address));
  }

  #toggleHeat() {
    const on = !this.panes.some(({ heat }) => heat.shown);
    for (const { heat } of this.panes) {
      const address = heat.image.getAttribute('src');
      if (on && address) heat.show(address);
      else heat.hide();
    }
    this.#heatState(this.panes.some(({ heat }) => heat.shown));
  }

  /** @param {boolean} on */
  #heatState(on) {
    this.#pressed('heat', on);
    this.root.classList.toggle('with-heat', on);
  }

  #listMarks() {
    const list = /** @type {HTMLElement} */ (this.root.querySelector('[data-marks]'));
    if ('kept' in this.root.dataset) return; // they are listed beside the draft
    const marks = this.panes.flatMap((pane) => pane.marks.seen.filter(({ fixed }) => !fixed).map((mark) => ({ pane, mark })));
    list.replaceChildren(
      ...marks.map(({ pane, mark }) => {
        const item = document.createElement('li');
        const button = document.createElement('button');
        button.type = 'button';
        button.className = 'button quiet small';
        button.textContent = '×';
        button.setAttribute('aria-label', `${pane.marks.name(mark)}: ${this.words.remove}`);
        button.addEventListener('click', () => pane.marks.remove(mark));
        item.append(`${this.words[mark.kind]} `, Object.assign(document.createElement('b'), { textContent: pane.marks.text(mark) }), button);
        return item;
      }),
    );
    const panel = /** @type {HTMLElement} */ (list.closest('[data-measured]'));
    panel.hidden = marks.length === 0;
    const planes = new Set(marks.map(({ pane }) => pane.display.pixels?.plane ?? 'uncalibrated'));
    /** @type {HTMLElement} */ (panel.querySelector('[data-note]')).textContent = [...planes]
      .map((plane) => this.words[plane])
      .join(' · ');
  }

  /** @param {KeyboardEvent} event @param {Pane} pane */
  #key(event, pane) {
    if (event.target !== pane.stage || event.ctrlKey || event.metaKey || event.altKey || !pane.display.pixels) return;
    const { key, shiftKey } = event;
    const sideways = key === 'ArrowLeft' ? -1 : key === 'ArrowRight' ? 1 : 0;
    const upwards = key === 'ArrowUp' ? 1 : key === 'ArrowDown' ? -1 : 0;
    if (ARROWS.includes(key)) {
      if (pane.measures) pane.marks.step(key, shiftKey);
      else if (this.tool === 'zoom' && upwards) pane.zoom(1.1 ** upwards);
      else if ((this.tool === 'window') !== shiftKey) pane.adjust(sideways * 0.02, upwards * 0.02);
      else pane.pan([sideways * 24, -upwards * 24]);
    } else if (key === 'Enter' && pane.measures) {
      const { width, height } = pane.display.frame;
      pane.marks.cross ??= [width / 2, height / 2];
      pane.marks.set(/** @type {import('./measure.js').Kind} */ (pane.tool), pane.marks.cross);
    } else if (key === 'Escape' && (pane.marks.growing || pane.marks.cross)) {
      pane.marks.cancel();
    } else if (key === 'Escape' && pane.measures) {
      this.#choose('window');
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** Bring the viewer of a page to life. @param {HTMLElement} root */
export async function mount(root) {
  const viewer = new Viewer(root);
  tools(viewer);
  await viewer.open();
  return viewer;
}
