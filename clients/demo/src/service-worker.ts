/**
 * Caches the files of the page, so that a reload works without a network. Network first: while online the page is always the
 * current build. It caches nothing else: messages are in the cache of the client, per account.
 */
const CACHE_NAME = "tidings BUILD"; // each build has its own cache
const PAGE_PATHS: readonly string[] = ["/", "/app.js", "/app.css", "/worker.js", "/icon.svg", "/manifest.webmanifest"];
const NETWORK_MS = 4_000; // after this time the cached file is used

// TypeScript cannot load the types of a page and of a service worker together; these are the parts used here.
interface WaitingEvent extends Event {
  waitUntil(done: Promise<unknown>): void;
}
interface FetchingEvent extends Event {
  readonly request: Request;
  respondWith(respond: Promise<Response>): void;
}
interface Worker {
  addEventListener(name: "install" | "activate", listener: (event: WaitingEvent) => void): void;
  addEventListener(name: "fetch", listener: (event: FetchingEvent) => void): void;
  skipWaiting(): Promise<void>;
  readonly clients: {claim(): Promise<void>};
}
const worker = self as unknown as Worker;

worker.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE_NAME)
      .then((cache) => cache.addAll(PAGE_PATHS.map((path) => new Request(path, {cache: "no-cache"}))))
      .then(() => worker.skipWaiting()),
  );
});

worker.addEventListener("activate", (event) => {
  const old = (name: string) => name.startsWith("tidings ") && name !== CACHE_NAME;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))))
      .then(() => worker.clients.claim()),
  );
});

worker.addEventListener("fetch", (event) => {
  const {request} = event;
  const {origin, pathname} = new URL(request.url);
  if (request.method === "GET" && origin === location.origin && PAGE_PATHS.includes(pathname)) event.respondWith(respond(request, pathname));
});

async function respond(request: Request, path: string): Promise<Response> {
  const cache = await caches.open(CACHE_NAME);
  try {
    const response = await fetch(request, {signal: AbortSignal.timeout(NETWORK_MS)});
    if (response.ok) {
      await cache.put(path, response.clone());
      return response;
    }
    return (await cache.match(path)) ?? response;
  } catch (error) {
    const cached = await cache.match(path);
    if (cached) return cached;
    throw error;
  }
}

export {};
