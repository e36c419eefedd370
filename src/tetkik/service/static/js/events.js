// What happens in the service, for a page: `subscribe({ after, onEvent, live, over })`.
//
// A browser opens six connections to one server at most, and a stream holds one for as long as it lasts. So
// one page of the browser listens and tells the others; when it goes, the next one takes over from the last
// number that it received. Where the browser has no locks (a server without TLS), each page listens by itself.

const NAME = "tetkik-events";

/**
 * @param after the number of the last event that the page knows of; without one, what happens from now on
 * @param onEvent called with {kind, case_id} for each event; with {} where some may have been missed
 * @param live called with whether the stream stands
 * @param over called when the session is over or locked
 */
export function subscribe({ after = "", onEvent, live = () => {}, over = () => {} }) {
  const others = new BroadcastChannel(NAME);
  let last = after;

  function take({ id, event, state }) {
    if (id) last = id;
    if (state !== undefined) live(state);
    if (event === "end") over();
    else if (event) onEvent(event);
  }

  function pass(message) {
    others.postMessage(message);
    take(message);
  }

  function listen(release) {
    const source = new EventSource(`/api/v1/events${/^\d+$/.test(last) ? `?after=${last}` : ""}`);
    // The next page that is there may listen, or one that comes once somebody has signed in again.
    const finish = () => {
      source.close();
      pass({ event: "end" });
      release();
    };
    source.onopen = () => pass({ state: true });
    source.onmessage = ({ lastEventId: id, data }) => pass({ id, event: JSON.parse(data) });
    source.addEventListener("missed", ({ lastEventId: id }) => pass({ id, event: {} }));
    source.addEventListener("end", finish);
    source.onerror = () => {
      pass({ state: false });
      // The browser connects again by itself but after a refusal: then somebody has to sign in, or to wait.
      if (source.readyState === EventSource.CLOSED) setTimeout(finish, 15000);
    };
    addEventListener("pagehide", () => {
      source.close();
      release();
    });
  }

  others.onmessage = ({ data }) => take(data);
  if (navigator.locks) {
    navigator.locks.request(NAME, () => new Promise(listen));
    onEvent({}); // what another page received before this one was there
  } else {
    listen(() => {});
  }
  addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
}
