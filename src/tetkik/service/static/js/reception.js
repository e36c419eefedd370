// The desk: marks under the text as it is typed, the department with one key, the patient, all by keyboard.
// F2 accepts the first department, F4 goes to the list, F6 to another urgency, F8 to the search for a patient, F9 opens the case;
// Enter goes from field to field, and never opens a case by accident.

import { isTckn } from './tckn.js';
import "./urgency.js";

const form = document.getElementById("desk");
const area = document.getElementById("complaint");
const mirror = document.getElementById("mirror");
const department = document.getElementById("department");
const words = document.getElementById("words");
const matches = document.getElementById("matches");
const chosen = document.getElementById("chosen");
const unknown = document.getElementById("unknown");
const tckn = document.getElementById("tckn");
const phone = document.getElementById("phone");
const open = document.getElementById("open");

// ---- the complaint ---------------------------------------------------------------------------------------

// The marks lie under the field. Until the next answer comes they stay as far as the text is still the same.
function keepMarks() {
  const text = area.value;
  let place = 0;
  const nodes = document.createTreeWalker(mirror, NodeFilter.SHOW_TEXT);
  const known = [];
  while (nodes.nextNode()) known.push(nodes.currentNode);
  for (const node of known) {
    const here = text.slice(place, place + node.data.length);
    let same = 0;
    while (same < here.length && here[same] === node.data[same]) same += 1;
    place += same;
    if (same < node.data.length) {
      node.data = node.data.slice(0, same);
      for (const later of known.slice(known.indexOf(node) + 1)) later.data = "";
      break;
    }
  }
  mirror.append(text.slice(place));
  follow();
}

function follow() {
  mirror.scrollTop = area.scrollTop;
}

// As if it had been typed, so that Ctrl+Z takes it back.
function add(sentence) {
  area.focus();
  area.setSelectionRange(area.value.length, area.value.length);
  const before = area.value.trimEnd();
  const gap = before === "" || area.value !== before ? "" : /[.!?…]$/.test(before) ? " " : ". ";
  document.execCommand("insertText", false, gap + sentence);
}

function deny(question) {
  form.elements.asked.value = [form.elements.asked.value, question].filter(Boolean).join(",");
  area.focus();
  area.dispatchEvent(new Event("answered"));
}

function choose(name) {
  department.value = name;
  showChoice();
}

function showChoice() {
  for (const button of document.querySelectorAll("[data-department]")) {
    button.setAttribute("aria-pressed", String(button.dataset.department === department.value));
  }
}

if (area) {
  area.addEventListener("input", () => {
    if (area.value.trim() === "") form.elements.asked.value = "";
    keepMarks();
  });
  area.addEventListener("scroll", follow);
  new ResizeObserver(follow).observe(area);
  document.body.addEventListener("htmx:oobAfterSwap", keepMarks);
  document.body.addEventListener("htmx:afterSettle", showChoice);
  document.getElementById("answer").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.add) add(button.dataset.add);
    if (button.dataset.deny) deny(button.dataset.deny);
    if (button.dataset.department) choose(button.dataset.department);
  });
  department.addEventListener("change", showChoice);
  showChoice();
}

// ---- the patient -----------------------------------------------------------------------------------------

function pick(button) {
  form.elements.patient_id.value = button.dataset.patient;
  const [name, line] = chosen.querySelectorAll("b, span");
  name.textContent = button.querySelector("b").textContent;
  line.textContent = button.querySelector("span").textContent;
  showPatient();
  document.getElementById("question").focus();
}

function showPatient() {
  const known = form.elements.patient_id.value !== "";
  chosen.hidden = !known;
  document.getElementById("search-part").hidden = known || unknown.checked;
  document.getElementById("new-patient").hidden = known;
  unknown.closest("label").hidden = known;
  for (const name of ["name", "tckn", "number", "birth_date", "phone"]) {
    form.elements[name].closest(".field").hidden = unknown.checked;
  }
}

function checkNumber(field, right) {
  const digits = field.value.replace(/[\s()./-]/g, "");
  const wrong = digits !== "" && !right(digits);
  let fault = document.getElementById(`${field.id}-error`);
  if (wrong && !fault) {
    fault = document.createElement("span");
    fault.id = `${field.id}-error`;
    fault.className = "error";
    fault.setAttribute("role", "alert");
    fault.textContent = field.dataset.wrong;
    field.after(fault);
    field.setAttribute("aria-describedby", fault.id);
    field.setAttribute("aria-invalid", "true");
  } else if (!wrong && fault) {
    fault.remove();
    field.removeAttribute("aria-describedby");
    field.removeAttribute("aria-invalid");
  }
}

// Of Turkey (mobile 5, landline 2 to 4), or with + and the country.
const isPhone = (digits) => /^(\+90|0090|90|0)?[2-5]\d{9}$|^\+(?!90)[1-9]\d{6,14}$/.test(digits);

matches.addEventListener("click", (event) => {
  const button = event.target.closest("[data-patient]");
  if (button) pick(button);
});

matches.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const buttons = [...matches.querySelectorAll("[data-patient]")];
  const next = buttons.indexOf(document.activeElement) + step;
  (buttons[next] || (next < 0 ? words : buttons.at(-1))).focus();
});

words.addEventListener("keydown", (event) => {
  const first = matches.querySelector("[data-patient]");
  if (event.key === "ArrowDown" && first) {
    event.preventDefault();
    first.focus();
  }
});

document.getElementById("another").addEventListener("click", () => {
  form.elements.patient_id.value = "";
  showPatient();
  words.focus();
});

unknown.addEventListener("change", showPatient);
tckn.addEventListener("change", () => checkNumber(tckn, isTckn));
phone.addEventListener("change", () => checkNumber(phone, isPhone));

// ---- the keyboard ----------------------------------------------------------------------------------------

const FIELDS = "input:not([type=hidden]), select, textarea, button[type=submit]";

function next(field) {
  const fields = [...form.querySelectorAll(FIELDS)].filter((one) => one.checkVisibility() && !one.disabled);
  fields[fields.indexOf(field) + 1]?.focus();
}

form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing) return;
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    form.requestSubmit(open);
  } else if (event.target.matches("input, select")) {
    event.preventDefault();
    const first = matches.querySelector("[data-patient]");
    if (event.target === words && first) first.focus();
    else next(event.target);
  }
});

document.addEventListener("keydown", (event) => {
  if (!/^F[0-9]+$/.test(event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
  if (document.querySelector("dialog[open]")) return;
  const element = document.querySelector(`[data-shortcut="${event.key}"]`);
  if (!element) return;
  event.preventDefault();
  if (event.key === "F8" && !words.checkVisibility()) unknown.checked ? unknown.focus() : document.getElementById("another").focus();
  else if (element.matches("input, select, textarea")) element.focus();
  else element.click();
  // The department is chosen: on to the patient.
  if (element.dataset.department) (words.checkVisibility() ? words : document.getElementById("question")).focus();
});

form.addEventListener("submit", () => {
  // After the browser has taken the form: a second Enter sends nothing more.
  setTimeout(() => (open.disabled = true));
});
// A page that the browser kept belongs to a case that is open already: a fresh one begins.
window.addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload();
});

// ---- a page that came back with a fault --------------------------------------------------------------------

const before = form.elements.patient_id.value;
form.elements.patient_id.value = "";
const again = before && matches.querySelector(`[data-patient="${CSS.escape(before)}"]`);
if (again) pick(again);
else showPatient();
if (mirror) keepMarks();
