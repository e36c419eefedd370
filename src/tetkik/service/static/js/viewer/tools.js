/** The tools beside those of the viewer itself: magnifier, key image, presentation states, tags, legend. */

import { Magnifier } from './magnifier.js';
import { Presentations } from './presentation.js';
import { tagViewer } from './tags.js';

const HELD = 'b'; // shows the magnifier for as long as it is held

/** Bring them to life. @param {any} viewer */
export function tools(viewer) {
  const { root, panes } = viewer;
  /** @type {Map<any, Magnifier>} */
  const glasses = new Map(panes.map((/** @type {any} */ pane) => [pane, new Magnifier(pane)]));
  let held = false;

  for (const [pane, glass] of glasses) {
    /** @type {import('./view.js').Point | null} */
    let hand = null;
    const place = (/** @type {PointerEvent} */ event) => {
      const box = pane.stage.getBoundingClientRect();
      return /** @type {import('./view.js').Point} */ ([event.clientX - box.left, event.clientY - box.top]);
    };
    pane.stage.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
      hand = place(event);
      if (held || (viewer.tool === 'magnifier' && event.buttons === 1)) glass.show(hand);
    });
    pane.stage.addEventListener('pointerdown', (/** @type {PointerEvent} */ event) => {
      if (viewer.tool === 'magnifier' && event.button === 0) glass.show(place(event));
    });
    for (const name of ['pointerup', 'pointercancel', 'pointerleave']) {
      pane.stage.addEventListener(name, () => {
        if (name === 'pointerleave') hand = null;
        if (!held || name === 'pointerleave') glass.hide();
      });
    }
    document.addEventListener('keydown', (event) => {
      const writing = /** @type {HTMLElement} */ (event.target).closest('input:not([type=range]), textarea, select, [contenteditable], dialog');
      if (event.key !== HELD || event.repeat || writing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (document.documentElement.dataset.keys === 'off' && event.target !== pane.stage) return;
      const { width, height } = pane.display.frame;
      const focused = event.target === pane.stage;
      if (hand || focused) {
        held = true;
        glass.show(hand ?? pane.marks.cross ?? [width / 2, height / 2]);
      }
    });
    document.addEventListener('keyup', (event) => {
      if (event.key !== HELD) return;
      held = false;
      glass.hide();
    });
    window.addEventListener('blur', () => {
      held = false;
      glass.hide();
    });
  }

  const menu = root.querySelector('[data-presentations]');
  if (menu) viewer.presentations = new Presentations(viewer, menu);
  const dialog = document.getElementById('dicom-tags');
  const tags = dialog instanceof HTMLDialogElement ? tagViewer(viewer, dialog) : null;

  root.addEventListener('click', (/** @type {MouseEvent} */ event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest('[data-do]');
    const { pixels, window, inverted } = viewer.active.display;
    if (!(button instanceof HTMLElement) || !pixels) return;
    if (button.dataset.do === 'tags') tags?.();
    if (button.dataset.do === 'key-image') {
      const detail = { image_id: pixels.id, frame: pixels.frame, centre: window.centre, width: window.width, inverted };
      root.dispatchEvent(new CustomEvent('keyimage', { detail }));
    }
  });
}
