/**
 * Sharing through a SharedWorker: it holds the connection, and every tab has a port to it.
 *
 * A worker may not run (its script is missing or broken, a policy forbids it), and it may die (the browser ran out of
 * memory). Browsers tell a page little of either. So the worker says hello to each tab, and holds a Web Lock as long as it
 * lives, as the tabs do for it. A tab that hears no hello goes another way; one whose worker died starts another. (Pages that
 * came over plain http have no locks: there a worker that dies is noticed when the tab is loaded again.)
 */
import {holdLock, type Locks} from "../locks.ts";
import type {Connector} from "../wire.ts";
import {portLine, type ToHost, type ToTab} from "./protocol.ts";
import {TabConnector} from "./tab.ts";

const HELLO_MS = 5_000; // its script comes from the cache or over a slow network; the page has come the same way

/** The part of SharedWorker that is used. */
export interface Hired {
  readonly port: MessagePort;
  onerror: ((event: ErrorEvent) => unknown) | null;
}

/** A connector over the worker that `hire` starts or finds; over `otherwise` where no worker runs. */
export function overWorker(hire: () => Hired, otherwise: () => Connector, locks: Locks | undefined, helloMs = HELLO_MS): Connector {
  const hints: (() => void)[] = [];
  const living = locks && holdLock(locks, "tab");
  let inner: Connector;
  let over = false;
  let stop = (): void => undefined;
  use(begin());

  function begin(): Connector {
    let worker: Hired;
    try {
      worker = hire();
    } catch {
      return otherwise();
    }
    const tab = new TabConnector(portLine<ToHost, ToTab>(worker.port), () => "worker", living?.held);
    const instead = (next: () => Connector, text: string): void => {
      if (inner !== tab || over) return;
      stop();
      // The line to a worker that comes to life after all must not share a connection nobody uses.
      tab.dispose();
      use(next());
      tab.hostGone(text);
    };
    const fallBack = (): void => instead(otherwise, "the shared worker does not run");
    const died = (): void => instead(begin, "the shared worker is gone");
    const timer = setTimeout(fallBack, helloMs);
    stop = () => clearTimeout(timer);
    worker.onerror = fallBack;
    tab.onHello((lock) => {
      stop();
      if (lock !== undefined) void locks?.request(lock, {}, async () => died());
    });
    return tab;
  }

  function use(next: Connector): void {
    inner = next;
    next.onHint?.(() => hints.forEach((listener) => listener()));
  }

  return {
    open: (setup) => inner.open(setup),
    onHint: (listener) => void hints.push(listener),
    aside: () => inner.aside?.(),
    dispose() {
      over = true;
      stop();
      inner.dispose?.();
      living?.release();
    },
  };
}
