/**
 * What a phone keeps until it is sent: sealed by AES-GCM under a key that no script can read out, one for each person.
 *
 * An entry opens only as what it was sealed as: its name, its person and its end are authenticated with it.
 */

/**
 * @typedef {object} SignedIn what a page says of whoever is signed in
 * @property {string} person an id of the hospital's
 * @property {string[]} takes `complaint`, `photo`
 * @property {number} hours for which an entry may wait
 * @property {number} lockMinutes
 * @property {string} csrf locks the screen at the hospital
 */

/** @typedef {SignedIn & {key: CryptoKey}} Person who works on this phone */

/**
 * @typedef {object} Entry
 * @property {string} id names it to the server as well, so that it is taken once
 * @property {string} person
 * @property {string[]} parts `complaint`, `photo`
 * @property {number} at milliseconds since 1970
 * @property {number} until
 * @property {Sealed} [body] until it cannot be sent any more
 * @property {Sealed} [photo]
 * @property {'waits' | 'known' | 'refused' | 'opened' | 'expired'} state `opened`: without its photo
 * @property {string} said why it was not taken
 * @property {string} [number] of the case that is open without its photo
 * @property {number} [tried] by the server's clock, when it was first sent
 * @property {boolean} [again] the server took something else at the same moment, and is asked once more
 */

/** @typedef {{iv: Uint8Array, sealed: ArrayBuffer}} Sealed */

const HOUR = 3600_000;
const TOLD = 7 * 24 * HOUR; // for which it says that something was deleted
/** Of an entry that goes nowhere any more. */
export const EMPTIED = { body: undefined, photo: undefined };

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @type {Promise<IDBDatabase> | null} */
let opening = null;

function database() {
  if (!opening) {
    const request = indexedDB.open('tetkik-phone', 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('persons', { keyPath: 'person' });
      request.result.createObjectStore('entries', { keyPath: 'id' });
      request.result.createObjectStore('here');
    };
    opening = done(request).then((opened) => {
      opened.onversionchange = () => opened.close(); // it is being deleted
      return opened;
    });
  }
  return opening;
}

/** @param {string} name @param {IDBTransactionMode} [mode] */
async function table(name, mode) {
  return (await database()).transaction(name, mode).objectStore(name);
}

/** Whoever is signed in here, from now on. @param {SignedIn} about */
export async function arrive(about) {
  const { person } = about;
  const known = await done((await table('persons')).get(person));
  const key = known?.key ?? (await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']));
  const persons = await table('persons', 'readwrite');
  const first = known ? null : await done(persons.get(person)); // another tab was quicker
  await done(persons.put({ ...about, key: first?.key ?? key }));
  await done((await table('here', 'readwrite')).put(person, 'person'));
}

/** Nobody is at the phone, as it is locked or the session is over: what waits stays sealed. */
export async function leave() {
  await done((await table('here', 'readwrite')).delete('person'));
}

/** Nothing of this person is kept any more. @param {string} person */
export async function forget(person) {
  for (const { id } of await waiting(person)) await remove(id);
  await done((await table('persons', 'readwrite')).delete(person));
  await leave();
}

/** Who is at the phone; null for nobody. @returns {Promise<Person | null>} */
export async function present() {
  const person = await done((await table('here')).get('person'));
  return person ? ((await done((await table('persons')).get(person))) ?? null) : null;
}

/** Delete what has waited too long, of whomever; that it was here is told. */
export async function expire() {
  const entries = await table('entries', 'readwrite');
  const now = Date.now();
  for (const entry of await done(entries.getAll())) {
    if (entry.until + TOLD <= now) entries.delete(entry.id);
    // Where the clock was set back to before it, nobody knows how long it has waited.
    else if (entry.body && (entry.until <= now || now < entry.at - HOUR)) entries.put({ ...entry, ...EMPTIED, state: 'expired' });
  }
}

/** What waits of this person, and what became of what does not, the oldest first. @param {string} person @returns {Promise<Entry[]>} */
export async function waiting(person) {
  await expire();
  const all = await done((await table('entries')).getAll());
  return all.filter((entry) => entry.person === person).sort((a, b) => a.at - b.at);
}

/** @param {Entry} entry @param {string} part */
const about = (entry, part) => new TextEncoder().encode([entry.id, entry.person, entry.until, part].join('|'));

/** @param {Person} owner @param {Entry} entry @param {string} part @param {BufferSource} content @returns {Promise<Sealed>} */
async function seal(owner, entry, part, content) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  return { iv, sealed: await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData: about(entry, part) }, owner.key, content) };
}

/** Throws where it was altered, or is another person's. @param {Person} owner @param {Entry} entry @param {'body' | 'photo'} part */
export async function unseal(owner, entry, part) {
  const { iv, sealed } = /** @type {Sealed} */ (entry[part]);
  return crypto.subtle.decrypt({ name: 'AES-GCM', iv: /** @type {BufferSource} */ (iv), additionalData: about(entry, part) }, owner.key, sealed);
}

/**
 * Keep an entry.
 * @param {Person} owner
 * @param {string} id
 * @param {string[]} parts
 * @param {object} body what opens the case
 * @param {Blob | null} photo
 */
export async function keep(owner, id, parts, body, photo) {
  const at = Date.now();
  /** @type {any} */
  const entry = { id, person: owner.person, parts, at, until: at + owner.hours * HOUR, state: 'waits', said: '' };
  entry.body = await seal(owner, entry, 'body', new TextEncoder().encode(JSON.stringify(body)));
  if (photo) entry.photo = await seal(owner, entry, 'photo', await photo.arrayBuffer());
  await done((await table('entries', 'readwrite')).add(entry));
}

/** Write down what became of it. @param {Entry} entry @param {Partial<Entry>} change */
export async function note(entry, change) {
  const entries = await table('entries', 'readwrite');
  if (await done(entries.getKey(entry.id))) await done(entries.put({ ...entry, ...change }));
}

/** Let its patient be a new one: without the numbers by which a record was found. @param {Person} owner @param {Entry} entry */
export async function renew(owner, entry) {
  const body = JSON.parse(new TextDecoder().decode(await unseal(owner, entry, 'body')));
  const { name, birth_date } = body.patient ?? {};
  body.patient = name ? { name, ...(birth_date && { birth_date }) } : undefined;
  body.unknown = !name;
  await note(entry, { body: await seal(owner, entry, 'body', new TextEncoder().encode(JSON.stringify(body))), state: 'waits', said: '' });
}

/** @param {string} id */
export async function remove(id) {
  await done((await table('entries', 'readwrite')).delete(id));
}
