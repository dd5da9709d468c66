import type {Connector} from "../wire.ts";
import {led} from "./leader.ts";
import {portLine, type ToHost, type ToTab} from "./protocol.ts";
import {TabConnector} from "./tab.ts";

/**
 * The connection of all tabs of this origin that have the same `key`: in a SharedWorker, else in the tab that leads.
 * Undefined where the platform has neither; the tab then has a connection of its own.
 */
export function shared(key: string, own: Connector): Connector | undefined {
  const locks = (globalThis.navigator as Navigator | undefined)?.locks;
  const name = `tidings ${key}`;
  if (typeof SharedWorker === "function") {
    try {
      // Written like this bundlers find the worker and put it beside the page's scripts.
      const worker = new SharedWorker(new URL("./worker.js", import.meta.url), {type: "module", name});
      const mine = `tidings tab ${crypto.randomUUID()}`;
      const lock =
        locks &&
        new Promise<string>((held) => {
          void locks.request(mine, () => new Promise(() => held(mine)));
        });
      const tab = new TabConnector(portLine<ToHost, ToTab>(worker.port), lock);
      // Without locks the worker must be told; a tab from the back-forward cache then simply opens another wire.
      if (!locks) addEventListener("pagehide", () => tab.dispose());
      return tab;
    } catch {
      // A page that forbids workers can still elect a leader.
    }
  }
  if (!locks || typeof BroadcastChannel !== "function") return undefined;
  return led(name, own, new BroadcastChannel(name), locks, crypto.randomUUID());
}
