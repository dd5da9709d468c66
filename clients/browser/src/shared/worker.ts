/** The script of the SharedWorker: one host, one connection, for as long as a tab is there. */
import {directConnector} from "../rsocket-connection.ts";
import {acquireOwnLock, platformLocks} from "../locks.ts";
import {ConnectionHost} from "./connection-host.ts";
import {pipeOverPort, type ToHost, type ToTab} from "./protocol.ts";

const locks = platformLocks;
const host = new ConnectionHost(directConnector(), locks && (async (lock) => void (await locks.request(lock, {}, async () => undefined))));
const ownLock = locks && acquireOwnLock(locks, "worker").acquired;

(globalThis as unknown as {onconnect: (event: MessageEvent) => void}).onconnect = ({ports: [port]}) => {
  if (!port) return;
  const pipe = pipeOverPort<ToTab, ToHost>(port);
  host.add(pipe);
  void Promise.resolve(ownLock).then((lock) => pipe.send({type: "hello", ...(lock !== undefined && {lock})}));
};
