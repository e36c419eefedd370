/** Requests with files: how much has gone, and the lines of an answer as they come. */

const csrf = /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="csrf-token"]')).content;

/**
 * Send a file.
 * @param {string} address
 * @param {File} file
 * @param {string} key the same one for as long as this file is tried, so that a broken line never doubles it
 * @param {object} listeners
 * @param {(share: number) => void} listeners.gone how much has gone, from 0 to 1
 * @param {(line: any) => void} [listeners.line] each line of an answer in lines
 * @returns {Promise<{status: number, body: any}>} rejected where the line broke
 */
export function post(address, file, key, { gone, line }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much has gone
    request.open('POST', address);
    request.setRequestHeader('X-CSRF-Token', csrf);
    request.setRequestHeader('Idempotency-Key', key);
    request.setRequestHeader('X-File-Name', encodeURIComponent(file.name));
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.upload.addEventListener('progress', ({ loaded, total }) => gone(loaded / total));
    request.upload.addEventListener('load', () => gone(1));
    let read = 0;
    const lines = () => {
      const end = request.responseText.lastIndexOf('\n') + 1;
      for (const text of request.responseText.slice(read, end).split('\n')) if (text) line?.(JSON.parse(text));
      read = Math.max(read, end);
    };
    if (line) request.addEventListener('progress', () => request.status === 200 && lines());
    request.addEventListener('error', () => reject(new Error('offline')));
    request.addEventListener('abort', () => reject(new Error('offline')));
    request.addEventListener('load', () => {
      if (line && request.status === 200) {
        lines();
        resolve({ status: 200, body: {} });
        return;
      }
      let body = {};
      try {
        body = JSON.parse(request.responseText);
      } catch {
        // a proxy's own page
      }
      resolve({ status: request.status, body });
    });
    request.send(file);
  });
}

/** A key that nobody has used. */
export function freshKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
