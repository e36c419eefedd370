/** The pixels of an image, as the server's own reader decoded them: nothing is decoded in the browser. */

/**
 * @typedef {object} Pixels
 * @property {string} id
 * @property {number} rows
 * @property {number} columns
 * @property {number} samples 1 of grey, 3 of colour: red, green and blue of each pixel
 * @property {number} white the value of white; black is 0
 * @property {{slope: number, intercept: number, unit: string} | null} scale what a value stands for: slope × value + intercept, in `HU` or `Gy`; the unit may be empty
 * @property {[number, number] | null} spacing millimetres from row to row and from column to column
 * @property {string | null} plane where millimetres hold: in the `patient`, at the `detector`, or `unstated`
 * @property {number | null} frame which of several it is, from 1; null of an image of one
 * @property {import('./windows.js').Window} window in which it is first shown
 * @property {Uint8Array | Uint16Array} values row by row
 */

/** What the server says of an image that cannot be shown; its message is a sentence for the user. */
export class PixelsError extends Error {}

/** @param {string | null} text */
function pair(text) {
  const numbers = (text ?? '').split(',').map(Number);
  return numbers.length === 2 && numbers.every((number) => number > 0) ? /** @type {[number, number]} */ (numbers) : null;
}

/** @param {ArrayBuffer} buffer in little-endian order */
function words(buffer) {
  if (new Uint8Array(new Uint16Array([1]).buffer)[0] === 1) return new Uint16Array(buffer);
  const view = new DataView(buffer);
  return Uint16Array.from({ length: buffer.byteLength / 2 }, (_, index) => view.getUint16(index * 2, true));
}

/** @param {string} address */
async function answered(address) {
  const answer = await fetch(address); // as the page preloads it: without headers of its own
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new PixelsError(problem.detail ?? problem.title ?? String(answer.status));
}

/**
 * @param {string} id
 * @param {(name: string) => string | null} head a header of `pixels`
 * @param {ArrayBuffer} buffer
 * @returns {Pixels}
 */
function described(id, head, buffer) {
  const rows = Number(head('X-Rows'));
  const columns = Number(head('X-Columns'));
  const white = Number(head('X-White'));
  const values = Number(head('X-Bits')) > 8 ? words(buffer) : new Uint8Array(buffer);
  const samples = Number(head('X-Samples') ?? 1);
  if (values.length !== rows * columns * samples) throw new PixelsError();
  const [centre, width] = pair(head('X-Window')) ?? [white / 2, white];
  const window = { centre: centre / white, width: width / white };
  const spacing = pair(head('X-Spacing'));
  const plane = spacing && (head('X-Plane') ?? 'unstated');
  const frame = Number(head('X-Frames')) > 1 ? Number(head('X-Frame')) : null;
  const slope = Number(head('X-Slope'));
  const scale = slope ? { slope, intercept: Number(head('X-Intercept')), unit: head('X-Unit') ?? '' } : null;
  return { id, rows, columns, samples, white, scale, spacing, plane, frame, window, values };
}

/**
 * Fetch the pixels of one image.
 * @param {string} id
 * @param {string} address from which they come
 * @returns {Promise<Pixels>}
 */
export async function fetchPixels(id, address) {
  const answer = await answered(address);
  return described(id, (name) => answer.headers.get(name), await answer.arrayBuffer());
}

/**
 * Fetch the pixels of some images of one frame each, in one answer.
 * @param {string[]} ids
 * @returns {Promise<Pixels[]>}
 */
export async function fetchSeveral(ids) {
  const answer = await answered(`/api/v1/images/pixels?ids=${ids.join(',')}`);
  const whole = await answer.arrayBuffer();
  const view = new DataView(whole);
  let at = 0;
  return ids.map((id) => {
    const end = at + 4 + view.getUint32(at, true);
    const headers = JSON.parse(new TextDecoder().decode(new Uint8Array(whole, at + 4, end - at - 4)));
    const head = (/** @type {string} */ name) => headers[name] ?? null;
    const bytes = (Number(head('X-Bits')) / 8) * Number(head('X-Rows')) * Number(head('X-Columns')) * Number(head('X-Samples'));
    at = end + bytes;
    return described(id, head, whole.slice(end, at)); // a copy of its own, so that each can be given up alone
  });
}
