// Passkeys: signing in, opening the locked screen, adding one, and the proof before a signature.
//
//   data-passkey="sign-in"|"unlock"   a button; it appears where the browser knows passkeys; data-next leads on
//   data-passkey="add"                a form with the fields name and password; data-next leads on
//   [data-passkey-fault]              where a fault is said
// A dialog that signs imports `proof` and sends what it gives as `assertion`.

const headers = () => ({
  "Content-Type": "application/json",
  "X-CSRF-Token": document.querySelector('meta[name="csrf-token"]').content,
});

export const known = Boolean(window.PublicKeyCredential) && !/^[\d.]+$|:/.test(location.hostname);

/** Ask the person to prove themselves with a passkey; gives what `assertion` of a request holds. */
export async function proof() {
  return asserted(await post("/api/v1/account/passkeys/question", {}));
}

async function signIn(next) {
  const credential = await asserted(await post("/api/v1/passkeys/sign-in/question", {}));
  return post("/api/v1/passkeys/sign-in", { credential, next });
}

async function unlock(next) {
  const credential = await asserted(await post("/api/v1/passkeys/unlock/question", {}));
  return post("/api/v1/passkeys/unlock", { credential, next });
}

async function add(form) {
  const { name, password } = Object.fromEntries(new FormData(form));
  const options = await post("/api/v1/account/passkeys/new", { password: password || null });
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: options.excludeCredentials.map((one) => ({ ...one, id: bytes(one.id) })),
    },
  });
  const credential = written(made, ["clientDataJSON", "attestationObject"]);
  credential.response.transports = made.response.getTransports?.() ?? [];
  await post("/api/v1/account/passkeys", { name, credential });
  return { next: form.dataset.next };
}

async function asserted(options) {
  const given = await navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      allowCredentials: options.allowCredentials.map((one) => ({ ...one, id: bytes(one.id) })),
    },
  });
  return written(given, ["clientDataJSON", "authenticatorData", "signature", "userHandle"]);
}

function written(credential, parts) {
  const { id, type, rawId, response, authenticatorAttachment } = credential;
  const said = parts.filter((part) => response[part]).map((part) => [part, text(response[part])]);
  return {
    id, type, rawId: text(rawId), authenticatorAttachment, response: Object.fromEntries(said),
    clientExtensionResults: credential.getClientExtensionResults(),
  };
}

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: headers(), body: JSON.stringify(body) });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.detail);
  return content;
}

function bytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (char) => char.charCodeAt(0));
}

function text(buffer) {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function attempt(work) {
  const fault = document.querySelector("[data-passkey-fault]");
  fault.hidden = true;
  try {
    location.assign((await work()).next);
  } catch (error) {
    if (error.name === "NotAllowedError") return; // the person changed their mind
    fault.textContent = error.message;
    fault.hidden = false;
  }
}

const WAYS = { "sign-in": signIn, unlock };

for (const button of document.querySelectorAll("button[data-passkey]")) {
  button.hidden = !known;
  button.addEventListener("click", () => attempt(() => WAYS[button.dataset.passkey](button.dataset.next)));
}

for (const form of document.querySelectorAll('form[data-passkey="add"]')) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => add(form));
  });
}
