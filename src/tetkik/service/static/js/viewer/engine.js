/** Cornerstone3D, loaded when the first image is to be shown: with WebGL where there is, else on the processor. */

import { fetchPixels } from './pixels.js';

/** @typedef {import('./pixels.js').Pixels} Pixels */

const SCHEME = 'tetkik';
const ROOM = 8192; // pixels a side; films have up to 6000

const MOST_KEPT = 256 * 2 ** 20; // bytes of pixels; who leafs through frames looks at the last few again

/** @type {Map<string, Pixels>} what was fetched, by the id under which Cornerstone knows it; the newest last */
const known = new Map();
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

/**
 * Fetch an image and make it known to Cornerstone.
 * @param {string} id
 * @param {string} address
 * @param {number} [frame] of several
 */
export async function loadImage(id, address, frame) {
  const imageId = frame ? `${SCHEME}:${id}:${frame}` : `${SCHEME}:${id}`;
  const pixels = known.get(imageId) ?? (await fetchPixels(id, address));
  known.delete(imageId);
  known.set(imageId, pixels);
  let held = [...known.values()].reduce((sum, { values }) => sum + values.byteLength, 0);
  for (const [other, { values }] of frame ? known : []) {
    if (held <= MOST_KEPT || other === imageId) break;
    if (other.split(':').length < 3) continue; // an image of one frame stays
    known.delete(other);
    held -= values.byteLength;
  }
  return { imageId, pixels };
}
