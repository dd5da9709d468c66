import {Lost} from "../errors.ts";
import type {Connection, Connector, Receiver, Setup, Sharing, Wire, WireStream} from "../wire.ts";
import type {Line, ToHost, ToTab} from "./protocol.ts";

/** A tab's side: opens wires over a line to the host. One wire at a time. */
export class TabConnector implements Connector {
  private readonly hints: (() => void)[] = [];
  private hello: (lock: string | undefined) => void = () => undefined;
  private wire: TabWire | undefined;
  private attempt: {resolve: (wire: Wire) => void; reject: (lost: Lost) => void} | undefined;

  constructor(
    private readonly line: Line<ToHost, ToTab>,
    private readonly sharing: () => Sharing,
    /** The name of a Web Lock, once this tab holds it: told earlier, the host would take the tab for dead. */
    private readonly lock?: Promise<string>,
  ) {
    line.onHear((message) => this.heard(message));
  }

  open(setup: Setup): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const attempt = (this.attempt = {resolve, reject});
      void Promise.resolve(this.lock).then((lock) => {
        if (this.attempt === attempt) this.line.say({do: "open", setup, ...(lock !== undefined && {lock})});
      });
    });
  }

  onHint(listener: () => void): void {
    this.hints.push(listener);
  }

  onHello(listener: (lock: string | undefined) => void): void {
    this.hello = listener;
  }

  aside(): void {
    this.line.say({do: "bye"});
    this.heard({did: "closed", error: {code: 0x101, text: "the page was put aside"}});
  }

  dispose(): void {
    this.line.say({do: "bye"});
    this.line.close();
  }

  /** The host is gone; the next attempt will find another one. */
  hostGone(text: string): void {
    this.heard({did: "closed", error: {code: 0x101, text}});
    for (const listener of this.hints) listener();
  }

  private heard(message: ToTab): void {
    if (message.did === "opened") {
      this.wire = new TabWire(this.line, this.sharing, message.leads);
      const {attempt} = this;
      this.attempt = undefined;
      attempt?.resolve(this.wire);
    } else if (message.did === "closed") {
      const lost = new Lost(message.error.code, message.error.text, message.error.unopened);
      const {wire, attempt} = this;
      this.wire = this.attempt = undefined;
      attempt?.reject(lost);
      wire?.end(lost);
    } else if (message.did === "hint") {
      for (const listener of this.hints) listener();
    } else if (message.did === "hello") this.hello(message.lock);
    else this.wire?.heard(message);
  }
}

class TabWire implements Wire {
  private readonly receivers = new Map<number, Receiver>();
  private readonly closedListeners: ((lost: Lost) => void)[] = [];
  private readonly leadListeners: (() => void)[] = [];
  private readonly asking = new Set<{resolve: (found: Connection) => void; reject: (lost: Lost) => void}>();
  private lost: Lost | undefined;

  constructor(
    private readonly line: Line<ToHost, ToTab>,
    private readonly sharing: () => Sharing,
    public leads: boolean,
  ) {}

  requestResponse(route: string, data: Uint8Array, receiver: Receiver): WireStream {
    return this.begin(receiver, (id) => ({do: "call", id, route, data}), true);
  }

  requestStream(route: string, data: Uint8Array, items: number, receiver: Receiver): WireStream {
    return this.begin(receiver, (id) => ({do: "watch", id, route, data, items}), false);
  }

  fireAndForget(route: string, data: Uint8Array): void {
    if (!this.lost) this.line.say({do: "tell", route, data});
  }

  inspect(): Promise<Connection> {
    return new Promise((resolve, reject) => {
      if (this.lost) reject(this.lost);
      else if (this.asking.add({resolve, reject}).size === 1) this.line.say({do: "inspect"});
    });
  }

  close(): void {
    // The connection is not ours: it ends when no tab uses it any more.
    if (!this.lost) this.line.say({do: "close"});
    this.end(new Lost(0x102, "closed by this tab"));
  }

  onClosed(listener: (lost: Lost) => void): void {
    if (this.lost) listener(this.lost);
    else this.closedListeners.push(listener);
  }

  onLead(listener: () => void): void {
    this.leadListeners.push(listener);
  }

  end(lost: Lost): void {
    if (this.lost) return;
    this.lost = lost;
    const receivers = [...this.receivers.values()];
    this.receivers.clear();
    for (const receiver of receivers) receiver.error({code: lost.code, text: lost.text});
    for (const {reject} of this.asking) reject(lost);
    for (const listener of this.closedListeners) listener(lost);
  }

  heard(message: Exclude<ToTab, {did: "hello" | "opened" | "closed" | "hint"}>): void {
    if (message.did === "inspected") {
      const {traffic, tabs} = message;
      for (const {resolve} of this.asking) resolve({...traffic, sharing: this.sharing(), tabs});
      this.asking.clear();
      return;
    }
    if (message.did === "leads") {
      this.leads = true;
      for (const listener of this.leadListeners) listener();
      return;
    }
    const receiver = this.receivers.get(message.id);
    if (!receiver) return;
    if (message.did === "next") receiver.next(message.data);
    else {
      this.receivers.delete(message.id);
      if (message.did === "complete") receiver.complete();
      else receiver.error(message.error);
    }
  }

  private begin(receiver: Receiver, request: (id: number) => ToHost, single: boolean): WireStream {
    const {lost} = this;
    if (lost) {
      queueMicrotask(() => receiver.error({code: lost.code, text: lost.text}));
      return {request() {}, cancel() {}};
    }
    const id = nextId++;
    this.receivers.set(id, receiver);
    this.line.say(request(id));
    return {
      request: (items) => !single && this.receivers.has(id) && this.line.say({do: "request", id, items}),
      cancel: () => this.receivers.delete(id) && this.line.say({do: "cancel", id}),
    };
  }
}

// Over all wires of a tab: what is on its way from an old one never meets a stream of the next.
let nextId = 1;
