import type {Connector} from "../connection.ts";
import {platformLocks} from "../locks.ts";
import {randomId} from "../random-id.ts";
import {connectThroughLeader, releaseOnPageHide} from "./leader.ts";
import {connectThroughWorker} from "./shared-worker.ts";
import {PROTOCOL_VERSION} from "./protocol.ts";

/**
 * The connection of all tabs of this origin that have the same `key`: in a SharedWorker, else in the tab that leads. A tab
 * on a platform with neither has a connection of its own.
 */
export function sharedConnector(key: string, ownConnector: Connector): Connector {
  const name = `tidings ${PROTOCOL_VERSION} ${key}`;
  const locks = platformLocks;
  const fallback = (): Connector =>
    locks && typeof BroadcastChannel === "function"
      ? releaseOnPageHide(() => connectThroughLeader(name, ownConnector, new BroadcastChannel(name), locks, randomId()))
      : ownConnector;
  // Written like this bundlers find the worker and put it beside the page's scripts.
  const startWorker = () => new SharedWorker(new URL("./worker.js", import.meta.url), {type: "module", name});
  const connector = typeof SharedWorker === "function" ? connectThroughWorker(startWorker, fallback, locks) : fallback();
  // A page that goes may be kept in the browser's cache of pages, with its locks but asleep. It must neither hold streams (what
  // is said to it throws it out of there) nor lead. Without locks the worker would not even notice that a tab goes.
  if (connector.onPageHide) addEventListener("pagehide", () => connector.onPageHide?.());
  return connector;
}
