/** The key images of the report: marked in the viewer, named and removed beside the draft. */

import { tell } from './requests.js';

/**
 * @param {HTMLElement} room
 * @param {HTMLElement} viewer
 * @param {import('./editor.js').Editor | null} editor none where nothing may be changed
 */
export function keyImages(room, viewer, editor) {
  const words = JSON.parse(viewer.dataset.words ?? '{}');
  viewer.addEventListener('keyimage', async (event) => {
    if (!editor) return tell(words.keyNoDraft, 'warning');
    const { detail } = /** @type {CustomEvent} */ (event);
    if (await editor.ask('key-images', detail)) tell(words.keyMarked);
  });
  if (!editor) return;
  const idOf = (/** @type {HTMLElement} */ element) => /** @type {HTMLElement | null} */ (element.closest('[data-key-image]'))?.dataset.keyImage;
  room.addEventListener('change', ({ target }) => {
    if (!(target instanceof HTMLInputElement) || !('keyNote' in target.dataset)) return;
    editor.ask('key-images/name', { id: idOf(target), note: target.value });
  });
  room.addEventListener('click', (event) => {
    const gone = /** @type {HTMLElement} */ (event.target).closest('[data-key-remove]');
    if (gone instanceof HTMLElement) editor.ask('key-images/remove', { id: idOf(gone) });
  });
}
