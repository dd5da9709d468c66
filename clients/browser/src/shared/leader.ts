/**
 * Sharing without a SharedWorker: one tab leads and holds the connection, the others speak to it over a BroadcastChannel.
 *
 * Who holds the Web Lock leads; every other tab waits for it, so the browser itself elects the next leader the moment
 * the leading tab is gone, however it went. The new one announces itself, and the others open their wires through it.
 */
import type {Connector} from "../connection.ts";
import {acquireOwnLock, type LockManagerLike} from "../locks.ts";
import {ConnectionHost} from "./connection-host.ts";
import type {MessagePipe, ToHost, ToTab} from "./protocol.ts";
import {TabConnector} from "./tab-connection.ts";

/** The part of BroadcastChannel that is used. */
export interface BroadcastPort {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => unknown) | null;
  close(): void;
}

type BroadcastMessage = {to: "host"; from: string; message: ToHost} | {to: string; message: ToTab} | {to: "all"; leader: string};

/**
 * A connector that steps back while its page is put aside: a leader in the browser's cache of pages would hold the lock and
 * serve nobody. When the page is back it gets in pipe again, behind the others.
 */
export function releaseOnPageHide(createConnector: () => Connector): Connector {
  const hints: (() => void)[] = [];
  let inner: Connector | undefined;
  const current = (): Connector => {
    if (!inner) {
      inner = createConnector();
      inner.onRetryHint?.(() => hints.forEach((listener) => listener()));
    }
    return inner;
  };
  const release = (): void => {
    const before = inner;
    inner = undefined;
    before?.dispose?.();
  };
  return {open: (setup) => current().open(setup), onRetryHint: (listener) => void hints.push(listener), onPageHide: release, dispose: release};
}

/** A connector for one tab. `own` opens the connection when this tab leads. */
export function connectThroughLeader(name: string, ownConnector: Connector, channel: BroadcastPort, locks: LockManagerLike, tabId: string): Connector {
  const listeners = new Map<string, (message: ToHost) => void>();
  let host: ConnectionHost | undefined;
  let leader: string | undefined;
  let disposed = false;
  let onMessage: (message: ToTab) => void = () => undefined;
  // Said before there was a leader: only the wish to open is worth keeping.
  let pendingOpen: ToHost | undefined;

  const toHost: MessagePipe<ToHost, ToTab> = {
    send(message) {
      if (host) listeners.get(tabId)?.(message);
      else if (leader) channel.postMessage({to: "host", from: tabId, message} satisfies BroadcastMessage);
      else if (message.type === "open") pendingOpen = message;
    },
    onMessage: (listener) => (onMessage = listener),
    close: () => undefined,
  };
  // As long as this tab lives it holds its own lock; the host waits for it and so knows when the tab is gone.
  const ownLock = acquireOwnLock(locks, "tab");
  const tab = new TabConnector(toHost, () => (host ? "leader" : "follower"), ownLock.acquired);

  const addTab = (from: string): void => {
    if (!host || listeners.has(from)) return;
    host.add({
      send: (message) => (from === tabId ? queueMicrotask(() => onMessage(message)) : channel.postMessage({to: from, message} satisfies BroadcastMessage)),
      onMessage: (listener) => listeners.set(from, listener),
      close: () => listeners.delete(from),
    });
  };

  const led = (): void => {
    const said = pendingOpen;
    pendingOpen = undefined;
    tab.onHostGone("another tab holds the connection now");
    if (said) toHost.send(said);
  };

  channel.onmessage = ({data}: {data: BroadcastMessage}) => {
    if (disposed) return;
    if ("leader" in data) {
      if (data.leader === leader) return;
      leader = data.leader;
      led();
    } else if (data.to === "host" && "from" in data) {
      if (!host) return;
      addTab(data.from);
      listeners.get(data.from)?.(data.message);
    } else if (data.to === tabId) onMessage(data.message as ToTab);
    else if (data.to === "leader?" && host) channel.postMessage({to: "all", leader: tabId} satisfies BroadcastMessage);
  };
  channel.postMessage({to: "leader?"});

  const election = new AbortController();
  const elected = locks.request(name, {signal: election.signal}, () => {
    if (disposed) return Promise.resolve();
    host = new ConnectionHost(ownConnector, (lock) => (lock === ownLock.name ? ownLock.released : locks.request(lock, {}, async () => undefined).then(() => undefined)));
    leader = tabId;
    addTab(tabId);
    channel.postMessage({to: "all", leader: tabId} satisfies BroadcastMessage);
    led();
    return ownLock.released;
  });
  elected.catch(() => undefined); // out of the pipe before its turn came

  return {
    open: (setup) => tab.open(setup),
    onRetryHint: (listener) => tab.onRetryHint(listener),
    dispose() {
      tab.onPageHide();
      disposed = true;
      election.abort();
      // The others are told by the next leader; until then nobody answers them.
      host?.close();
      ownLock.release();
      channel.close();
    },
  };
}
