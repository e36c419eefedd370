/** The case that is read next: of the view of the worklist that this one was opened from. */

/**
 * @param {HTMLElement} room
 * @param {boolean} [signed] whether this one was signed just now: another report of it may still wait
 */
export function nextAddress(room, signed = false) {
  const view = sessionStorage.getItem('tetkik-view');
  return `/read/next?after=${room.dataset.case}${signed ? '&signed=true' : ''}${view ? `&${view}` : ''}`;
}
