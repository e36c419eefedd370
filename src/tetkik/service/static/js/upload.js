/**
 * Upload: files, folders and zips are dropped or chosen, two at a time go up, and each image tells what becomes of it.
 *
 * A zip goes as it is; the server answers with a line for each image in it. Trying some of them once more sends the
 * zip again and names those alone.
 */

import { followed, follow } from './upload/follow.js';
import { added, part, passedOver, passedOverWords, place, progress, rows, show } from './upload/list.js';
import { ask } from './upload/questions.js';
import { freshKey, post } from './upload/sending.js';
import { dropped, ofFolder, picked } from './upload/sources.js';

/** @typedef {import('./upload/list.js').Row} Row */
/** @typedef {{row: Row, only?: Row[], sure?: boolean}} Job */

const drop = /** @type {HTMLElement} */ (document.getElementById('drop'));
const words = /** @type {HTMLElement} */ (document.getElementById('words')).dataset;
const AT_ONCE = 2;
const MOST_NAMED = 500; // images of a zip in one address

/** @type {Job[]} */
const waiting = [];
let sending = 0;

// ---- where files come from -------------------------------------------------------------------------------

for (const [button, input, given] of /** @type {const} */ ([['choose-files', 'files', picked], ['choose-folder', 'folder', ofFolder]])) {
  const field = /** @type {HTMLInputElement} */ (document.getElementById(input));
  document.getElementById(button)?.addEventListener('click', () => field.click());
  field.addEventListener('change', async () => {
    const files = [...(field.files ?? [])];
    field.value = '';
    add(await given(files));
  });
}

let depth = 0;
for (const kind of /** @type {const} */ (['dragenter', 'dragover', 'dragleave', 'drop'])) {
  document.addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    depth += kind === 'dragenter' ? 1 : kind === 'dragleave' ? -1 : 0;
    if (kind === 'drop') depth = 0;
    drop.classList.toggle('over', depth > 0);
  });
}

document.addEventListener('drop', async (event) => {
  if (event.dataTransfer?.types.includes('Files')) add(await dropped(event.dataTransfer));
});

/** @param {import('./upload/sources.js').Given} given */
function add({ found, others, archives }) {
  if (others) passedOver(others, archives);
  if (!found.length) {
    document.dispatchEvent(new CustomEvent('toast', { detail: { text: others ? words.noImage : words.empty, kind: 'warning' } }));
    return;
  }
  for (const { file, archive } of found) enqueue({ row: attended(added({ name: file.name, key: freshKey(), file, archive })) });
}

/** @param {Row} row */
function attended(row) {
  part(row, 'again').addEventListener('click', () => again([row]));
  return row;
}

document.getElementById('retry')?.addEventListener('click', () => {
  again(rows.filter((row) => row.group === 'failed' && row.again));
  document.getElementById('uploads-title')?.focus();
});

/** Try these once more. @param {Row[]} chosen @param {boolean} [sure] */
function again(chosen, sure = false) {
  for (const row of chosen) {
    if (sure) row.key = freshKey();
    if (!row.inside) enqueue({ row, sure });
  }
  for (const archive of new Set(chosen.map((row) => row.inside))) {
    const inside = chosen.filter((row) => archive && row.inside === archive);
    for (let at = 0; archive && at < inside.length; at += MOST_NAMED) enqueue({ row: archive, only: inside.slice(at, at + MOST_NAMED), sure });
  }
}

/** @param {Job} job */
function enqueue(job) {
  for (const row of job.only ?? [job.row]) {
    place(row, 'waits');
    show(row, 'waits');
  }
  waiting.push(job);
  next();
}

function next() {
  while (sending < AT_ONCE && waiting.length) {
    sending += 1;
    const job = /** @type {Job} */ (waiting.shift());
    (job.row.archive ? sendArchive(job) : sendFile(job)).finally(() => {
      sending -= 1;
      next();
    });
  }
}

// ---- one file --------------------------------------------------------------------------------------------

/** @param {string} path @param {boolean} [sure] @param {Row[]} [only] */
function address(path, sure, only = []) {
  const query = new URLSearchParams(only.map((row) => ['only', String(row.number)]));
  if (drop.dataset.case) query.set('case_id', drop.dataset.case);
  if (sure) query.set('sure', 'true');
  return `${path}?${query}`;
}

/** @param {Row[]} under @param {number} share */
function going(under, share) {
  for (const row of under) {
    place(row, 'active');
    progress(row, share < 1 ? share : null);
    if (share === 0 || share === 1) show(row, share ? 'checking' : 'sending');
  }
}

/** @param {Job} job */
async function sendFile({ row, sure }) {
  going([row], 0);
  try {
    const listeners = { gone: (/** @type {number} */ share) => going([row], share) };
    const { status, body } = await post(address('/api/v1/images', sure), /** @type {File} */ (row.file), row.key, listeners);
    answered(row, status, body);
  } catch {
    failed(row, words.offline, true);
  }
}

/** @param {Row} row @param {number} status @param {any} body */
function answered(row, status, body) {
  if (status === 401) location.reload();
  else if (status === 201) kept(row, body);
  else if (status === 409 && body.title === 'OtherPatient') ask(row, body, (same) => again(same, true));
  else failed(row, body.detail ?? words.broken, status === 429 || status >= 500);
}

/** @param {Row} row @param {string} sentence @param {boolean} may whether trying once more may help */
function failed(row, sentence, may) {
  row.again = may;
  place(row, 'failed');
  show(row, 'failed', sentence);
}

/** @param {Row} row @param {any} body */
function kept(row, body) {
  row.image = body.image.id;
  const picture = document.createElement('img');
  picture.loading = 'lazy';
  picture.src = `/api/v1/images/${row.image}/preview`;
  picture.alt = '';
  part(row, 'thumb').replaceChildren(picture);
  const link = /** @type {HTMLAnchorElement} */ (part(row, 'open'));
  link.href = `${drop.dataset.read}${body.image.case_id}`;
  if (drop.dataset.read === '/read/') link.dataset.post = `${drop.dataset.read}${body.image.case_id}/claim`;
  link.textContent = body.case_number;
  link.hidden = false;
  const { frames, read_frame: frame } = body.image;
  const into = words.into.replace('{number}', body.case_number);
  row.said = [
    body.fresh ? (body.case_opened ? words.newCase : '') : words.known,
    body.fresh ? into : '',
    frames > 1 ? words.frames.replace('{frames}', frames).replace('{frame}', frame) : '',
  ].filter(Boolean).join(' ');
  place(row, 'done');
  followed(row, body.image);
}

// ---- one zip ---------------------------------------------------------------------------------------------

/** @param {Job} job */
async function sendArchive({ row, only, sure }) {
  const under = only ?? [row];
  const key = only ? freshKey() : row.key;
  let open = true;
  going(under, 0);
  /** @param {any} line */
  const onLine = (line) => {
    open = false;
    if ('images' in line) {
      if (!only) opened(row, line);
      return;
    }
    const member = rows.find((one) => one.inside === row && one.number === line.number) ?? fresh(row, line);
    if (!only && row.left) row.left -= 1;
    if (!member.image) answered(member, line.status, line.answer);
    if (only) return;
    const [done, all] = [(row.images ?? 0) - (row.left ?? 0), row.images ?? 0];
    progress(row, done / all);
    show(row, 'opening', words.unpacking.replace('{done}', String(done)).replace('{all}', String(all)));
  };
  try {
    const { status, body } = await post(address('/api/v1/images/archive', sure, only), /** @type {File} */ (row.file), key, {
      gone: (share) => open && going(under, share),
      line: onLine,
    });
    if (status === 401) location.reload();
    else if (status !== 200) for (const one of under) failed(one, body.detail ?? words.broken, status === 429 || status >= 500);
    else unanswered(row, under, only);
  } catch {
    row.left = 0;
    for (const one of under) if (!one.image && one.group === 'active') failed(one, words.offline, true);
  }
}

/** @param {Row} archive @param {any} line */
function opened(archive, { images, others, archives }) {
  archive.images = archive.left = images;
  archive.said = [
    images === 1 ? words.unpackedOne : words.unpacked.replace('{images}', images),
    ...passedOverWords(others, archives),
  ].filter(Boolean).join(' ');
}

/** A row for an image that a zip holds. @param {Row} archive @param {any} line */
function fresh(archive, line) {
  return attended(added({ name: line.name, key: '', inside: archive, number: line.number }));
}

/** The answer is over: the zip is done, and what it did not speak of was not uploaded. @param {Row} archive @param {Row[]} under @param {Row[]} [only] */
function unanswered(archive, under, only) {
  if (only) {
    for (const row of under) if (row.group === 'active') failed(row, words.broken, true);
  } else if (archive.left) {
    archive.left = 0;
    failed(archive, words.broken, true);
  } else {
    place(archive, 'done');
    show(archive, 'opened', archive.said);
  }
}

follow();

addEventListener('beforeunload', (event) => {
  if (sending || waiting.length) event.preventDefault();
});
