/** The script of the SharedWorker: one host, one connection, for as long as a tab is there. */
import {direct} from "../rsocket.ts";
import {holdLock, platformLocks} from "../locks.ts";
import {Host} from "./host.ts";
import {portLine, type ToHost, type ToTab} from "./protocol.ts";

const locks = platformLocks;
const host = new Host(direct(), locks && (async (lock) => void (await locks.request(lock, {}, async () => undefined))));
const living = locks && holdLock(locks, "worker").held;

(globalThis as unknown as {onconnect: (event: MessageEvent) => void}).onconnect = ({ports: [port]}) => {
  if (!port) return;
  const line = portLine<ToTab, ToHost>(port);
  host.add(line);
  void Promise.resolve(living).then((lock) => line.say({did: "hello", ...(lock !== undefined && {lock})}));
};
