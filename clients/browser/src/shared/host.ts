import {Lost} from "../errors.ts";
import type {Connector, Receiver, Wire, WireStream} from "../wire.ts";
import type {Line, ToHost, ToTab} from "./protocol.ts";

type TabLine = Line<ToTab, ToHost>;

interface Tab {
  readonly line: TabLine;
  readonly streams: Map<number, WireStream>;
  lock?: string;
  open: boolean;
  wants: boolean;
}

/** Holds the one connection and gives every tab a share of it. */
export class Host {
  private readonly tabs = new Set<Tab>();
  private wire: Wire | undefined;
  private opening = false;
  private leader: Tab | undefined;

  /** `gone` resolves when the holder of a lock is gone; without it a tab that dies silently is noticed by its demand alone. */
  constructor(
    private readonly connector: Connector,
    private readonly gone?: (lock: string) => Promise<void>,
  ) {}

  /** A tab has come. Call what is returned when its line is known to be dead. */
  add(line: TabLine): () => void {
    const tab: Tab = {line, streams: new Map(), open: false, wants: false};
    this.tabs.add(tab);
    line.onHear((message) => this.heard(tab, message));
    return () => this.died(tab);
  }

  /** The connection ends here: the tabs are told. */
  close(): void {
    this.wire?.close();
  }

  private heard(tab: Tab, message: ToHost): void {
    switch (message.do) {
      case "open":
        this.watchOver(tab, message.lock);
        this.tabs.add(tab); // it may have said bye, and come back from the cache of pages
        tab.wants = true;
        if (this.wire) this.welcome(tab);
        else void this.open(message.setup);
        break;
      case "call":
        if (tab.open) this.begin(tab, message.id, (wire, to) => wire.requestResponse(message.route, message.data, to));
        break;
      case "watch":
        if (tab.open) this.begin(tab, message.id, (wire, to) => wire.requestStream(message.route, message.data, message.items, to));
        break;
      case "tell":
        this.wire?.fireAndForget(message.route, message.data);
        break;
      case "request":
        tab.streams.get(message.id)?.request(message.items);
        break;
      case "cancel":
        tab.streams.get(message.id)?.cancel();
        tab.streams.delete(message.id);
        break;
      case "inspect":
        void this.inspect(tab);
        break;
      case "close":
        this.letGo(tab);
        break;
      case "bye":
        this.leave(tab);
    }
  }

  private watchOver(tab: Tab, lock: string | undefined): void {
    if (lock === undefined || tab.lock === lock) return;
    tab.lock = lock;
    void this.gone?.(lock).then(() => this.died(tab));
  }

  private died(tab: Tab): void {
    this.leave(tab);
    tab.line.close();
  }

  private async open(setup: Parameters<Connector["open"]>[0]): Promise<void> {
    if (this.opening) return;
    this.opening = true;
    try {
      const wire = await this.connector.open(setup);
      this.opening = false;
      if (![...this.tabs].some(({wants}) => wants)) {
        wire.close();
        return;
      }
      this.wire = wire;
      wire.onClosed((lost) => this.ended(lost));
      for (const tab of this.tabs) {
        if (tab.wants) this.welcome(tab);
        else tab.line.say({did: "hint"});
      }
    } catch (error) {
      this.opening = false;
      this.ended(error instanceof Lost ? error : new Lost(0x101, error instanceof Error ? error.message : String(error)));
    }
  }

  private welcome(tab: Tab): void {
    tab.wants = false;
    tab.open = true;
    this.leader ??= tab;
    tab.line.say({did: "opened", leads: this.leader === tab});
  }

  private ended({code, text, unopened}: Lost): void {
    this.wire = undefined;
    this.leader = undefined;
    for (const tab of this.tabs) {
      tab.streams.clear();
      if (tab.open || tab.wants) tab.line.say({did: "closed", error: {code, text, unopened}});
      tab.open = tab.wants = false;
    }
  }

  private begin(tab: Tab, id: number, ask: (wire: Wire, receiver: Receiver) => WireStream): void {
    if (!this.wire) return;
    const over = (message: ToTab): void => {
      tab.streams.delete(id);
      if (tab.open) tab.line.say(message);
    };
    const stream = ask(this.wire, {
      // A copy: what lies around the bytes in their buffer would be cloned as well.
      next: (data) => tab.open && tab.line.say({did: "next", id, data: new Uint8Array(data)}),
      complete: () => over({did: "complete", id}),
      error: (error) => over({did: "error", id, error}),
    });
    tab.streams.set(id, stream);
  }

  private leave(tab: Tab): void {
    if (this.tabs.delete(tab)) this.letGo(tab);
  }

  /** The tab uses the connection no more; without anybody who does it ends. */
  private letGo(tab: Tab): void {
    tab.open = tab.wants = false;
    for (const stream of tab.streams.values()) stream.cancel();
    tab.streams.clear();
    const using = this.using();
    if (!using.length) this.wire?.close();
    else if (this.leader === tab) {
      this.leader = using[0]!;
      this.leader.line.say({did: "leads"});
    }
  }

  private using(): Tab[] {
    return [...this.tabs].filter(({open}) => open);
  }

  private async inspect(tab: Tab): Promise<void> {
    const traffic = await this.wire?.inspect?.().catch(() => undefined);
    if (traffic && tab.open) tab.line.say({did: "inspected", traffic, tabs: this.using().length});
  }
}
