/**
 * What a tab and the host of the shared connection say to each other.
 *
 * The host (`host.ts`) lives in a SharedWorker, or in the leading tab; it holds the one connection. Each tab has a wire
 * (`tab.ts`) that looks like a connection of its own. When the connection ends, or the leading tab is closed, the tabs
 * are told `closed`, and do what they do after any end: open the next one and resume every watch from its cursor.
 * Handing over is a reconnect, and so needs no code of its own.
 */
import type {WireError} from "../errors.ts";
import type {Setup, Traffic} from "../wire.ts";

/** Part of every name that tabs share: a tab of an older page and a newer one must not meet. */
export const PROTOCOL = 2;

export type ToHost =
  /** Open the connection, or share the one that is there. `lock` is a Web Lock this tab holds as long as it lives. */
  | {do: "open"; setup: Setup; lock?: string}
  | {do: "call"; id: number; route: string; data: Uint8Array}
  | {do: "watch"; id: number; route: string; data: Uint8Array; items: number}
  | {do: "tell"; route: string; data: Uint8Array}
  | {do: "request"; id: number; items: number}
  | {do: "cancel"; id: number}
  /** What has passed through the connection? Answered with `inspected`, and told only when asked. */
  | {do: "inspect"}
  /** I need the connection no more; I may open it again. */
  | {do: "close"}
  | {do: "bye"};

export type ToTab =
  /** I run. `lock` is a Web Lock the host holds as long as it lives. */
  | {did: "hello"; lock?: string}
  | {did: "opened"; leads: boolean}
  /** The attempt failed, or the connection ended. */
  | {did: "closed"; error: WireError}
  /** From now on this tab keeps the token fresh. */
  | {did: "leads"}
  /** There is a connection again; an attempt is worth it now. */
  | {did: "hint"}
  | {did: "inspected"; traffic: Traffic; tabs: number}
  | {did: "next"; id: number; data: Uint8Array}
  | {did: "complete"; id: number}
  | {did: "error"; id: number; error: WireError};

/** A way for messages in both directions, in order. */
export interface Line<Out, In> {
  say(message: Out): void;
  onHear(listener: (message: In) => void): void;
  close(): void;
}

/** A line over a MessagePort. */
export function portLine<Out, In>(port: MessagePort): Line<Out, In> {
  return {
    say: (message) => port.postMessage(message),
    onHear(listener) {
      port.onmessage = ({data}: {data: In}) => listener(data);
    },
    close: () => port.close(),
  };
}
