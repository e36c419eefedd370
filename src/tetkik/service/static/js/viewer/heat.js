/** Where the model looked: a picture with alpha, laid over the image and moved with it. */

export class Heat {
  /**
   * @param {import('./display.js').Display} display
   * @param {() => void} failed called when there is no such picture
   */
  constructor(display, failed) {
    this.display = display;
    this.image = document.createElement('img');
    this.image.className = 'heat';
    this.image.alt = '';
    this.image.hidden = true;
    this.image.draggable = false;
    display.element.after(this.image);
    display.addEventListener('change', () => this.place());
    this.image.addEventListener('load', () => this.place());
    this.image.addEventListener('error', () => {
      this.hide();
      failed();
    });
    this.opacity = 0.5;
    this.wanted = false;
    /** whether another frame is shown than the one that it lies over */
    this.elsewhere = false;
  }

  get shown() {
    return this.wanted;
  }

  /** @param {string} address */
  show(address) {
    if (this.image.getAttribute('src') !== address) this.image.src = address;
    this.wanted = true;
    this.image.hidden = this.elsewhere;
    this.place();
  }

  hide() {
    this.wanted = false;
    this.image.hidden = true;
  }

  /** @param {boolean} elsewhere */
  setElsewhere(elsewhere) {
    this.elsewhere = elsewhere;
    this.image.hidden = elsewhere || !this.wanted;
    this.place();
  }

  /** @param {number} opacity 0 to 1 */
  setOpacity(opacity) {
    this.opacity = opacity;
    this.place();
  }

  /** The picture has the image's geometry, whatever its own resolution. */
  place() {
    const { naturalWidth, naturalHeight, style } = this.image;
    if (!this.shown || !naturalWidth) return;
    const { columns, rows } = this.display.frame;
    const [a, b, c, d, e, f] = this.display.matrix;
    const [across, down] = [columns / naturalWidth, rows / naturalHeight];
    style.transform = `matrix(${[a * across, b * across, c * down, d * down, e, f].join(',')})`;
    style.opacity = String(this.opacity);
  }
}
