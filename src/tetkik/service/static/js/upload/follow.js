/** What the model makes of the images: a few are asked about at a time, the oldest first, as the model takes them. */

import { rows, show } from './list.js';

/** @typedef {import('./list.js').Row} Row */

const EVERY = 1000;
const AT_ONCE = 3; // with every second, far below what one person may ask in a minute

/**
 * Show how far the model is with an image.
 * @param {Row} row
 * @param {any} image as the API tells it
 */
export function followed(row, image) {
  const state = image.work?.state;
  row.followed = state === 'queued' || state === 'running';
  if (state === 'done' && image.run?.state === 'refused') refused(row);
  else if (state === 'done') show(row, 'done', row.said);
  else if (state === 'failed') show(row, 'unread', image.work.fault ?? '');
  else show(row, state === 'running' ? 'reading' : 'kept', row.said);
}

/** @param {Row} row */
async function refused(row) {
  show(row, 'refused', row.said);
  const answer = await fetch(`/api/v1/images/${row.image}/findings`).catch(() => null);
  if (answer?.ok) show(row, 'refused', (await answer.json()).result.reasons.join(' '));
}

/** Ask until everything has been read; for as long as the page is open. */
export async function follow() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, EVERY));
    for (const row of rows.filter((one) => one.followed).slice(0, AT_ONCE)) {
      const answer = await fetch(`/api/v1/images/${row.image}`).catch(() => null);
      if (answer?.status === 401) location.reload();
      if (answer?.ok) followed(row, await answer.json());
    }
  }
}
