/** Cornerstone3D, loaded when the first image is to be shown: with WebGL where there is, else on the processor. */

import { fetchPixels, fetchSeveral } from './pixels.js';

/** @typedef {import('./pixels.js').Pixels} Pixels */

const SCHEME = 'tetkik';
const ROOM = 8192; // pixels a side; films have up to 6000

const MOST_KEPT = 512 * 2 ** 20; // bytes of pixels: 1,000 sections of 512 x 512

/** @type {Map<string, Pixels>} what was fetched, by the id under which Cornerstone knows it; the newest last */
const known = new Map();
/** @type {Map<string, Promise<Pixels>>} what is on its way */
const coming = new Map();
/** @type {Map<object, string>} what each display shows, which stays whatever is fetched */
const held = new Map();
let total = 0;
/** @type {any} Cornerstone's own cache, which would keep what is given up here */
let cache = null;
/** @type {Promise<any> | null} */
let starting = null;

/** @param {string} imageId @param {Pixels} pixels */
function asCornerstoneImage(imageId, pixels) {
  const [row, column] = pixels.spacing ?? [1, 1];
  return {
    imageId,
    minPixelValue: 0,
    maxPixelValue: pixels.white,
    slope: 1,
    intercept: 0,
    windowCenter: pixels.white / 2,
    windowWidth: pixels.white,
    voiLUTFunction: 'LINEAR',
    getPixelData: () => pixels.values,
    rows: pixels.rows,
    columns: pixels.columns,
    height: pixels.rows,
    width: pixels.columns,
    color: pixels.samples === 3,
    rgba: false,
    numberOfComponents: pixels.samples,
    invert: false,
    rowPixelSpacing: row,
    columnPixelSpacing: column,
    sizeInBytes: pixels.values.byteLength,
    imageFrame: {},
  };
}

/** What Cornerstone asks of an image's header. @type {Record<string, (pixels: Pixels) => object>} */
const HEADERS = {
  imagePlaneModule: ({ rows, columns, spacing }) => ({
    rows,
    columns,
    rowCosines: [1, 0, 0],
    columnCosines: [0, 1, 0],
    imageOrientationPatient: [1, 0, 0, 0, 1, 0],
    imagePositionPatient: [0, 0, 0],
    rowPixelSpacing: spacing?.[0] ?? 1,
    columnPixelSpacing: spacing?.[1] ?? 1,
    frameOfReferenceUID: SCHEME,
  }),
  imagePixelModule: ({ values, samples }) => {
    const bits = values.BYTES_PER_ELEMENT * 8;
    return {
      bitsAllocated: bits,
      bitsStored: bits,
      highBit: bits - 1,
      samplesPerPixel: samples,
      pixelRepresentation: 0,
      photometricInterpretation: samples === 3 ? 'RGB' : 'MONOCHROME2',
    };
  },
  generalSeriesModule: () => ({ modality: 'OT' }),
};

/** @param {string} [drawing] `webgl` takes it even where it is emulated */
async function start(drawing) {
  /** @type {any} */
  const cornerstone = await import('../../vendor/cornerstone/cornerstone.js');
  // WebGL that is itself emulated on the processor is slower than drawing there at once, and a small one has
  // no room for a large film.
  const { softwareRasterizer, maxTextureSize } = cornerstone.getRenderingCapabilities();
  const useCPURendering = drawing !== 'webgl' && (softwareRasterizer || maxTextureSize < ROOM);
  ({ cache } = cornerstone);
  cornerstone.init({ rendering: { webGlContextCount: 1, useCPURendering } });
  cornerstone.metaData.addProvider((/** @type {string} */ kind, /** @type {string} */ id) => {
    const pixels = known.get(id);
    return pixels && HEADERS[kind]?.(pixels);
  }, 100);
  cornerstone.imageLoader.registerImageLoader(SCHEME, (/** @type {string} */ id) => ({
    promise: Promise.resolve(asCornerstoneImage(id, /** @type {Pixels} */ (known.get(id)))),
  }));
  return { cornerstone, engine: new cornerstone.RenderingEngine('tetkik') };
}

/**
 * The one engine of the page.
 * @param {string} [drawing] as the first who asks wants it
 * @returns {Promise<{cornerstone: any, engine: any}>}
 */
export function theEngine(drawing) {
  starting ??= start(drawing);
  return starting;
}

/** @param {string} id @param {number} [frame] */
const nameOf = (id, frame) => (frame ? `${SCHEME}:${id}:${frame}` : `${SCHEME}:${id}`);

/** Whether an image is here already. @param {string} id @param {number} [frame] */
export const isKnown = (id, frame) => known.has(nameOf(id, frame));

/** Bytes of all pixels that are here. */
export const sizeOfAll = () => total;

/** Note what a display shows. @param {object} display @param {string} imageId */
export function hold(display, imageId) {
  held.set(display, imageId);
}

/** Give up what was looked at longest ago, until what stays fits. */
function trim() {
  const shown = new Set(held.values());
  for (const [imageId, { values }] of known) {
    if (total <= MOST_KEPT) return;
    if (shown.has(imageId)) continue;
    known.delete(imageId);
    total -= values.byteLength;
    if (cache?.getImageLoadObject(imageId)) cache.removeImageLoadObject(imageId);
  }
}

/** @param {string} imageId @param {Promise<Pixels>} fetching */
async function fetched(imageId, fetching) {
  try {
    const pixels = await fetching;
    known.set(imageId, pixels);
    total += pixels.values.byteLength;
    trim();
    return pixels;
  } finally {
    coming.delete(imageId);
  }
}

/** Fetch images of one frame each, in one request. @param {string[]} ids none of which is known or on its way */
export async function loadAhead(ids) {
  const together = fetchSeveral(ids);
  const each = ids.map((id, place) => {
    const imageId = nameOf(id);
    const one = fetched(imageId, together.then((all) => all[place]));
    coming.set(imageId, one);
    return one;
  });
  await Promise.allSettled(each);
}

/** Whether an image is on its way. @param {string} id */
export const isComing = (id) => coming.has(nameOf(id));

/**
 * Fetch an image and make it known to Cornerstone.
 * @param {string} id
 * @param {string} address
 * @param {number} [frame] of several
 */
export async function loadImage(id, address, frame) {
  const imageId = nameOf(id, frame);
  let pixels = known.get(imageId);
  if (!pixels) {
    if (!coming.has(imageId)) coming.set(imageId, fetched(imageId, fetchPixels(id, address)));
    pixels = /** @type {Pixels} */ (await coming.get(imageId));
  }
  known.delete(imageId);
  known.set(imageId, pixels);
  trim();
  return { imageId, pixels };
}
