import {ConnectionLostError} from "../errors.ts";
import type {Connector, StreamObserver, Connection, RequestHandle} from "../connection.ts";
import type {MessagePipe, ToHost, ToTab} from "./protocol.ts";

type TabPipe = MessagePipe<ToTab, ToHost>;

interface Tab {
  readonly pipe: TabPipe;
  readonly requests: Map<number, RequestHandle>;
  lock?: string;
  isOpen: boolean;
  wantsConnection: boolean;
}

/** Holds the one connection and gives every tab a share of it. */
export class ConnectionHost {
  private readonly tabs = new Set<Tab>();
  private connection: Connection | undefined;
  private isOpening = false;
  private leader: Tab | undefined;

  /** `gone` resolves when the holder of a lock is gone; without it a tab that dies silently is noticed by its demand alone. */
  constructor(
    private readonly connector: Connector,
    private readonly whenLockReleased?: (lock: string) => Promise<void>,
  ) {}

  /** A tab has come. Call what is returned when its pipe is known to be dead. */
  add(pipe: TabPipe): () => void {
    const tab: Tab = {pipe, requests: new Map(), isOpen: false, wantsConnection: false};
    this.tabs.add(tab);
    pipe.onMessage((message) => this.onMessage(tab, message));
    return () => this.onTabDied(tab);
  }

  /** The connection ends here: the tabs are told. */
  close(): void {
    this.connection?.close();
  }

  private onMessage(tab: Tab, message: ToHost): void {
    switch (message.type) {
      case "open":
        this.watchTabLock(tab, message.lock);
        this.tabs.add(tab); // it may have said bye, and come back from the cache of pages
        tab.wantsConnection = true;
        if (this.connection) this.confirmOpen(tab);
        else void this.openConnection(message.setup);
        break;
      case "call":
        if (tab.isOpen) this.startRequest(tab, message.id, (connection, to) => connection.requestResponse(message.route, message.data, to));
        break;
      case "watch":
        if (tab.isOpen) this.startRequest(tab, message.id, (connection, to) => connection.requestStream(message.route, message.data, message.items, to));
        break;
      case "fireAndForget":
        this.connection?.fireAndForget(message.route, message.data);
        break;
      case "request":
        tab.requests.get(message.id)?.request(message.items);
        break;
      case "cancel":
        tab.requests.get(message.id)?.cancel();
        tab.requests.delete(message.id);
        break;
      case "inspect":
        void this.inspect(tab);
        break;
      case "close":
        this.releaseTab(tab);
        break;
      case "bye":
        this.removeTab(tab);
    }
  }

  private watchTabLock(tab: Tab, lock: string | undefined): void {
    if (lock === undefined || tab.lock === lock) return;
    tab.lock = lock;
    void this.whenLockReleased?.(lock).then(() => this.onTabDied(tab));
  }

  private onTabDied(tab: Tab): void {
    this.removeTab(tab);
    tab.pipe.close();
  }

  private async openConnection(setup: Parameters<Connector["open"]>[0]): Promise<void> {
    if (this.isOpening) return;
    this.isOpening = true;
    try {
      const connection = await this.connector.open(setup);
      this.isOpening = false;
      if (![...this.tabs].some(({wantsConnection: wants}) => wants)) {
        connection.close();
        return;
      }
      this.connection = connection;
      connection.onClosed((lost) => this.onConnectionEnded(lost));
      for (const tab of this.tabs) {
        if (tab.wantsConnection) this.confirmOpen(tab);
        else tab.pipe.send({type: "hint"});
      }
    } catch (error) {
      this.isOpening = false;
      this.onConnectionEnded(error instanceof ConnectionLostError ? error : new ConnectionLostError(0x101, error instanceof Error ? error.message : String(error)));
    }
  }

  private confirmOpen(tab: Tab): void {
    tab.wantsConnection = false;
    tab.isOpen = true;
    this.leader ??= tab;
    tab.pipe.send({type: "opened", leads: this.leader === tab});
  }

  private onConnectionEnded({code, text, isUnopened: unopened}: ConnectionLostError): void {
    this.connection = undefined;
    this.leader = undefined;
    for (const tab of this.tabs) {
      tab.requests.clear();
      if (tab.isOpen || tab.wantsConnection) tab.pipe.send({type: "closed", error: {code, text, isUnopened: unopened}});
      tab.isOpen = tab.wantsConnection = false;
    }
  }

  private startRequest(tab: Tab, id: number, ask: (connection: Connection, observer: StreamObserver) => RequestHandle): void {
    if (!this.connection) return;
    const over = (message: ToTab): void => {
      tab.requests.delete(id);
      if (tab.isOpen) tab.pipe.send(message);
    };
    const stream = ask(this.connection, {
      // A copy: what lies around the bytes in their buffer would be cloned as well.
      onNext: (data) => tab.isOpen && tab.pipe.send({type: "next", id, data: new Uint8Array(data)}),
      onComplete: () => over({type: "complete", id}),
      onError: (error) => over({type: "error", id, error}),
    });
    tab.requests.set(id, stream);
  }

  private removeTab(tab: Tab): void {
    if (this.tabs.delete(tab)) this.releaseTab(tab);
  }

  /** The tab uses the connection no more; without anybody who does it ends. */
  private releaseTab(tab: Tab): void {
    tab.isOpen = tab.wantsConnection = false;
    for (const stream of tab.requests.values()) stream.cancel();
    tab.requests.clear();
    const using = this.openTabs();
    if (!using.length) this.connection?.close();
    else if (this.leader === tab) {
      this.leader = using[0]!;
      this.leader.pipe.send({type: "leads"});
    }
  }

  private openTabs(): Tab[] {
    return [...this.tabs].filter(({isOpen: open}) => open);
  }

  private async inspect(tab: Tab): Promise<void> {
    const traffic = await this.connection?.inspect?.().catch(() => undefined);
    if (traffic && tab.isOpen) tab.pipe.send({type: "inspected", traffic, tabs: this.openTabs().length});
  }
}
