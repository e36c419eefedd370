// Lists that keep themselves up to date: <div data-live-list="/address" data-seq="7">. Whatever happens comes as
// an event (an id alone); the address is then asked anew and its answer takes the place of what is in the element.

import { subscribe } from "./events.js";

const QUIET = 400; // ms without a further event before the list is asked for
const OFTEN = 1500; // ms between two requests at the least

for (const list of document.querySelectorAll("[data-live-list]")) {
  const { liveList: address, seq: after, case: caseId } = list.dataset;
  let waiting;
  let asked = 0;
  const refresh = () => {
    asked = Date.now();
    htmx.ajax("GET", address, { target: list, swap: "innerHTML" }).catch(() => {});
  };
  subscribe({
    after,
    onEvent: (event) => {
      if (caseId && event.case_id && event.case_id !== caseId) return;
      clearTimeout(waiting);
      waiting = setTimeout(refresh, Math.max(QUIET, OFTEN - (Date.now() - asked)));
    },
    over: () => location.reload(),
  });
}
