import type {Connector} from "../wire.ts";
import {platformLocks} from "../locks.ts";
import {newName} from "../names.ts";
import {led} from "./leader.ts";
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
    locks && typeof BroadcastChannel === "function" ? led(name, own, new BroadcastChannel(name), locks, newName()) : own;
  if (typeof SharedWorker !== "function") return otherwise();
  // Written like this bundlers find the worker and put it beside the page's scripts.
  const hire = () => new SharedWorker(new URL("./worker.js", import.meta.url), {type: "module", name});
  const connector = overWorker(hire, otherwise, locks);
  // Without locks the worker must be told that this tab goes; if it comes back from the cache of pages it asks again.
  if (!locks) addEventListener("pagehide", () => connector.aside?.());
  return connector;
}
