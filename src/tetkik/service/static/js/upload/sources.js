/** Where files come from: chosen or dropped, one by one, as folders, or as zips. What a file is, its first bytes say. */

/**
 * A file that is to be sent.
 * @typedef {object} Found
 * @property {File} file
 * @property {boolean} archive whether it is a zip
 */

/**
 * What was chosen or dropped.
 * @typedef {object} Given
 * @property {Found[]} found
 * @property {number} others files of a folder that are no images: a viewer, a directory, a leaflet
 * @property {number} archives how many of those are archives
 */

const HEAD = 1024;
const PICTURES = [[0x89, 0x50, 0x4e, 0x47], [0xff, 0xd8, 0xff], [0x49, 0x49, 0x2a], [0x4d, 0x4d, 0, 0x2a], [0x49, 0x49, 0x2b], [0x4d, 0x4d, 0, 0x2b]];
const ARCHIVES = [[0x50, 0x4b, 3, 4], [0x50, 0x4b, 5, 6], [0x52, 0x61, 0x72, 0x21], [0x37, 0x7a, 0xbc, 0xaf]];
const DIRECTORY = '1.2.840.10008.1.3.10\x02\x00'; // Media Storage Directory Storage, and the next element's group

/** @param {Uint8Array} head @param {number[][]} marks */
const begins = (head, marks) => marks.some((mark) => mark.every((byte, at) => head[at] === byte));

/**
 * What begins like this; the server looks again, and properly.
 * @param {Uint8Array} head
 * @returns {'image' | 'zip' | 'archive' | 'other'}
 */
export function kindOf(head) {
  const text = String.fromCharCode(...head);
  if (text.slice(128, 132) === 'DICM') return text.includes(DIRECTORY) ? 'other' : 'image';
  if (begins(head, PICTURES)) return 'image';
  if (begins(head, ARCHIVES.slice(0, 2))) return 'zip';
  if (begins(head, ARCHIVES)) return 'archive';
  // DICOM without a preamble begins with an element of group 0002 or 0008.
  const [first, second, low, high] = head;
  const group = [`${first},${second}`, `${second},${first}`];
  return head.length > 8 && (group.includes('2,0') || group.includes('8,0')) && Math.min(low, high) === 0 ? 'image' : 'other';
}

/** @param {File} file */
async function looked(file) {
  try {
    return kindOf(new Uint8Array(await file.slice(0, HEAD).arrayBuffer()));
  } catch {
    return 'image'; // it cannot be read now; sending it says why
  }
}

/**
 * Files that were picked one by one: all of them go, so that each is answered.
 * @param {File[]} files
 * @returns {Promise<Given>}
 */
export async function picked(files) {
  const found = await Promise.all(files.map(async (file) => ({ file, archive: (await looked(file)) === 'zip' })));
  return { found, others: 0, archives: 0 };
}

/**
 * The files of a folder: its images go, and what lies beside them stays.
 * @param {File[]} files
 * @returns {Promise<Given>}
 */
export async function ofFolder(files) {
  const path = (/** @type {File} */ file) => file.webkitRelativePath || file.name;
  const seen = files.filter((file) => !file.name.startsWith('.')).sort((one, other) => path(one).localeCompare(path(other), 'tr', { numeric: true }));
  const kinds = await Promise.all(seen.map(looked));
  const found = seen.filter((_, at) => kinds[at] === 'image').map((file) => ({ file, archive: false }));
  const archives = kinds.filter((kind) => kind === 'zip' || kind === 'archive').length;
  return { found, others: seen.length - found.length, archives };
}

/**
 * What was dropped: files, and folders with everything below them.
 * @param {DataTransfer} transfer
 * @returns {Promise<Given>}
 */
export async function dropped(transfer) {
  // The entries must be taken before the event is over; the list of it is empty after that.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry != null);
  if (!entries.length) return picked([...transfer.files]);
  const single = (await Promise.all(entries.filter((entry) => entry.isFile).map(below))).flat();
  const inside = (await Promise.all(entries.filter((entry) => entry.isDirectory).map(below))).flat();
  const [one, other] = [await picked(single), await ofFolder(inside)];
  return { ...other, found: [...one.found, ...other.found] };
}

/**
 * @param {any} entry
 * @returns {Promise<File[]>}
 */
async function below(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject)).catch(() => null);
    return file ? [file] : [];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => []);
    if (!some.length) return found; // it hands out a hundred at a time
    found.push(...(await Promise.all(some.map(below))).flat());
  }
}
