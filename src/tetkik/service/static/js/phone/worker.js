// The service worker: what a phone shows without a network. The server puts VERSION, OFFLINE and FILES above.
//
// It keeps the page OFFLINE and its FILES, which hold nothing of a patient: every other page comes from the server
// or not at all. A new version takes over at once, and the old one's files are deleted.
//
// A lock or sign-out that could not reach the hospital is kept, too, and delivered before any page is asked for:
// until then the session is open there, and the next page would show what the person locked away.

const CACHE = `tetkik-${VERSION}`;
const OWED = 'tetkik-owed';
const LEAVING = ['/lock', '/logout', '/account/sign-out-everywhere'];

addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll([OFFLINE, ...FILES]))
      .then(() => skipWaiting()),
  );
});

addEventListener('activate', (event) => {
  const old = caches
    .keys()
    .then((names) => Promise.all(names.filter((name) => ![CACHE, OWED].includes(name)).map((name) => caches.delete(name))));
  event.waitUntil(old.then(() => clients.claim()));
});

addEventListener('fetch', (event) => {
  const { request } = event;
  const { pathname, search } = new URL(request.url);
  if (request.method === 'POST' && LEAVING.includes(pathname)) event.respondWith(leave(request, pathname));
  else if (request.mode === 'navigate') event.respondWith(page(request));
  else if (request.method === 'GET' && FILES.includes(pathname + search)) {
    event.respondWith(caches.match(request).then((kept) => kept ?? fetch(request)));
  }
});

async function leave(request, pathname) {
  const csrf = new URLSearchParams(await request.clone().text()).get('csrf') ?? '';
  const answer = await fetch(request).catch(() => null);
  if (answer && told(answer)) return answer;
  // Under a name of its own: a form of another site, which has not the session's token, replaces none. Nothing but
  // the token is kept, for what the hospital refuses to read would stand before every page.
  if (csrf && csrf.length <= 200) {
    await (await caches.open(OWED)).put(`${pathname}?${crypto.randomUUID()}`, new Response(new URLSearchParams({ csrf })));
  }
  return Response.redirect(OFFLINE, 303);
}

/** Whether the hospital itself answered: it did it, or the session is over or another. A proxy refuses, too. */
function told(answer) {
  return answer.type === 'opaqueredirect' || ([401, 403].includes(answer.status) && answer.headers.has('X-Request-Id'));
}

async function page(request) {
  if (await delivered().catch(() => false)) {
    const answer = await fetch(request).catch(() => null);
    if (answer) return answer;
  }
  // Where it stood in for a form's answer, loading it again would send the form again.
  return request.method === 'GET' ? caches.match(OFFLINE) : Response.redirect(OFFLINE, 303);
}

/** Whether the hospital knows of every lock and sign-out. */
async function delivered() {
  const owed = await caches.open(OWED);
  for (const { url } of await owed.keys()) {
    const body = new URLSearchParams(await (await owed.match(url)).text());
    const answer = await fetch(url, { method: 'POST', body, redirect: 'manual' });
    if (!told(answer)) return false;
    await owed.delete(url);
  }
  return true;
}
