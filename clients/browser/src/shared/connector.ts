import type {Connector} from "../wire.ts";
import {platformLocks} from "../locks.ts";
import {newName} from "../names.ts";
import {led, steppingBack} from "./leader.ts";
import {overWorker} from "./overworker.ts";
import {PROTOCOL} from "./protocol.ts";

/**
 * The connection of all tabs of this origin that have the same `key`: in a SharedWorker, else in the tab that leads. A tab
 * on a platform with neither has a connection of its own.
 */
export function shared(key: string, own: Connector): Connector {
  const name = `tidings ${PROTOCOL} ${key}`;
  const locks = platformLocks;
  const otherwise = (): Connector =>
    locks && typeof BroadcastChannel === "function"
      ? steppingBack(() => led(name, own, new BroadcastChannel(name), locks, newName()))
      : own;
  // Written like this bundlers find the worker and put it beside the page's scripts.
  const hire = () => new SharedWorker(new URL("./worker.js", import.meta.url), {type: "module", name});
  const connector = typeof SharedWorker === "function" ? overWorker(hire, otherwise, locks) : otherwise();
  // A page that goes may be kept in the browser's cache of pages, with its locks but asleep. It must neither hold streams (what
  // is said to it throws it out of there) nor lead. Without locks the worker would not even notice that a tab goes.
  if (connector.aside) addEventListener("pagehide", () => connector.aside?.());
  return connector;
}
