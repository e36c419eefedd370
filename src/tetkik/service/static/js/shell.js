// What every page shares: the CSRF header, messages, dialogs, shortcuts, the screen lock, fresh times.
//
// Declared in the markup, so that pages need no code of their own for it:
//   data-shortcut="g w"     these keys, one after the other, click the element, or focus it if it is a field
//   data-shortcut-label="…" what the keyboard's help calls it; otherwise its own words
//   data-dialog="id"        opens <dialog id>; data-close within closes it
//   data-confirm="…"        a form asks this first; hx-confirm does the same for htmx
//   data-copy="…"           copies this text, or with data-copy-of="selector" the words of that element
//   data-back               goes back one page;  data-print  prints
//   data-post="/address"    a link sends a POST there instead, such as one that claims the case it opens
// A message from a script or a response: the event "toast" {text, kind: ok|warning|error}, which the server
// can send as the header HX-Trigger: {"toast": {"text": "…", "kind": "ok"}}.

const body = document.body;
const csrf = () => document.querySelector('meta[name="csrf-token"]').content;

// ---- requests of htmx ------------------------------------------------------------------------------------

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRF-Token"] = csrf();
});

document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  if (xhr.status === 401) location.reload(); // the session ended: the server shows sign-in and returns here
  else toast(sentenceOf(xhr) || body.dataset.failed, "error");
});

document.addEventListener("htmx:sendError", () => toast(body.dataset.offline, "error"));

function sentenceOf(xhr) {
  const kind = xhr.getResponseHeader("Content-Type") || "";
  if (kind.includes("json")) {
    try {
      return JSON.parse(xhr.responseText).detail;
    } catch {
      return "";
    }
  }
  const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
  return page.querySelector("[data-sentence]")?.textContent.trim();
}

// ---- messages --------------------------------------------------------------------------------------------

function toast(text, kind = "ok") {
  const element = document.getElementById("toast").content.firstElementChild.cloneNode(true);
  element.classList.add(kind);
  element.querySelector("p").textContent = text;
  document.getElementById("toasts").append(element);
}

document.addEventListener("toast", ({ detail }) => toast(detail.text ?? detail.value, detail.kind));

// What the page before this one had to say.
const told = sessionStorage.getItem("tetkik-notice");
sessionStorage.removeItem("tetkik-notice");

new MutationObserver((changes) => {
  for (const element of changes.flatMap((change) => [...change.addedNodes])) {
    // A fault stays until it is put away; the rest has been read by then.
    if (element.classList && !element.classList.contains("error")) setTimeout(() => element.remove(), 7000);
  }
}).observe(document.getElementById("toasts"), { childList: true });
if (told) toast(told);

// ---- dialogs, menus, small buttons -----------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const on = (selector) => event.target.closest(selector);
  if (on("[data-dialog]")) openDialog(on("[data-dialog]").dataset.dialog);
  if (on("[data-close]")) on("dialog").close();
  if (on("[data-close-toast]")) on("[data-toast]").remove();
  if (on("[data-copy], [data-copy-of]")) copy(on("[data-copy], [data-copy-of]"));
  if (on("[data-back]")) history.back();
  if (on("[data-print]")) window.print();
  if (on("[data-reveal]")) reveal(on("[data-reveal]"));
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-post]");
  // In another tab or window a case is looked at, not read.
  if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const form = Object.assign(document.createElement("form"), { method: "post", action: link.dataset.post, hidden: true });
  form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "csrf", value: csrf() }));
  body.append(form);
  form.submit();
});

document.addEventListener("click", (event) => {
  // A click on the backdrop is a click on the dialog itself.
  if (event.target.matches("dialog:not([data-stays])") && !within(event, event.target)) event.target.close();
});

function within({ clientX: x, clientY: y }, element) {
  const box = element.getBoundingClientRect();
  return (x === 0 && y === 0) || (x >= box.left && x <= box.right && y >= box.top && y <= box.bottom);
}

function reveal(button) {
  const field = document.getElementById(button.dataset.reveal);
  const shown = field.type === "password";
  field.type = shown ? "text" : "password";
  button.setAttribute("aria-pressed", String(shown));
}

async function copy({ dataset: { copy: given, copyOf: selector } }) {
  const text = given ?? [...document.querySelectorAll(selector)].map((one) => one.innerText.trim()).join("\n\n");
  const done = navigator.clipboard ? await navigator.clipboard.writeText(text).then(() => true, () => false) : copyMarked(text);
  toast(done ? body.dataset.copied : body.dataset.notCopied, done ? "ok" : "error");
}

// Without TLS a browser has no clipboard but for what is marked.
function copyMarked(text) {
  const area = Object.assign(document.createElement("textarea"), { value: text, className: "sr-only" });
  body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

function openDialog(id) {
  if (id === "keys") describeKeys();
  document.getElementById(id).showModal();
}

async function confirmed(question) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("[data-question]").textContent = question;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return dialog.returnValue === "yes";
}

document.addEventListener("submit", async (event) => {
  const question = event.submitter?.dataset.confirm || event.target.dataset.confirm;
  if (!question || event.target.dataset.confirmed) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (await confirmed(question)) {
    event.target.dataset.confirmed = "true";
    event.target.requestSubmit(event.submitter);
    delete event.target.dataset.confirmed;
  }
}, { capture: true });

document.addEventListener("htmx:confirm", async (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  if (await confirmed(event.detail.question)) event.detail.issueRequest(true);
});

// A row of a table opens what its heading links to, but where something else is clicked or text is selected.
document.addEventListener("click", (event) => {
  const apart = event.ctrlKey || event.metaKey || event.shiftKey || String(getSelection());
  if (apart || event.target.closest("a, button, input, select, textarea, label, summary, dialog")) return;
  event.target.closest(".table tr")?.querySelector(":scope > th a[href]")?.click();
});

// ---- shortcuts -------------------------------------------------------------------------------------------

// Letters alone can be switched off (WCAG 2.2, 2.1.4): who speaks to the computer presses them unawares.
const root = document.documentElement;
const letters = document.querySelector("[data-letters]");
root.dataset.keys = localStorage.getItem("tetkik-keys") || "on";
letters.checked = root.dataset.keys === "on";
letters.addEventListener("change", () => {
  root.dataset.keys = letters.checked ? "on" : "off";
  localStorage.setItem("tetkik-keys", root.dataset.keys);
});

let typed = [];
let forget;

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
  const writing = event.target.closest("input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable]");
  if (writing || event.ctrlKey || event.metaKey || event.altKey || event.key.length > 1) return;
  if (root.dataset.keys === "off" || document.querySelector("dialog[open]")) return;
  clearTimeout(forget);
  forget = setTimeout(() => (typed = []), 1200);
  typed = [...typed, event.key.toLowerCase()].slice(-2);
  const element = shortcut(typed.join(" ")) || shortcut(typed.at(-1)) || (event.key === "/" && shortcut("g f"));
  if (!element) return;
  event.preventDefault();
  typed = [];
  if (element.matches("input, textarea, select")) element.focus();
  else element.click();
});

function shortcut(keys) {
  const found = [...document.querySelectorAll(`[data-shortcut="${CSS.escape(keys)}"]`)];
  return found.find((element) => !element.disabled && element.checkVisibility());
}

function describeKeys() {
  const list = document.querySelector("#keys .keys");
  list.replaceChildren();
  const written = [...document.querySelectorAll("[aria-keyshortcuts]:not([data-shortcut], [hidden])")];
  for (const element of [...written, ...document.querySelectorAll("[data-shortcut]")]) {
    const name = document.createElement("dt");
    name.textContent =
      element.dataset.shortcutLabel || element.getAttribute("aria-label") || element.textContent.trim();
    const keys = document.createElement("dd");
    for (const key of (element.dataset.shortcut ?? element.getAttribute("aria-keyshortcuts").replace("+", " ")).split(" ")) {
      const shown = document.createElement("kbd");
      shown.textContent = key;
      keys.append(shown, " ");
    }
    list.append(name, keys);
  }
}

// ---- the screen lock -------------------------------------------------------------------------------------

const minutes = Number(body.dataset.lockMinutes);

if (minutes) {
  const KEY = "tetkik-active"; // shared by the tabs of a browser; holds a time and nothing else
  const active = () => localStorage.setItem(KEY, String(Date.now()));
  const form = document.querySelector('form[action="/lock"]');
  let warned = false;
  let last = 0;
  for (const name of ["pointerdown", "pointermove", "keydown", "wheel"]) {
    document.addEventListener(name, () => {
      if (Date.now() - last < 5000) return;
      last = Date.now();
      warned = false;
      active();
    }, { passive: true });
  }
  active();
  // Another tab was locked or signed out, or this page comes back from the browser's memory: ask the server.
  addEventListener("storage", ({ key }) => key === "tetkik-left" && location.reload());
  addEventListener("pagehide", () => (root.hidden = true)); // until it has been asked, nothing is seen
  addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
  setInterval(() => {
    const idle = (Date.now() - Number(localStorage.getItem(KEY))) / 60000;
    if (idle >= minutes || idle < -1) form.requestSubmit(); // the clock was set back
    else if (idle >= minutes - 1 && minutes > 1 && !warned) {
      warned = true;
      toast(body.dataset.locking, "warning");
    }
  }, 5000);
}

// ---- times: "5 min ago" goes on --------------------------------------------------------------------------

const LENGTHS = [86400, 3600, 60];
const spoken = body.dataset.ago.split("|");

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-ago]")) {
    const seconds = (Date.now() - new Date(element.dateTime)) / 1000;
    const step = LENGTHS.findIndex((length) => seconds >= length);
    if (step >= 0) element.textContent = spoken[step].replace("{n}", Math.floor(seconds / LENGTHS[step]));
  }
}, 30000);

// ---- phones ----------------------------------------------------------------------------------------------

if (navigator.maxTouchPoints || document.querySelector("[data-take]")) import(body.dataset.phone);
