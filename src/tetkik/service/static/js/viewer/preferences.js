/** What a person prefers of the reading view, kept in this browser. */

const PLACE = 'tetkik-viewer';

/**
 * @typedef {object} Preferences
 * @property {'protocol' | '1x1'} [hang] how a case opens
 * @property {string[]} [closed] panels that are put away: `findings`, `report`, `series`, `tools`
 * @property {string[]} [folded] parts of a panel that are folded away
 * @property {number} [rate] images a second of the cine
 */

/** @returns {Preferences} */
export function preferences() {
  try {
    return JSON.parse(localStorage.getItem(PLACE) ?? '{}');
  } catch {
    return {};
  }
}

/** @param {Preferences} some */
export function remember(some) {
  localStorage.setItem(PLACE, JSON.stringify({ ...preferences(), ...some }));
}
