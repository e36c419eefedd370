// The service worker: what a phone shows without a network. The server puts VERSION, OFFLINE and FILES above.
//
// It keeps the page OFFLINE and its FILES, which hold nothing of a patient, and never anything else: every other
// page comes from the server or not at all. A new version takes over at once, and the old one's files are deleted.

const CACHE = `tetkik-${VERSION}`;

addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll([OFFLINE, ...FILES]))
      .then(() => skipWaiting()),
  );
});

addEventListener('activate', (event) => {
  const old = caches.keys().then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))));
  event.waitUntil(old.then(() => clients.claim()));
});

addEventListener('fetch', (event) => {
  const { request } = event;
  const { pathname, search } = new URL(request.url);
  if (request.mode === 'navigate') event.respondWith(fetch(request).catch(() => caches.match(OFFLINE)));
  else if (request.method === 'GET' && FILES.includes(pathname + search)) {
    event.respondWith(caches.match(request).then((kept) => kept ?? fetch(request)));
  }
});
