/** The words of a text in the image, written where they will stand. */

/**
 * @param {HTMLElement} stage
 * @param {import('./view.js').Point} at of the pane
 * @param {{textWords: string}} words
 * @returns {Promise<string>} empty where nothing was written
 */
export function askWords(stage, at, words) {
  const field = document.createElement('input');
  field.className = 'input small note';
  field.maxLength = 60;
  field.setAttribute('aria-label', words.textWords);
  field.placeholder = words.textWords;
  field.style.left = `${Math.max(0, Math.min(at[0], stage.clientWidth - 200))}px`;
  field.style.top = `${Math.max(0, Math.min(at[1] - 16, stage.clientHeight - 36))}px`;
  for (const name of ['pointerdown', 'dblclick', 'wheel']) field.addEventListener(name, (event) => event.stopPropagation());
  stage.append(field);
  requestAnimationFrame(() => field.focus()); // after the press that set the point has taken the focus
  return new Promise((resolve) => {
    const done = (/** @type {string} */ said) => {
      resolve(said.trim());
      field.remove();
      stage.focus();
    };
    field.addEventListener('keydown', (event) => {
      event.stopPropagation();
      if (event.key === 'Enter') done(field.value);
      else if (event.key === 'Escape') done('');
    });
    field.addEventListener('blur', () => field.isConnected && done(field.value));
  });
}
