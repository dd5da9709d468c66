import assert from "node:assert/strict";
import {after, before, test} from "node:test";
import {type Connector, directConnector, inspect, type Setup, type Connection} from "../src/index.ts";
import {ConnectionHost} from "../src/shared/connection-host.ts";
import {type BroadcastPort, connectThroughLeader, releaseOnPageHide} from "../src/shared/leader.ts";
import {type WorkerHandle, connectThroughWorker} from "../src/shared/shared-worker.ts";
import {pipeOverPort, type ToHost, type ToTab} from "../src/shared/protocol.ts";
import {TabConnector} from "../src/shared/tab-connection.ts";
import {makeSocket, InProcessLocks, openRoom, TestService, takeItems, textOf, waitUntil} from "./test-service.ts";

let service: TestService;

before(async () => {
  service = await TestService.start();
});
after(() => service.stop());

/** Opens real connections and counts them. */
class CountingConnector implements Connector {
  connections: Connection[] = [];
  private readonly inner = directConnector(makeSocket);

  async open(setup: Setup): Promise<Connection> {
    const connection = await this.inner.open(setup);
    this.connections.push(connection);
    return connection;
  }
}

/** A tab as a SharedWorker sees it: a port. */
function tabOf(host: ConnectionHost): {connector: TabConnector; die: () => void} {
  const {port1, port2} = new MessageChannel();
  const die = host.add(pipeOverPort<ToTab, ToHost>(port2 as unknown as MessagePort));
  return {connector: new TabConnector(pipeOverPort<ToHost, ToTab>(port1 as unknown as MessagePort), () => "worker"), die};
}

test("three tabs share one connection, and each gets its own answers", async () => {
  const counting = new CountingConnector();
  const host = new ConnectionHost(counting);
  const tabs = [0, 1, 2].map(() => service.client("ada", {connector: tabOf(host).connector}));
  await openRoom(tabs[0]!, "shared");
  const watches = tabs.map((tab) => tab.room("shared").watch({after: 0, window: 4}));
  for (let i = 0; i < 12; i++) await tabs[i % 3]!.room("shared").send(`from tab ${i % 3}, ${i}`);
  const seen = await Promise.all(watches.map((watch) => takeItems(watch, 12)));
  for (const events of seen) assert.deepEqual(events.map(({seq}) => seq), Array.from({length: 12}, (_, i) => BigInt(i + 1)));
  assert.equal(counting.connections.length, 1);
  for (const tab of tabs) tab.close();
});

test("a tab that is gone takes its streams along, and another one leads", async () => {
  const counting = new CountingConnector();
  const host = new ConnectionHost(counting);
  const [first, second] = [tabOf(host), tabOf(host)];
  const setup = {url: service.url, user: "ada", keepaliveMs: 30_000, lifetimeMs: 240_000};
  const leading = await first.connector.open(setup);
  const other = await second.connector.open(setup);
  assert.deepEqual([leading.isLeader, other.isLeader], [true, false]);
  const leads = new Promise<void>((resolve) => other.onBecomeLeader(resolve));
  first.die();
  await leads;
  assert.equal(other.isLeader, true);
  second.die();
  await new Promise<void>((resolve) => counting.connections[0]!.onClosed(() => resolve()));
});

test("when the shared connection ends every tab resumes where it was", async () => {
  const counting = new CountingConnector();
  const host = new ConnectionHost(counting);
  const tabs = [0, 1].map(() => service.client("ada", {connector: tabOf(host).connector}));
  await openRoom(tabs[0]!, "resumed");
  const texts: (string | undefined)[][] = [[], []];
  tabs.forEach((tab, i) => tab.room("resumed").on("event", (event) => textOf(event) && texts[i]!.push(textOf(event))));
  await tabs[0]!.room("resumed").send("before");
  await waitUntil(() => texts.every(({length}) => length === 1), "both see it");
  host.close();
  await tabs[1]!.room("resumed").send("behind");
  await waitUntil(() => texts.every(({length}) => length === 2), "both see what follows");
  assert.deepEqual(texts, [["before", "behind"], ["before", "behind"]]);
  for (const tab of tabs) tab.close();
});

test("without a worker one tab leads, and when it closes the next one takes over", async () => {
  const locks = new InProcessLocks();
  const counting = new CountingConnector();
  const open = (name: string) =>
    service.client("ada", {connector: connectThroughLeader("tidings", counting, new BroadcastChannel("tidings-test") as unknown as BroadcastPort, locks, name)});
  const first = open("one");
  await openRoom(first, "handed");
  const second = open("two");
  const third = open("three");
  const seqs: bigint[] = [];
  third.room("handed").on("event", (event) => seqs.push(event.seq));
  const begun = (await first.room("handed").history()).events.length;
  await second.room("handed").send("one leads");
  await waitUntil(() => seqs.length === begun + 1, "the third tab sees it");
  assert.equal(counting.connections.length, 1);
  first.close();
  await second.room("handed").send("two leads");
  await waitUntil(() => seqs.length === begun + 2, "the third tab sees it again");
  assert.deepEqual(seqs, seqs.map((_, i) => BigInt(i + 1)));
  assert.equal(counting.connections.length, 2);
  second.close();
  third.close();
});

/** A worker as a tab sees it, with a host behind its port; `dead`: it never comes to life. */
function fakeWorker(host: ConnectionHost, {dead = false, lock}: {dead?: boolean; lock?: string} = {}): WorkerHandle {
  const {port1, port2} = new MessageChannel() as unknown as {port1: MessagePort; port2: MessagePort};
  if (!dead) {
    const line = pipeOverPort<ToTab, ToHost>(port2);
    host.add(line);
    line.send({type: "hello", ...(lock !== undefined && {lock})});
  }
  return {port: port1, onerror: null};
}

test("a leader that is put aside lets the next one lead, and follows when it is back", async () => {
  const locks = new InProcessLocks();
  const counting = new CountingConnector();
  let lives = 0;
  const open = () => {
    const connector = releaseOnPageHide(() => connectThroughLeader("aside", counting, new BroadcastChannel("aside-test") as unknown as BroadcastPort, locks, `life ${lives++}`));
    return {connector, tab: service.client("ada", {connector})};
  };
  const first = open();
  await first.tab.session.ping();
  const second = open();
  await second.tab.session.ping();
  first.connector.onPageHide!();
  await second.tab.session.ping();
  await waitUntil(async () => (await inspect(second.tab)).connection?.sharing === "leader", "the second one leads");
  await waitUntil(async () => (await inspect(first.tab)).connection?.sharing === "follower", "the first one follows");
  assert.equal(counting.connections.length, 2);
  for (const {tab} of [first, second]) tab.close();
});

test("a worker that does not run is done without", async () => {
  const ways: [string, () => WorkerHandle, number][] = [
    ["is forbidden", () => { throw new Error("a policy"); }, 60_000],
    ["says nothing", () => fakeWorker(new ConnectionHost(directConnector(makeSocket)), {dead: true}), 20],
    ["cannot be read", () => {
      const worker = fakeWorker(new ConnectionHost(directConnector(makeSocket)), {dead: true});
      setImmediate(() => worker.onerror?.(undefined as unknown as ErrorEvent));
      return worker;
    }, 60_000],
  ];
  for (const [what, hire, helloMs] of ways) {
    const counting = new CountingConnector();
    const tab = service.client("ada", {connector: connectThroughWorker(hire, () => counting, undefined, helloMs)});
    await tab.session.ping();
    assert.equal(counting.connections.length, 1, what);
    assert.equal((await inspect(tab)).connection!.sharing, "own");
    tab.close();
  }
});

test("a worker that died is replaced, and every tab resumes where it was", async () => {
  const locks = new InProcessLocks();
  const counting = new CountingConnector();
  const lives: (() => void)[] = [];
  // A tab that asks finds the worker of the others, or starts one: here one for each life.
  const hosts: ConnectionHost[] = [];
  const hire = (): WorkerHandle => {
    const life = lives.length === hosts.length ? hosts.length - 1 : hosts.length;
    hosts[life] ??= new ConnectionHost(counting);
    return fakeWorker(hosts[life]!, {lock: `life ${life}`});
  };
  const begin = (): void => {
    hosts.push(new ConnectionHost(counting));
    void locks.request(`life ${hosts.length - 1}`, {}, () => new Promise<void>((resolve) => lives.push(resolve)));
  };
  begin();
  await waitUntil(() => lives.length === 1, "the first life");
  const tabs = [0, 1].map(() => service.client("ada", {connector: connectThroughWorker(hire, () => counting, locks)}));
  await openRoom(tabs[0]!, "reborn");
  const seqs: bigint[] = [];
  tabs[1]!.room("reborn").on("event", (event) => seqs.push(event.seq));
  await tabs[0]!.room("reborn").send("one");
  await waitUntil(() => seqs.length >= 1, "the first message");
  begin();
  await waitUntil(() => lives.length === 2, "the second life");
  lives[0]!();
  counting.connections[0]!.close();
  await tabs[0]!.room("reborn").send("two");
  const {head} = await tabs[0]!.room("reborn").history({limit: 1});
  await waitUntil(() => seqs.at(-1) === head!.seq, "the second message");
  assert.deepEqual(seqs, seqs.map((_, i) => BigInt(i + 1)));
  assert.equal(counting.connections.length, 2);
  for (const tab of tabs) tab.close();
});

test("a tab that was put aside opens its share again when it is back", async () => {
  const host = new ConnectionHost(directConnector(makeSocket));
  const connector = connectThroughWorker(() => fakeWorker(host), () => directConnector(makeSocket), undefined);
  const tab = service.client("ada", {connector});
  await tab.session.ping();
  connector.onPageHide!();
  assert.equal((await inspect(tab)).connection, undefined);
  await tab.session.ping();
  assert.equal((await inspect(tab)).connection!.tabs, 1);
  tab.close();
});
