// The demonstration alone: the tour through the pages, and its password where one is asked for.
// The words of each step stand in demonstration/tour.html.jinja; here stands where and for whom it is.

const STEPS = [
  { role: "reception", path: /^\/reception/, go: "/reception", at: "#complaint" },
  { role: "reception", path: /^\/reception/, go: "/reception", at: "#answer" },
  { role: "technician", path: /^\/upload/, go: "/upload", at: "main" },
  { role: "radiologist", path: /^\/worklist/, go: "/worklist", at: ".table.cases" },
  { role: "radiologist", path: /^\/read\//, go: "/demo/read", at: "[data-viewer]" },
  { role: "radiologist", path: /^\/read\//, go: "/demo/read", at: "#side-findings" },
  { role: "radiologist", path: /^\/read\//, go: "/demo/read", at: "#side-draft" },
  { role: "radiologist", path: /^\/read\//, go: "/demo/read", at: "[data-sign]" },
];
const KEY = "tetkik-tour"; // the number of the step, from 0; "done" once it was ended
const tour = document.getElementById("tour");
const me = tour.dataset.me;
const words = [...tour.querySelectorAll("[data-step]")];
const part = (name) => tour.querySelector(`[data-tour-${name}]`);
const next = part("next").textContent;

function here(number) {
  const step = STEPS[number];
  return step !== undefined && step.role === me && step.path.test(location.pathname);
}

function show(number) {
  document.querySelector(".tour-target")?.classList.remove("tour-target");
  localStorage.setItem(KEY, number in STEPS ? String(number) : "done");
  tour.hidden = !(number in STEPS);
  if (tour.hidden) return;
  const { role, go, at } = STEPS[number];
  words.forEach((one, place) => { one.hidden = place !== number; });
  tour.querySelector("[data-place]").textContent = tour.dataset.count.replace("{n}", number + 1).replace("{all}", STEPS.length);
  const form = tour.querySelector("form");
  form.elements.login.value = role;
  form.elements.next.value = go;
  part("back").hidden = number === 0;
  part("next").hidden = !here(number);
  part("next").textContent = number + 1 in STEPS ? next : part("next").dataset.last;
  part("go").hidden = here(number);
  if (!here(number)) return;
  const target = document.querySelector(at);
  // On a phone the findings and the report are tabs.
  const tab = document.querySelector(`[role=tab][aria-controls="${target?.closest(".side")?.id}"]`);
  if (tab?.offsetParent) tab.click();
  target?.classList.add("tour-target");
  target?.scrollIntoView({ block: "nearest" });
  place(target);
}

// Where it covers least of what it talks about and of what can be pressed.
function place(target) {
  const spots = ["bottom-left", "bottom-right", "top-right", "top-left", "middle-left", "middle-right", "bottom-middle", "middle-middle"];
  const covered = (spot) => {
    tour.dataset.spot = spot;
    const box = tour.getBoundingClientRect();
    const over = ({ left, right, top, bottom }) =>
      Math.max(0, Math.min(box.right, right) - Math.max(box.left, left)) * Math.max(0, Math.min(box.bottom, bottom) - Math.max(box.top, top));
    const controls = [...document.querySelectorAll("button, a, input, textarea, select, summary")].filter((one) => !tour.contains(one) && one.checkVisibility());
    const own = controls.filter((one) => target?.contains(one)).reduce((sum, one) => sum + over(one.getBoundingClientRect()), 0);
    const others = controls.reduce((sum, one) => sum + over(one.getBoundingClientRect()), 0);
    return 20 * own + others + (target ? over(target.getBoundingClientRect()) / 20 : 0);
  };
  const costs = spots.map(covered);
  tour.dataset.spot = spots[costs.indexOf(Math.min(...costs))];
}
addEventListener("resize", () => tour.hidden || place(document.querySelector(".tour-target")));

function current() {
  const known = localStorage.getItem(KEY);
  return known === null || known === "done" ? NaN : Number(known);
}

function move(number) {
  show(number);
  if (number in STEPS && !here(number)) {
    const { role, go } = STEPS[number];
    if (role === me) location.assign(go);
    else tour.querySelector("form").requestSubmit();
    return;
  }
  (tour.hidden ? document.querySelector("[data-tour-start]") : words[number].querySelector("h2")).focus();
}

document.querySelector("[data-tour-start]").addEventListener("click", () => move(0));
part("next").addEventListener("click", () => move(current() + 1));
part("back").addEventListener("click", () => move(current() - 1));
part("close").addEventListener("click", () => move(STEPS.length));
tour.addEventListener("keydown", (event) => {
  if (event.key === "Escape") move(STEPS.length);
});

// Whoever does what a step says arrives at the next one by themselves.
const began = current();
if (began in STEPS) {
  const step = !here(began) && here(began + 1) ? began + 1 : began;
  show(step);
  addEventListener("load", () => current() === step && show(step)); // the tabs of a phone answer from then on
}

const password = document.querySelector("[data-demo-password]").textContent;
function fill() {
  for (const field of document.querySelectorAll("input[type=password][autocomplete=current-password]")) {
    if (!field.value && !field.dataset.filled) {
      field.value = password;
      field.dataset.filled = "true";
    }
  }
}
fill();
new MutationObserver(fill).observe(document.body, { childList: true, subtree: true });
// A form that was sent and refused is emptied: the next time it is opened the password stands there again.
document.addEventListener("click", () => setTimeout(() => {
  for (const field of document.querySelectorAll("dialog[open] input[data-filled]")) field.value ||= password;
}));
