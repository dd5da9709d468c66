import {ConnectionLostError} from "../errors.ts";
import type {ConnectionStats, Connector, StreamObserver, Setup, SharingMode, Connection, RequestHandle} from "../connection.ts";
import type {MessagePipe, ToHost, ToTab} from "./protocol.ts";

/** A tab's side: opens wires over a pipe to the host. One connection at a time. */
export class TabConnector implements Connector {
  private readonly hintListeners: (() => void)[] = [];
  private helloListener: (lock: string | undefined) => void = () => undefined;
  private connection: TabConnection | undefined;
  private attempt: {resolve: (connection: Connection) => void; reject: (lost: ConnectionLostError) => void} | undefined;

  constructor(
    private readonly pipe: MessagePipe<ToHost, ToTab>,
    private readonly sharingMode: () => SharingMode,
    /** The name of a Web Lock, once this tab holds it: told earlier, the host would take the tab for dead. */
    private readonly lock?: Promise<string>,
  ) {
    pipe.onMessage((message) => this.onMessage(message));
  }

  open(setup: Setup): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const attempt = (this.attempt = {resolve, reject});
      void Promise.resolve(this.lock).then((lock) => {
        if (this.attempt === attempt) this.pipe.send({type: "open", setup, ...(lock !== undefined && {lock})});
      });
    });
  }

  onRetryHint(listener: () => void): void {
    this.hintListeners.push(listener);
  }

  onHello(listener: (lock: string | undefined) => void): void {
    this.helloListener = listener;
  }

  onPageHide(): void {
    this.pipe.send({type: "bye"});
    this.onMessage({type: "closed", error: {code: 0x101, text: "the page was put aside"}});
  }

  dispose(): void {
    this.pipe.send({type: "bye"});
    this.pipe.close();
  }

  /** The host is gone; the next attempt will find another one. */
  onHostGone(text: string): void {
    this.onMessage({type: "closed", error: {code: 0x101, text}});
    for (const listener of this.hintListeners) listener();
  }

  private onMessage(message: ToTab): void {
    if (message.type === "opened") {
      this.connection = new TabConnection(this.pipe, this.sharingMode, message.leads);
      const {attempt} = this;
      this.attempt = undefined;
      attempt?.resolve(this.connection);
    } else if (message.type === "closed") {
      const lost = new ConnectionLostError(message.error.code, message.error.text, message.error.isUnopened);
      const {connection, attempt} = this;
      this.connection = this.attempt = undefined;
      attempt?.reject(lost);
      connection?.onEnded(lost);
    } else if (message.type === "hint") {
      for (const listener of this.hintListeners) listener();
    } else if (message.type === "hello") this.helloListener(message.lock);
    else this.connection?.onMessage(message);
  }
}

class TabConnection implements Connection {
  private readonly observers = new Map<number, StreamObserver>();
  private readonly closedListeners: ((lost: ConnectionLostError) => void)[] = [];
  private readonly leadListeners: (() => void)[] = [];
  private readonly inspections = new Set<{resolve: (found: ConnectionStats) => void; reject: (lost: ConnectionLostError) => void}>();
  private lostError: ConnectionLostError | undefined;

  constructor(
    private readonly pipe: MessagePipe<ToHost, ToTab>,
    private readonly sharingMode: () => SharingMode,
    public isLeader: boolean,
  ) {}

  requestResponse(route: string, data: Uint8Array, observer: StreamObserver): RequestHandle {
    return this.startRequest(observer, (id) => ({type: "call", id, route, data}), true);
  }

  requestStream(route: string, data: Uint8Array, items: number, observer: StreamObserver): RequestHandle {
    return this.startRequest(observer, (id) => ({type: "watch", id, route, data, items}), false);
  }

  fireAndForget(route: string, data: Uint8Array): void {
    if (!this.lostError) this.pipe.send({type: "fireAndForget", route, data});
  }

  inspect(): Promise<ConnectionStats> {
    return new Promise((resolve, reject) => {
      if (this.lostError) reject(this.lostError);
      else if (this.inspections.add({resolve, reject}).size === 1) this.pipe.send({type: "inspect"});
    });
  }

  close(): void {
    // The connection is not ours: it ends when no tab uses it any more.
    if (!this.lostError) this.pipe.send({type: "close"});
    this.onEnded(new ConnectionLostError(0x102, "closed by this tab"));
  }

  onClosed(listener: (lost: ConnectionLostError) => void): void {
    if (this.lostError) listener(this.lostError);
    else this.closedListeners.push(listener);
  }

  onBecomeLeader(listener: () => void): void {
    this.leadListeners.push(listener);
  }

  onEnded(lostError: ConnectionLostError): void {
    if (this.lostError) return;
    this.lostError = lostError;
    const receivers = [...this.observers.values()];
    this.observers.clear();
    for (const observer of receivers) observer.onError({code: lostError.code, text: lostError.text});
    for (const {reject} of this.inspections) reject(lostError);
    for (const listener of this.closedListeners) listener(lostError);
  }

  onMessage(message: Exclude<ToTab, {type: "hello" | "opened" | "closed" | "hint"}>): void {
    if (message.type === "inspected") {
      const {traffic, tabs} = message;
      for (const {resolve} of this.inspections) resolve({...traffic, sharing: this.sharingMode(), tabs});
      this.inspections.clear();
      return;
    }
    if (message.type === "leads") {
      this.isLeader = true;
      for (const listener of this.leadListeners) listener();
      return;
    }
    const observer = this.observers.get(message.id);
    if (!observer) return;
    if (message.type === "next") observer.onNext(message.data);
    else {
      this.observers.delete(message.id);
      if (message.type === "complete") observer.onComplete();
      else observer.onError(message.error);
    }
  }

  private startRequest(observer: StreamObserver, request: (id: number) => ToHost, isCall: boolean): RequestHandle {
    const {lostError: lost} = this;
    if (lost) {
      queueMicrotask(() => observer.onError({code: lost.code, text: lost.text}));
      return {request() {}, cancel() {}};
    }
    const id = nextId++;
    this.observers.set(id, observer);
    this.pipe.send(request(id));
    return {
      request: (items) => !isCall && this.observers.has(id) && this.pipe.send({type: "request", id, items}),
      cancel: () => this.observers.delete(id) && this.pipe.send({type: "cancel", id}),
    };
  }
}

// Over all wires of a tab: what is on its way from an old one never meets a stream of the next.
let nextId = 1;
