/**
 * Sharing without a SharedWorker: one tab leads and holds the connection, the others speak to it over a BroadcastChannel.
 *
 * Who holds the Web Lock leads; every other tab waits for it, so the browser itself elects the next leader the moment
 * the leading tab is gone, however it went. The new one announces itself, and the others open their wires through it.
 */
import type {Connector} from "../wire.ts";
import {holdLock, type Locks} from "../locks.ts";
import {Host} from "./host.ts";
import type {Line, ToHost, ToTab} from "./protocol.ts";
import {TabConnector} from "./tab.ts";

/** The part of BroadcastChannel that is used. */
export interface Air {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => unknown) | null;
  close(): void;
}

type OnAir = {to: "host"; from: string; message: ToHost} | {to: string; message: ToTab} | {to: "all"; leader: string};

/**
 * A connector that steps back while its page is put aside: a leader in the browser's cache of pages would hold the lock and
 * serve nobody. When the page is back it gets in line again, behind the others.
 */
export function steppingBack(make: () => Connector): Connector {
  const hints: (() => void)[] = [];
  let inner: Connector | undefined;
  const living = (): Connector => {
    if (!inner) {
      inner = make();
      inner.onHint?.(() => hints.forEach((listener) => listener()));
    }
    return inner;
  };
  const stepBack = (): void => {
    const before = inner;
    inner = undefined;
    before?.dispose?.();
  };
  return {open: (setup) => living().open(setup), onHint: (listener) => void hints.push(listener), aside: stepBack, dispose: stepBack};
}

/** A connector for one tab. `own` opens the connection when this tab leads. */
export function led(name: string, own: Connector, air: Air, locks: Locks, me: string): Connector {
  const lines = new Map<string, (message: ToHost) => void>();
  let host: Host | undefined;
  let leader: string | undefined;
  let disposed = false;
  let hear: (message: ToTab) => void = () => undefined;
  // Said before there was a leader: only the wish to open is worth keeping.
  let wish: ToHost | undefined;

  const toHost: Line<ToHost, ToTab> = {
    say(message) {
      if (host) lines.get(me)?.(message);
      else if (leader) air.postMessage({to: "host", from: me, message} satisfies OnAir);
      else if (message.do === "open") wish = message;
    },
    onHear: (listener) => (hear = listener),
    close: () => undefined,
  };
  // As long as this tab lives it holds its own lock; the host waits for it and so knows when the tab is gone.
  const mine = holdLock(locks, "tab");
  const tab = new TabConnector(toHost, () => (host ? "leader" : "follower"), mine.held);

  const admit = (from: string): void => {
    if (!host || lines.has(from)) return;
    host.add({
      say: (message) => (from === me ? queueMicrotask(() => hear(message)) : air.postMessage({to: from, message} satisfies OnAir)),
      onHear: (listener) => lines.set(from, listener),
      close: () => lines.delete(from),
    });
  };

  const led = (): void => {
    const said = wish;
    wish = undefined;
    tab.hostGone("another tab holds the connection now");
    if (said) toHost.say(said);
  };

  air.onmessage = ({data}: {data: OnAir}) => {
    if (disposed) return;
    if ("leader" in data) {
      if (data.leader === leader) return;
      leader = data.leader;
      led();
    } else if (data.to === "host" && "from" in data) {
      if (!host) return;
      admit(data.from);
      lines.get(data.from)?.(data.message);
    } else if (data.to === me) hear(data.message as ToTab);
    else if (data.to === "leader?" && host) air.postMessage({to: "all", leader: me} satisfies OnAir);
  };
  air.postMessage({to: "leader?"});

  const inLine = new AbortController();
  const leading = locks.request(name, {signal: inLine.signal}, () => {
    if (disposed) return Promise.resolve();
    host = new Host(own, (lock) => (lock === mine.name ? mine.over : locks.request(lock, {}, async () => undefined).then(() => undefined)));
    leader = me;
    admit(me);
    air.postMessage({to: "all", leader: me} satisfies OnAir);
    led();
    return mine.over;
  });
  leading.catch(() => undefined); // out of the line before its turn came

  return {
    open: (setup) => tab.open(setup),
    onHint: (listener) => tab.onHint(listener),
    dispose() {
      tab.aside();
      disposed = true;
      inLine.abort();
      // The others are told by the next leader; until then nobody answers them.
      host?.close();
      mine.release();
      air.close();
    },
  };
}
