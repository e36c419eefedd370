// Another urgency than that of triage, by keys: the level, then the reason, then, where a red is lowered, the
// confirmation. On the desk it closes then and the hand is back where it was; on the case it goes to the button.

const box = document.getElementById("urgency-choice");

if (box) {
  const summary = box.querySelector("summary");
  const levels = [...box.querySelectorAll('[name="urgency"]')];
  const reasons = [...box.querySelectorAll('[name="urgency_reason"]')];
  const sure = box.querySelector('[name="urgency_sure"]');
  const send = box.querySelector("[type=submit]");
  const chosen = () => levels.find((one) => one.checked);
  let before;

  function update() {
    const level = chosen().value;
    const lowered = box.dataset.held === "kirmizi" && (level || box.dataset.found) !== "kirmizi";
    sure.closest("label").hidden = !lowered;
    if (!lowered) sure.checked = false;
    sure.required = lowered;
    for (const one of reasons) one.required = level !== "";
  }

  function leave() {
    box.open = false;
    (before?.isConnected ? before : summary).focus();
  }

  function done() {
    if (!sure.closest("label").hidden && !sure.checked) sure.focus();
    else if (send) send.focus();
    else leave();
  }

  function goOn(input) {
    if (levels.includes(input) && input.value !== "") (reasons.find((one) => one.checked) || reasons[0]).focus();
    else done();
  }

  // At once, not by the event "toggle": the next key comes before that.
  summary.addEventListener("click", (event) => {
    event.preventDefault();
    if (box.open) return leave();
    before = document.activeElement === document.body ? null : document.activeElement;
    box.open = true;
    chosen().focus();
  });
  box.addEventListener("change", update);
  // A closed choice that is not complete opens, so that the browser can point at what is missing.
  box.addEventListener("invalid", () => (box.open = true), true);
  box.addEventListener("keydown", (event) => {
    if (!box.open || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return leave();
    const input = box.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    const confirmed = event.target === sure && event.key === "Enter";
    if (!confirmed && !input?.checkVisibility()) return;
    event.preventDefault();
    event.stopPropagation();
    if (confirmed && !sure.checked) sure.click();
    input?.click();
    goOn(input);
  });
  // The answer to what is typed at the desk: what triage says holds until a person says otherwise.
  document.body.addEventListener("urgency", ({ detail }) => {
    box.dataset.found = box.dataset.held = detail.level || "";
    sure.checked = false; // it was said of another text
    update();
  });
  update();
}
