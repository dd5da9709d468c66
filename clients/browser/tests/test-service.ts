/** The real service for tests, and clients of it. */
import {type ChildProcess, spawn} from "node:child_process";
import {once} from "node:events";
import {mkdtempSync, rmSync} from "node:fs";
import {createServer} from "node:net";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {createInterface} from "node:readline";
import WebSocket from "ws";
import {connect, type LockManagerLike, type ConnectOptions, type TidingsClient} from "../src/index.ts";

const REPOSITORY = join(process.cwd(), "../..");
const GUARD_MS = 30_000;

export class TestService {
  private process: ChildProcess | undefined;
  private readonly data = mkdtempSync(join(tmpdir(), "tidings-browser-"));
  private readonly clients: TidingsClient[] = [];
  url = "";

  private constructor(
    private readonly port: number,
    private readonly settings: Record<string, string>,
  ) {}

  static async start(settings: Record<string, string> = {}): Promise<TestService> {
    const service = new TestService(await freePort(), settings);
    await service.run();
    return service;
  }

  /** Begin, or begin again on the same port and the same data. */
  async run(): Promise<void> {
    const options = ["serve", "--dev", "--port", String(this.port), "--tcp-port", "0", "--data", this.data];
    const child = spawn(join(REPOSITORY, ".venv/bin/tidings"), options, {
      stdio: ["ignore", "pipe", "pipe"],
      env: {...process.env, ...this.settings},
    });
    this.process = child;
    this.url = await new Promise((resolve, reject) => {
      let said = "";
      for (const stream of [child.stdout, child.stderr]) {
        createInterface(stream).on("line", (line) => {
          said += `${line}\n`;
          const found = /ws:\/\/\S+\/rsocket/.exec(line);
          if (found) resolve(found[0]);
        });
      }
      child.once("exit", () => reject(new Error(`the service ended: ${said}`)));
    });
  }

  /** SIGKILL: no goodbye. */
  async kill(): Promise<void> {
    const child = this.process!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  client(user: string, options: {[Name in keyof ConnectOptions]?: ConnectOptions[Name] | undefined} = {}): TidingsClient {
    const made = connect({url: this.url, user, makeSocket, jitter: FAST_BACKOFF, ...options} as ConnectOptions);
    this.clients.push(made);
    return made;
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    await this.kill();
    rmSync(this.data, {recursive: true, force: true});
  }
}

export const FAST_BACKOFF = {baseMs: 20, capMs: 100, draw: Math.random};

export function makeSocket(url: string): globalThis.WebSocket {
  return new WebSocket(url) as unknown as globalThis.WebSocket;
}

/** Web LockManagerLike as the specification has them, for one process: first come, first served. */
export class InProcessLocks implements LockManagerLike {
  private readonly queues = new Map<string, Promise<unknown>>();

  request(name: string, {signal}: {signal?: AbortSignal}, held: () => Promise<unknown>): Promise<unknown> {
    const turn = (this.queues.get(name) ?? Promise.resolve()).then(() => (signal?.aborted ? Promise.reject(signal.reason) : held()));
    this.queues.set(name, turn.catch(() => undefined));
    return turn;
  }
}

/** The first `count` values. */
export async function takeItems<T>(values: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const value of values) if (taken.push(value) === count) break;
  return taken;
}

/** Resolves when `reached()` holds; it is looked at after every event-loop turn of note. */
export async function waitUntil(reached: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + GUARD_MS;
  while (!(await reached())) {
    if (performance.now() > end) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A service's room must exist before it is written to. */
export async function openRoom(client: TidingsClient, name: string): Promise<void> {
  await client.rooms.create(name, {kind: 3});
}

export function textOf(event: {what: {case?: string | undefined; value?: unknown}}): string | undefined {
  return event.what.case === "posted" ? (event.what.value as {text: string}).text : undefined;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const {port} = server.address() as {port: number};
  server.close();
  await once(server, "close");
  return port;
}
