// The live list of cases: rows move by themselves, and the eye finds its row where it was.
//
// Whatever happens comes as an event (an id alone); the list is then asked for anew and swapped,
// with the row under the keyboard, the focus and the place on the screen kept.

import { subscribe } from "./events.js";

const news = document.getElementById("news");
const words = document.getElementById("keys-of-list")?.dataset;
const title = document.title;
const QUIET = 400; // ms without a further event before the list is asked for
const OFTEN = 1500; // ms between two refreshes at the least

const list = () => document.getElementById("worklist");
const rows = () => [...list().querySelectorAll("tr.case")];
const linkOf = (row) => row.querySelector("a.open");
const shownOf = () => document.getElementById("listing")?.dataset ?? {};

// ---- the row under the keyboard --------------------------------------------------------------------------

let current = null; // the id of its case

function choose(row) {
  current = row?.dataset.case ?? null;
  for (const one of rows()) one.classList.toggle("current", one === row);
}

function currentRow() {
  return rows().find((row) => row.dataset.case === current);
}

function move(step) {
  const all = rows();
  const place = all.indexOf(currentRow());
  const row = all[place < 0 ? 0 : Math.min(Math.max(place + step, 0), all.length - 1)];
  if (!row) return;
  choose(row);
  linkOf(row).focus();
  row.scrollIntoView({ block: "nearest" });
}

/** The chosen case, or the first of the list. */
function open() {
  const row = currentRow() ?? rows()[0];
  if (row) linkOf(row).click();
}

// The reading view goes on with the next case of the list that one came from.
document.addEventListener("click", (event) => {
  const { view } = shownOf();
  if (view !== undefined && event.target.closest("a.open")) sessionStorage.setItem("tetkik-view", view);
});

document.addEventListener("focusin", (event) => {
  const row = event.target.closest("tr.case");
  if (row) choose(row);
});

document.addEventListener("keydown", (event) => {
  const first = rows()[0] && linkOf(rows()[0]);
  const field = document.getElementById("words");
  const found = document.getElementById("found-title");
  const to = event.key === "ArrowDown" && event.target === field ? first : event.key === "ArrowUp" && found && event.target === first ? field : null;
  if (!to) return;
  event.preventDefault();
  to.focus();
});

let before = "";

document.addEventListener("keydown", (event) => {
  const second = before === "g"; // "g r" leads to another place
  before = event.key;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || second) return;
  if (event.target.closest("input, textarea, select, [contenteditable], dialog, details[open]")) return;
  if (event.key.length === 1 && document.documentElement.dataset.keys === "off") return;
  const press = (selector) => {
    const button = currentRow()?.querySelector(selector);
    button?.click();
    return Boolean(button);
  };
  const done = {
    j: () => move(1),
    ArrowDown: () => move(1),
    k: () => move(-1),
    ArrowUp: () => move(-1),
    Home: () => current && (choose(rows()[0]), move(0)),
    Enter: () => [document.body, document.getElementById("main")].includes(event.target) && open(),
    a: () => press("[data-assign]"),
    Escape: () => list().querySelector('a[data-shortcut="Escape"]')?.click(),
    c: () => press('[data-claim="claim"], [data-claim="take"]'),
    r: () => press('[data-claim="release"]'),
  }[event.key];
  if (done && done() !== false && event.key !== "Enter") event.preventDefault();
});

document.addEventListener("toggle", ({ target }) => {
  if (target.id === "save-view" && target.open) target.querySelector("#view-name").focus();
}, { capture: true });

// ---- claims ----------------------------------------------------------------------------------------------

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!detail.elt.matches?.("[data-claim]")) return;
  if (detail.xhr.status === 409) say(JSON.parse(detail.xhr.responseText).detail, "warning");
  refresh();
});

// ---- assignments -----------------------------------------------------------------------------------------

const assigning = document.getElementById("assign");
let assigned = ""; // the id of the case that the dialog is about

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-assign]");
  if (!button || !assigning) return;
  const row = button.closest("tr.case");
  assigned = row.dataset.case;
  assigning.querySelector("[data-about]").textContent = row.dataset.number;
  assigning.querySelector("select").value = button.dataset.assign;
  assigning.showModal();
  assigning.querySelector("select").focus();
});

assigning?.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const csrf = document.querySelector('meta[name="csrf-token"]').content;
  const body = JSON.stringify({ assignee_id: assigning.querySelector("select").value || null });
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
  assigning.close();
  try {
    const answer = await fetch(`/api/v1/cases/${assigned}/assignment`, { method: "PUT", headers, body });
    if (!answer.ok) say((await answer.json()).detail, "error");
  } catch {
    say(document.body.dataset.offline, "error");
  }
  refresh();
});

function say(text, kind) {
  document.dispatchEvent(new CustomEvent("toast", { detail: { text, kind } }));
}

// ---- the list anew ---------------------------------------------------------------------------------------

let critical = new Set();
let unseen = 0;
let asked = 0;
let waiting;
let running = false;
let again = false;
let anchor = null;

function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(refresh, Math.max(QUIET, OFTEN - (Date.now() - asked)));
}

async function refresh() {
  clearTimeout(waiting);
  const { rows: address } = shownOf();
  if (!address) return; // what a search found stays as it is
  if (document.querySelector("dialog[open]") || list().querySelector("details[open]")) return soon();
  if (running) {
    again = true;
    return;
  }
  running = true;
  asked = Date.now();
  const shown = Math.min(500, Math.max(50, rows().length));
  try {
    await htmx.ajax("GET", `${address}&shown=${shown}`, { target: "#worklist", swap: "innerHTML" });
  } catch {
    again = false; // known already; the next event asks again
  }
  running = false;
  if (again) {
    again = false;
    soon();
  }
}

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target.id !== "worklist") return;
  const { path } = detail.requestConfig;
  // Somebody chose another filter, or searched, while the list was on its way.
  if (path.startsWith("/worklist/rows") && !path.startsWith(`${shownOf().rows}&shown=`)) detail.shouldSwap = false;
  const seen = currentRow() ?? rows().find((row) => row.getBoundingClientRect().bottom > 0);
  anchor = seen && { id: seen.dataset.case, top: seen.getBoundingClientRect().top };
});

// A search while somebody types may replace the one that Enter asked for: the words that were entered decide.
let entered = null;

document.addEventListener("submit", ({ target }) => {
  const field = target.querySelector("#words");
  if (field) entered = field.value;
}, { capture: true });

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id === "more") return tick();
  if (detail.target.id !== "worklist") return;
  const found = list().querySelector("#found-title");
  if (found) {
    choose(rows()[0]);
    // While somebody types, the field keeps the keyboard.
    if (document.getElementById("words").value === entered) (rows()[0] ? linkOf(rows()[0]) : found).focus();
    news.textContent = found.textContent;
    return tick();
  }
  const row = rows().find((one) => one.dataset.case === anchor?.id);
  choose(currentRow());
  if (row && scrollY > 0) scrollBy(0, row.getBoundingClientRect().top - anchor.top);
  announce();
  tick();
});

function announce() {
  const now = rows().filter((row) => row.dataset.priority === "critical");
  const fresh = now.filter((row) => !critical.has(row.dataset.case));
  for (const row of now) critical.add(row.dataset.case);
  if (!fresh.length) return;
  news.textContent = fresh.map((row) => news.dataset.critical.replace("{number}", row.dataset.number)).join(". ");
  if (document.hidden) unseen += fresh.length;
  document.title = unseen ? `(${unseen}) ${title}` : title;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unseen = 0;
  document.title = title;
});

// ---- how long each waits ---------------------------------------------------------------------------------

function tick() {
  if (!words) return; // a search on a page of its own: the server's words stand
  for (const element of document.querySelectorAll("time[data-waiting]")) {
    const minutes = Math.max(0, Math.floor((Date.now() - new Date(element.dateTime)) / 60000));
    const [d, h, m] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
    const phrase = d ? words.days : h ? words.hours : words.minutes;
    element.textContent = phrase.replace("{d}", d).replace("{h}", h).replace("{m}", m);
  }
}

// ---- what happens --------------------------------------------------------------------------------------

if (shownOf().rows) {
  critical = new Set(rows().filter((row) => row.dataset.priority === "critical").map((row) => row.dataset.case));
  tick();
  setInterval(tick, 20000);
  const state = document.getElementById("live");
  subscribe({
    after: shownOf().seq,
    onEvent: soon,
    live: (stands) => (state.hidden = stands),
    over: () => location.reload(),
  });
}
