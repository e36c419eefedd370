// Upload: files and folders are dropped or chosen, two at a time go up, and each tells what becomes of it.
//
// A request carries one file and one Idempotency-Key for as long as that file is tried, so that a broken line
// and a second attempt never double it.

const drop = document.getElementById("drop");
const list = document.getElementById("list");
const words = document.getElementById("words").dataset;
const csrf = document.querySelector('meta[name="csrf-token"]').content;
const AT_ONCE = 2;
const LOOK = 1000;

const waiting = [];
const rows = [];
let sending = 0;

// ---- where files come from -------------------------------------------------------------------------------

for (const [button, input] of [["choose-files", "files"], ["choose-folder", "folder"]]) {
  const field = document.getElementById(input);
  document.getElementById(button).addEventListener("click", () => field.click());
  field.addEventListener("change", () => {
    add([...field.files]);
    field.value = "";
  });
}

let depth = 0;
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    depth += kind === "dragenter" ? 1 : kind === "dragleave" ? -1 : 0;
    if (kind === "drop") depth = 0;
    drop.classList.toggle("over", depth > 0);
  });
}

document.addEventListener("drop", async (event) => {
  // The entries must be taken before the event is over; the list of it is empty after that.
  const entries = [...(event.dataTransfer?.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = entries.length ? (await Promise.all(entries.map(within))).flat() : [...event.dataTransfer.files];
  add(files);
});

async function within(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject)).catch(() => null)].filter(Boolean);
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => []);
    if (!some.length) break; // it hands out a hundred at a time
    found.push(...(await Promise.all(some.map(within))).flat());
  }
  return found;
}

// ---- the list --------------------------------------------------------------------------------------------

function add(files) {
  const real = files.filter((file) => !file.name.startsWith("."));
  if (!real.length) {
    document.dispatchEvent(new CustomEvent("toast", { detail: { text: words.empty, kind: "warning" } }));
    return;
  }
  document.getElementById("uploads").hidden = false;
  for (const file of real) {
    const element = document.getElementById("file").content.firstElementChild.cloneNode(true);
    const row = { file, element, key: fresh(), sure: false, image: null, over: false };
    element.querySelector(".name").textContent = file.name;
    element.querySelector(".again").addEventListener("click", () => enqueue(row));
    element.querySelector(".sure").addEventListener("click", () => {
      row.sure = true;
      row.key = fresh();
      enqueue(row);
    });
    element.querySelector(".leave").addEventListener("click", () => {
      show(row, "left", "", "left");
      row.over = true;
    });
    list.append(element);
    rows.push(row);
    enqueue(row);
  }
}

function fresh() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function enqueue(row) {
  show(row, "waits", "", "");
  row.element.querySelector(".again").hidden = true;
  row.element.querySelector(".other").hidden = true;
  waiting.push(row);
  next();
}

const KINDS = { done: "green", kept: "accent", reading: "accent", failed: "red", asks: "amber", refused: "amber", unread: "amber" };

function show(row, state, said = "", shape = "") {
  const badge = row.element.querySelector(".state");
  badge.textContent = words[state];
  badge.className = `state badge ${KINDS[state] ?? ""}`;
  row.element.className = `file ${shape}`;
  row.element.querySelector(".said").textContent = said;
  const kept = rows.filter((one) => one.image).length;
  document.getElementById("tally").textContent = words.tally.replace("{done}", kept).replace("{all}", rows.length);
}

// ---- one file --------------------------------------------------------------------------------------------

function next() {
  while (sending < AT_ONCE && waiting.length) {
    sending += 1;
    send(waiting.shift()).finally(() => {
      sending -= 1;
      next();
    });
  }
}

async function send(row) {
  const query = new URLSearchParams();
  if (drop.dataset.case) query.set("case_id", drop.dataset.case);
  if (row.sure) query.set("sure", "true");
  let answer;
  try {
    answer = await post(row, `/api/v1/images?${query}`);
  } catch {
    failed(row, words.offline, true);
    return;
  }
  if (answer.status === 401) location.reload();
  else if (answer.status === 201) kept(row, answer.body);
  else if (answer.status === 409 && answer.body.title === "OtherPatient") asks(row, answer.body);
  else failed(row, answer.body.detail ?? words.broken, answer.status === 429 || answer.status >= 500);
}

function post(row, address) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much has gone
    const bar = row.element.querySelector("progress");
    request.open("POST", address);
    request.setRequestHeader("X-CSRF-Token", csrf);
    request.setRequestHeader("Idempotency-Key", row.key);
    request.setRequestHeader("X-File-Name", encodeURIComponent(row.file.name));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", ({ loaded, total }) => (bar.value = loaded / total));
    request.upload.addEventListener("load", () => {
      bar.removeAttribute("value");
      show(row, "checking");
    });
    request.addEventListener("error", reject);
    request.addEventListener("load", () => {
      let body = {};
      try {
        body = JSON.parse(request.responseText);
      } catch {
        // a proxy's own page
      }
      resolve({ status: request.status, body });
    });
    bar.value = 0;
    show(row, "sending");
    request.send(row.file);
  });
}

function failed(row, sentence, again) {
  row.element.querySelector(".again").hidden = !again;
  show(row, "failed", sentence, "failed");
}

function asks(row, problem) {
  const body = row.element.querySelector(".other tbody");
  body.replaceChildren(
    ...problem.errors.map((difference) => {
      const line = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = { name: words.name, number: words.number, birth_date: words.birthDate }[difference.trait];
      const cells = [difference.file, difference.record].map((text) => {
        const cell = document.createElement("td");
        cell.textContent = difference.trait === "birth_date" ? text.replace(/^(\d{4})(\d\d)(\d\d)$/, "$3.$2.$1") : text;
        return cell;
      });
      line.append(head, ...cells);
      return line;
    }),
  );
  row.element.querySelector(".other").hidden = false;
  show(row, "asks", problem.detail, "done");
}

function kept(row, body) {
  row.image = body.image.id;
  const picture = document.createElement("img");
  picture.src = `/api/v1/images/${row.image}/preview`;
  picture.alt = "";
  row.element.querySelector(".thumb").replaceChildren(picture);
  const link = row.element.querySelector(".open");
  link.href = `${drop.dataset.read}${body.image.case_id}`;
  link.querySelector(".case-number").textContent = ` ${body.case_number}`;
  link.hidden = false;
  const into = words.into.replace("{number}", body.case_number);
  row.said = !body.fresh ? words.known : body.case_opened ? `${words.opened} ${into}` : into;
  follow(row, body.image);
}

// ---- what the model makes of it --------------------------------------------------------------------------

function follow(row, image) {
  const state = image.work?.state;
  row.over = !state || state === "done" || state === "failed";
  if (state === "done" && image.run?.state === "refused") refused(row);
  else if (state === "done") show(row, "done", row.said, "done");
  else if (state === "failed") show(row, "unread", image.work.fault ?? "", "done");
  else show(row, state === "running" ? "reading" : "kept", row.said, "done");
}

async function refused(row) {
  show(row, "refused", row.said, "done");
  const answer = await fetch(`/api/v1/images/${row.image}/findings`).catch(() => null);
  if (answer?.ok) show(row, "refused", (await answer.json()).result.reasons.join(" "), "done");
}

setInterval(async () => {
  for (const row of rows.filter((one) => one.image && !one.over)) {
    const answer = await fetch(`/api/v1/images/${row.image}`).catch(() => null);
    if (answer?.status === 401) location.reload();
    if (answer?.ok) follow(row, await answer.json());
  }
}, LOOK);

addEventListener("beforeunload", (event) => {
  if (sending || waiting.length) event.preventDefault();
});
