/**
 * Keeps the page itself, so that a reload without a network still shows it. Network first: who is online always gets the
 * page the service has now. Nothing else is kept: messages are the client's to keep, for whom they are meant.
 */
const CACHE_NAME = "tidings BUILD"; // another build, another cache
const PAGE_PATHS: readonly string[] = ["/", "/app.js", "/app.css", "/worker.js", "/icon.svg", "/manifest.webmanifest"];
const NETWORK_MS = 4_000; // a network that does not answer for so long is none

// The types of a page and of a service worker cannot both be there; this is what is used of the latter.
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
    const kept = await cache.match(path);
    if (kept) return kept;
    throw error;
  }
}

export {};
