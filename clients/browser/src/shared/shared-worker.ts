/**
 * Sharing through a SharedWorker: it holds the connection, and every tab has a port to it.
 *
 * A worker may not run (its script is missing or broken, a policy forbids it), and it may die (the browser ran out of
 * memory). Browsers tell a page little of either. So the worker says hello to each tab, and holds a Web Lock as long as it
 * lives, as the tabs do for it. A tab that hears no hello goes another way; one whose worker died starts another. (Pages that
 * came over plain http have no locks: there a worker that dies is noticed when the tab is loaded again.)
 */
import {acquireOwnLock, type LockManagerLike} from "../locks.ts";
import type {Connector} from "../connection.ts";
import {pipeOverPort, type ToHost, type ToTab} from "./protocol.ts";
import {TabConnector} from "./tab-connection.ts";

const HELLO_MS = 5_000; // its script comes from the cache or over a slow network; the page has come the same way

/** The part of SharedWorker that is used. */
export interface WorkerHandle {
  readonly port: MessagePort;
  onerror: ((event: ErrorEvent) => unknown) | null;
}

/** A connector over the worker that `hire` starts or finds; over `otherwise` where no worker runs. */
export function connectThroughWorker(startWorker: () => WorkerHandle, fallback: () => Connector, locks: LockManagerLike | undefined, helloMs = HELLO_MS): Connector {
  const hints: (() => void)[] = [];
  const ownLock = locks && acquireOwnLock(locks, "tab");
  let inner: Connector;
  let isDisposed = false;
  let stop = (): void => undefined;
  use(useWorker());

  function useWorker(): Connector {
    let worker: WorkerHandle;
    try {
      worker = startWorker();
    } catch {
      return fallback();
    }
    const tab = new TabConnector(pipeOverPort<ToHost, ToTab>(worker.port), () => "worker", ownLock?.acquired);
    const switchTo = (next: () => Connector, text: string): void => {
      if (inner !== tab || isDisposed) return;
      stop();
      // The pipe to a worker that comes to life after all must not share a connection nobody uses.
      tab.dispose();
      use(next());
      tab.onHostGone(text);
    };
    const fallBack = (): void => switchTo(fallback, "the shared worker does not run");
    const died = (): void => switchTo(useWorker, "the shared worker is gone");
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
    next.onRetryHint?.(() => hints.forEach((listener) => listener()));
  }

  return {
    open: (setup) => inner.open(setup),
    onRetryHint: (listener) => void hints.push(listener),
    onPageHide: () => inner.onPageHide?.(),
    dispose() {
      isDisposed = true;
      stop();
      inner.dispose?.();
      ownLock?.release();
    },
  };
}
