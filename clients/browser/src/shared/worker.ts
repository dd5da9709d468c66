/** The script of the SharedWorker: one host, one connection, for as long as a tab is there. */
import {direct} from "../rsocket.ts";
import {Host} from "./host.ts";
import {portLine, type ToHost, type ToTab} from "./protocol.ts";

const {locks} = navigator;
const host = new Host(direct(), locks && (async (lock) => void (await locks.request(lock, () => undefined))));

(globalThis as unknown as {onconnect: (event: MessageEvent) => void}).onconnect = ({ports}) => {
  const [port] = ports;
  if (port) host.add(portLine<ToTab, ToHost>(port));
};
