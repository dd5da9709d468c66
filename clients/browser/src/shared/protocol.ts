/**
 * What a tab and the host of the shared connection say to each other.
 *
 * The host (`host.ts`) lives in a SharedWorker, or in the leading tab; it holds the one connection. Each tab has a connection
 * (`tab.ts`) that looks like a connection of its own. When the connection ends, or the leading tab is closed, the tabs
 * are told `closed`, and do what they do after any end: open the next one and resume every watch from its cursor.
 * Handing over is a reconnect, and so needs no code of its own.
 */
import type {StreamError} from "../errors.ts";
import type {Setup, TrafficCounters} from "../connection.ts";

/** Part of every name that tabs share: a tab of an older page and a newer one must not meet. */
export const PROTOCOL_VERSION = 2;

export type ToHost =
  /** Open the connection, or share the one that is there. `lock` is a Web Lock this tab holds as long as it lives. */
  | {type: "open"; setup: Setup; lock?: string}
  | {type: "call"; id: number; route: string; data: Uint8Array}
  | {type: "watch"; id: number; route: string; data: Uint8Array; items: number}
  | {type: "fireAndForget"; route: string; data: Uint8Array}
  | {type: "request"; id: number; items: number}
  | {type: "cancel"; id: number}
  /** What has passed through the connection? Answered with `inspected`, and told only when asked. */
  | {type: "inspect"}
  /** I need the connection no more; I may open it again. */
  | {type: "close"}
  | {type: "bye"};

export type ToTab =
  /** I run. `lock` is a Web Lock the host holds as long as it lives. */
  | {type: "hello"; lock?: string}
  | {type: "opened"; leads: boolean}
  /** The attempt failed, or the connection ended. */
  | {type: "closed"; error: StreamError}
  /** From now on this tab keeps the token fresh. */
  | {type: "leads"}
  /** There is a connection again; an attempt is worth it now. */
  | {type: "hint"}
  | {type: "inspected"; traffic: TrafficCounters; tabs: number}
  | {type: "next"; id: number; data: Uint8Array}
  | {type: "complete"; id: number}
  | {type: "error"; id: number; error: StreamError};

/** A way for messages in both directions, in order. */
export interface MessagePipe<Out, In> {
  send(message: Out): void;
  onMessage(listener: (message: In) => void): void;
  close(): void;
}

/** A pipe over a MessagePort. */
export function pipeOverPort<Out, In>(port: MessagePort): MessagePipe<Out, In> {
  return {
    send: (message) => port.postMessage(message),
    onMessage(listener) {
      port.onmessage = ({data}: {data: In}) => listener(data);
    },
    close: () => port.close(),
  };
}
