/**
 * A second window with the image alone, for a second monitor. Both tell each other on a channel of this browser:
 * which case is open, which heatmap and which measurements are shown, and what was measured over there.
 */

const FOLLOWS = 'tetkik-follows'; // in the session of one window: it came here because the other one did

/**
 * @param {HTMLElement} room
 * @param {HTMLElement} viewer
 * @param {import('./measurements.js').Measurements} measurements
 */
export function keepInStep(room, viewer, measurements) {
  const channel = new BroadcastChannel('tetkik-reading');
  const only = 'only' in room.dataset;
  const { case: caseId = '' } = room.dataset;
  /** @param {string} what @param {any} [detail] */
  const tell = (what, detail) => channel.postMessage({ what, only, case: caseId, detail });

  /** @type {Record<string, (detail: any) => void>} */
  const heard = {
    opened: () => {
      if (only) return;
      measurements.show(); // the other window begins without any
      if (heat) tell('heat', heat);
    },
    heat: (detail) => viewer.dispatchEvent(new CustomEvent('heat', { detail })),
    measurements: (detail) => viewer.dispatchEvent(new CustomEvent('measurements', { detail })),
    measured: ({ mark, how }) => {
      const own = measurements.known.get(mark.id) ?? mark;
      if (own !== mark) Object.assign(own, mark);
      viewer.dispatchEvent(new CustomEvent('measured', { detail: { mark: own, how } }));
    },
  };
  /** @type {object | null} the heatmap that is shown */
  let heat = null;

  for (const what of only ? ['measured'] : ['heat', 'measurements']) {
    viewer.addEventListener(what, (event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      if (what === 'heat') heat = detail;
      tell(what, detail);
    });
  }
  channel.addEventListener('message', ({ data }) => {
    if (data.only === only) return;
    if (data.case === caseId) heard[data.what]?.(data.detail);
    else if (data.what === 'opened') {
      sessionStorage.setItem(FOLLOWS, data.case);
      location.assign(`/read/${data.case}${only ? '?view=only' : ''}`);
    }
  });
  room.addEventListener('click', (event) => {
    if (!(/** @type {HTMLElement} */ (event.target).closest('[data-do="second"]'))) return;
    window.open(`/read/${caseId}?view=only`, 'tetkik-second', 'popup');
  });
  // Who followed does not lead: the other one may be further on already.
  if (sessionStorage.getItem(FOLLOWS) !== caseId) tell('opened');
  else if (only) tell('arrived');
  heard.arrived = heard.opened;
  sessionStorage.removeItem(FOLLOWS);
}
