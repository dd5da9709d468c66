import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import {type Connector, direct, inspect, type Setup, type Wire} from "../src/index.ts";
import {Host} from "../src/shared/host.ts";
import {type Air, led, steppingBack} from "../src/shared/leader.ts";
import {type Hired, overWorker} from "../src/shared/overworker.ts";
import {portLine, type ToHost, type ToTab} from "../src/shared/protocol.ts";
import {TabConnector} from "../src/shared/tab.ts";
import {makeSocket, OneProcessLocks, openRoom, Service, take, textOf, until} from "./service.ts";

let service: Service;

before(async () => {
  service = await Service.start();
});
after(() => service.stop());

/** Opens real connections and counts them. */
class Counting implements Connector {
  opened: Wire[] = [];
  private readonly own = direct(makeSocket);

  async open(setup: Setup): Promise<Wire> {
    const wire = await this.own.open(setup);
    this.opened.push(wire);
    return wire;
  }
}

/** A tab as a SharedWorker sees it: a port. */
function tabOf(host: Host): {connector: TabConnector; die: () => void} {
  const {port1, port2} = new MessageChannel();
  const die = host.add(portLine<ToTab, ToHost>(port2 as unknown as MessagePort));
  return {connector: new TabConnector(portLine<ToHost, ToTab>(port1 as unknown as MessagePort), () => "worker"), die};
}

test("three tabs share one connection, and each gets its own answers", async () => {
  const counting = new Counting();
  const host = new Host(counting);
  const tabs = [0, 1, 2].map(() => service.client("ada", {connector: tabOf(host).connector}));
  await openRoom(tabs[0]!, "shared");
  const watches = tabs.map((tab) => tab.room("shared").watch({after: 0, window: 4}));
  for (let i = 0; i < 12; i++) await tabs[i % 3]!.room("shared").send(`from tab ${i % 3}, ${i}`);
  const seen = await Promise.all(watches.map((watch) => take(watch, 12)));
  for (const events of seen) assert.deepEqual(events.map(({seq}) => seq), Array.from({length: 12}, (_, i) => BigInt(i + 1)));
  assert.equal(counting.opened.length, 1);
  for (const tab of tabs) tab.close();
});

test("a tab that is gone takes its streams along, and another one leads", async () => {
  const counting = new Counting();
  const host = new Host(counting);
  const [first, second] = [tabOf(host), tabOf(host)];
  const setup = {url: service.url, user: "ada", keepaliveMs: 30_000, lifetimeMs: 240_000};
  const leading = await first.connector.open(setup);
  const other = await second.connector.open(setup);
  assert.deepEqual([leading.leads, other.leads], [true, false]);
  const leads = new Promise<void>((resolve) => other.onLead(resolve));
  first.die();
  await leads;
  assert.equal(other.leads, true);
  second.die();
  await new Promise<void>((resolve) => counting.opened[0]!.onClosed(() => resolve()));
});

test("when the shared connection ends every tab resumes where it was", async () => {
  const counting = new Counting();
  const host = new Host(counting);
  const tabs = [0, 1].map(() => service.client("ada", {connector: tabOf(host).connector}));
  await openRoom(tabs[0]!, "resumed");
  const texts: (string | undefined)[][] = [[], []];
  tabs.forEach((tab, i) => tab.room("resumed").on("event", (event) => textOf(event) && texts[i]!.push(textOf(event))));
  await tabs[0]!.room("resumed").send("before");
  await until(() => texts.every(({length}) => length === 1), "both see it");
  host.close();
  await tabs[1]!.room("resumed").send("behind");
  await until(() => texts.every(({length}) => length === 2), "both see what follows");
  assert.deepEqual(texts, [["before", "behind"], ["before", "behind"]]);
  for (const tab of tabs) tab.close();
});

test("without a worker one tab leads, and when it closes the next one takes over", async () => {
  const locks = new OneProcessLocks();
  const counting = new Counting();
  const open = (name: string) =>
    service.client("ada", {connector: led("tidings", counting, new BroadcastChannel("tidings-test") as unknown as Air, locks, name)});
  const first = open("one");
  await openRoom(first, "handed");
  const second = open("two");
  const third = open("three");
  const seqs: bigint[] = [];
  third.room("handed").on("event", (event) => seqs.push(event.seq));
  const begun = (await first.room("handed").history()).events.length;
  await second.room("handed").send("one leads");
  await until(() => seqs.length === begun + 1, "the third tab sees it");
  assert.equal(counting.opened.length, 1);
  first.close();
  await second.room("handed").send("two leads");
  await until(() => seqs.length === begun + 2, "the third tab sees it again");
  assert.deepEqual(seqs, seqs.map((_, i) => BigInt(i + 1)));
  assert.equal(counting.opened.length, 2);
  second.close();
  third.close();
});

/** A worker as a tab sees it, with a host behind its port; `dead`: it never comes to life. */
function hired(host: Host, {dead = false, lock}: {dead?: boolean; lock?: string} = {}): Hired {
  const {port1, port2} = new MessageChannel() as unknown as {port1: MessagePort; port2: MessagePort};
  if (!dead) {
    const line = portLine<ToTab, ToHost>(port2);
    host.add(line);
    line.say({did: "hello", ...(lock !== undefined && {lock})});
  }
  return {port: port1, onerror: null};
}

test("a leader that is put aside lets the next one lead, and follows when it is back", async () => {
  const locks = new OneProcessLocks();
  const counting = new Counting();
  let lives = 0;
  const open = () => {
    const connector = steppingBack(() => led("aside", counting, new BroadcastChannel("aside-test") as unknown as Air, locks, `life ${lives++}`));
    return {connector, tab: service.client("ada", {connector})};
  };
  const first = open();
  await first.tab.session.ping();
  const second = open();
  await second.tab.session.ping();
  first.connector.aside!();
  await second.tab.session.ping();
  await until(async () => (await inspect(second.tab)).connection?.sharing === "leader", "the second one leads");
  await until(async () => (await inspect(first.tab)).connection?.sharing === "follower", "the first one follows");
  assert.equal(counting.opened.length, 2);
  for (const {tab} of [first, second]) tab.close();
});

test("a worker that does not run is done without", async () => {
  const ways: [string, () => Hired, number][] = [
    ["is forbidden", () => { throw new Error("a policy"); }, 60_000],
    ["says nothing", () => hired(new Host(direct(makeSocket)), {dead: true}), 20],
    ["cannot be read", () => {
      const worker = hired(new Host(direct(makeSocket)), {dead: true});
      setImmediate(() => worker.onerror?.(undefined as unknown as ErrorEvent));
      return worker;
    }, 60_000],
  ];
  for (const [what, hire, helloMs] of ways) {
    const counting = new Counting();
    const tab = service.client("ada", {connector: overWorker(hire, () => counting, undefined, helloMs)});
    await tab.session.ping();
    assert.equal(counting.opened.length, 1, what);
    assert.equal((await inspect(tab)).connection!.sharing, "own");
    tab.close();
  }
});

test("a worker that died is replaced, and every tab resumes where it was", async () => {
  const locks = new OneProcessLocks();
  const counting = new Counting();
  const lives: (() => void)[] = [];
  // A tab that asks finds the worker of the others, or starts one: here one for each life.
  const hosts: Host[] = [];
  const hire = (): Hired => {
    const life = lives.length === hosts.length ? hosts.length - 1 : hosts.length;
    hosts[life] ??= new Host(counting);
    return hired(hosts[life]!, {lock: `life ${life}`});
  };
  const begin = (): void => {
    hosts.push(new Host(counting));
    void locks.request(`life ${hosts.length - 1}`, {}, () => new Promise<void>((resolve) => lives.push(resolve)));
  };
  begin();
  await until(() => lives.length === 1, "the first life");
  const tabs = [0, 1].map(() => service.client("ada", {connector: overWorker(hire, () => counting, locks)}));
  await openRoom(tabs[0]!, "reborn");
  const seqs: bigint[] = [];
  tabs[1]!.room("reborn").on("event", (event) => seqs.push(event.seq));
  await tabs[0]!.room("reborn").send("one");
  await until(() => seqs.length >= 1, "the first message");
  begin();
  await until(() => lives.length === 2, "the second life");
  lives[0]!();
  counting.opened[0]!.close();
  await tabs[0]!.room("reborn").send("two");
  const {head} = await tabs[0]!.room("reborn").history({limit: 1});
  await until(() => seqs.at(-1) === head!.seq, "the second message");
  assert.deepEqual(seqs, seqs.map((_, i) => BigInt(i + 1)));
  assert.equal(counting.opened.length, 2);
  for (const tab of tabs) tab.close();
});

test("a tab that was put aside opens its share again when it is back", async () => {
  const host = new Host(direct(makeSocket));
  const connector = overWorker(() => hired(host), () => direct(makeSocket), undefined);
  const tab = service.client("ada", {connector});
  await tab.session.ping();
  connector.aside!();
  assert.equal((await inspect(tab)).connection, undefined);
  await tab.session.ping();
  assert.equal((await inspect(tab)).connection!.tabs, 1);
  tab.close();
});
