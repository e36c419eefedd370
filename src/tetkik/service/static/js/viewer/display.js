/** One image in one pane: what is drawn, and where a point of the image is on the screen. */

import { hold, loadImage, theEngine } from './engine.js';
import { back, fitted, matrixOf, through } from './view.js';
import { clamped, rangeOf } from './windows.js';

/** @typedef {import('./view.js').View} View */
/** @typedef {import('./view.js').Point} Point */
/** @typedef {import('./windows.js').Window} Window */

let number = 0;

/** Says `change` after every drawing. */
export class Display extends EventTarget {
  /** @param {HTMLElement} element empty, positioned, with a size */
  constructor(element) {
    super();
    this.element = element;
    this.id = `pane-${(number += 1)}`;
    this.inverted = false;
    /** @type {import('./pixels.js').Pixels | null} */
    this.pixels = null;
    /** @type {View} */
    this.view = { x: 0, y: 0, zoom: 1, turn: 0, mirrored: false };
    /** @type {Window} */
    this.window = { centre: 0.5, width: 1 };
  }

  /**
   * Fetch an image and show the whole of it.
   * @param {string} id
   * @param {string} address
   * @param {number} [frame] of several
   */
  async show(id, address, frame) {
    const [{ cornerstone, engine }, { imageId, pixels }] = await Promise.all([theEngine(), loadImage(id, address, frame)]);
    this.engine = engine;
    this.onProcessor = cornerstone.getShouldUseCPURendering();
    const begins = !this.viewport;
    if (begins) {
      engine.enableElement({ viewportId: this.id, element: this.element, type: cornerstone.Enums.ViewportType.STACK });
      this.viewport = engine.getViewport(this.id);
    }
    hold(this, imageId);
    await this.viewport.setStack([imageId]);
    this.pixels = pixels;
    if (begins) {
      this.element.addEventListener(cornerstone.Enums.Events.IMAGE_RENDERED, () => this.dispatchEvent(new Event('change')));
      this.watcher = new ResizeObserver(() => this.#resize());
      this.watcher.observe(this.element);
    }
    this.reset();
  }

  /** Show other pixels in the place of these, in the same view and window: another frame. @param {{imageId: string, pixels: import('./pixels.js').Pixels}} loaded */
  async change({ imageId, pixels }) {
    hold(this, imageId);
    await this.viewport.setStack([imageId]);
    this.pixels = pixels;
    this.#draw();
  }

  get frame() {
    const { rows = 1, columns = 1, spacing = null } = this.pixels ?? {};
    const aspect = spacing ? spacing[1] / spacing[0] : 1;
    return { rows, columns, aspect, width: this.element.clientWidth, height: this.element.clientHeight };
  }

  get matrix() {
    return matrixOf(this.view, this.frame);
  }

  /** @param {Point} point of the image @returns {Point} of the pane */
  toPane(point) {
    return through(this.matrix, point);
  }

  /** @param {Point} point of the pane @returns {Point} of the image */
  toImage(point) {
    return back(this.matrix, point);
  }

  /** @param {View} view */
  setView(view) {
    this.view = view;
    this.#draw();
  }

  /** @param {Window} window */
  setWindow(window) {
    this.window = clamped(window);
    this.#draw();
  }

  /** @param {boolean} inverted */
  setInverted(inverted) {
    this.inverted = inverted;
    this.#draw();
  }

  /** As it was first shown. */
  reset() {
    this.view = fitted(this.frame);
    this.window = this.pixels?.window ?? this.window;
    this.inverted = false;
    this.#draw();
  }

  close() {
    this.watcher?.disconnect();
    this.engine?.disableElement(this.id);
  }

  #resize() {
    const { width, height } = this.frame;
    if (!this.pixels || !width || !height) return;
    const before = this.fits;
    this.engine.resize(true, true);
    // A whole image stays whole; one that was looked at closely keeps its place and size.
    if (before) this.view = fitted(this.frame, this.view);
    this.#draw();
  }

  #draw() {
    if (!this.viewport || !this.pixels || !this.element.clientHeight) return;
    this.viewport.setProperties({ voiRange: rangeOf(this.window, this.pixels.white), invert: this.inverted });
    if (this.onProcessor) this.#aimProcessor();
    else this.#aimCamera();
    this.viewport.render();
    this.fits = Math.abs(this.view.zoom / fitted(this.frame, this.view).zoom - 1) < 1e-6;
  }

  /** WebGL: a camera over the image; from behind, it is mirrored. Cornerstone counts from the middle of a pixel. */
  #aimCamera() {
    const { x, y, zoom, turn, mirrored } = this.view;
    const [row, column] = this.pixels?.spacing ?? [1, 1];
    const angle = (turn * Math.PI) / 180;
    const focalPoint = [(x - 0.5) * column, (y - 0.5) * row, 0];
    const away = mirrored ? 1 : -1;
    this.viewport.setCamera({
      viewPlaneNormal: [0, 0, away],
      viewUp: [Math.sin(angle) * away, -Math.cos(angle), 0],
      focalPoint,
      position: [focalPoint[0], focalPoint[1], away * 100],
      parallelScale: (this.element.clientHeight / 2 / zoom) * row,
    });
  }

  /** Without WebGL: Cornerstone's own transform of a canvas, which counts from the corner of a pixel. */
  #aimProcessor() {
    const { x, y, zoom, turn, mirrored } = this.view;
    const [row, column] = this.pixels?.spacing ?? [1, 1];
    const canvas = this.viewport.getCanvas();
    // Cornerstone counts in the screen's own pixels here, and makes the canvas of CSS pixels.
    const { clientWidth, clientHeight } = this.element;
    const [wide, high] = [clientWidth, clientHeight].map((length) => Math.round(length * (window.devicePixelRatio || 1)));
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    this.viewport.setRotation(turn);
    // Its scale is of the finer side of a pixel.
    const scale = (zoom * high) / clientHeight / Math.max(1, row / column);
    this.viewport.setCamera({ scale, flipHorizontal: mirrored, flipVertical: false });
    this.viewport.setCamera({ focalPoint: [x * column, y * row, 0] });
  }
}
