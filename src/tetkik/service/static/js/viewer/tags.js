/** The tags of the file that is looked at, in a dialog, with a search. */

/** @param {any} viewer @param {HTMLDialogElement} dialog */
export function tagViewer(viewer, dialog) {
  const body = /** @type {HTMLElement} */ (dialog.querySelector('[data-tag-list]'));
  const search = /** @type {HTMLInputElement} */ (dialog.querySelector('[data-tag-search]'));

  function filter() {
    const wanted = search.value.toLocaleLowerCase('tr').split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of /** @type {NodeListOf<HTMLElement>} */ (body.querySelectorAll('[data-tag]'))) {
      const text = (row.textContent ?? '').toLocaleLowerCase('tr');
      row.hidden = !wanted.every((word) => text.includes(word));
      if (!row.hidden) count += 1;
    }
    const said = /** @type {HTMLElement | null} */ (body.querySelector('[data-tag-count]'));
    if (said) said.textContent = (said.dataset.words ?? '').replace('{count}', String(count));
  }

  search.addEventListener('input', filter);
  return async () => {
    const { id } = viewer.active.display.pixels;
    body.textContent = viewer.words.tagsLoading;
    search.value = '';
    dialog.showModal();
    search.focus();
    try {
      const answer = await fetch(`/images/${id}/tags`, { headers: { 'HX-Request': 'true' } });
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const found = page.querySelector('[data-tags]');
      if (found) body.replaceChildren(found);
      else body.textContent = (page.querySelector('[data-toast] p, main p') ?? page.body).textContent?.trim() ?? '';
    } catch {
      body.textContent = document.body.dataset.offline ?? '';
    }
    filter();
  };
}
