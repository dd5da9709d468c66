/**
 * Who is there: a signal for each person that something on the page looks at. Only these are watched, with one stream for
 * all of them; when somebody new comes into view it is opened anew with everybody who is looked at then.
 */
import {effect, type ReadonlySignal, type Signal, signal} from "@preact/signals";
import {Status, type Tidings, type Watch} from "@tidings/client";
import {session} from "../session.ts";

export type Standing = "online" | "away" | "busy" | "offline" | "unknown";

export interface Person {
  readonly status: Standing;
  readonly text: string;
  /** When they were last here, Unix milliseconds; undefined while they are, or where it is not known. */
  readonly lastSeenMs?: number;
}

const STANDINGS: Readonly<Record<number, Standing>> = {
  [Status.OFFLINE]: "offline",
  [Status.ONLINE]: "online",
  [Status.AWAY]: "away",
  [Status.BUSY]: "busy",
};
const UNKNOWN: Person = {status: "unknown", text: ""};
const GATHER_MS = 100; // a list of people comes into view one by one
const WATCHED_MAX = 1_000; // the service takes no more names in one watch

const people = new Map<string, Signal<Person>>();
const wanted = new Set<string>();
let asked = new Set<string>();
let watch: Watch<unknown> | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

/** The state of this user, kept true while something looks at it; without a connection nobody's is known. */
export function standing(user: string): Person {
  const known = person(user).value;
  return session.state.value === "online" ? known : UNKNOWN;
}

/** The state of this user as it was told last, as a signal. */
export function person(user: string): ReadonlySignal<Person> {
  let found = people.get(user);
  if (!found) {
    found = signal(UNKNOWN, {
      watched: () => {
        wanted.add(user);
        if (!asked.has(user)) timer ??= setTimeout(gather, GATHER_MS);
      },
      unwatched: () => wanted.delete(user),
    });
    people.set(user, found);
  }
  return found;
}

function learned(user: string, now: Person): void {
  const known = people.get(user);
  if (known) known.value = now;
}

effect(() => {
  const client = session.tidings.value;
  stop();
  for (const known of people.values()) known.value = UNKNOWN;
  if (client && wanted.size) timer = setTimeout(gather, GATHER_MS);
});

function stop(): void {
  clearTimeout(timer);
  timer = undefined;
  watch?.close();
  watch = undefined;
  asked = new Set();
}

function gather(): void {
  stop();
  const client = session.tidings.peek();
  asked = new Set([...wanted].slice(0, WATCHED_MAX));
  if (client && asked.size) void follow(client, [...asked]);
}

async function follow(client: Tidings, users: string[]): Promise<void> {
  const mine = client.presence(users);
  watch = mine;
  try {
    for await (const {item} of mine) {
      if (item.case !== "user") continue;
      const {user, status, text, lastSeenMs} = item.value;
      const seenMs = Number(lastSeenMs);
      learned(user, {status: STANDINGS[status] ?? "offline", text, ...(seenMs && {lastSeenMs: seenMs})});
    }
  } catch {
    // Refused, or closed: the connection's banner says so. Nobody's state is known then.
    for (const user of users) learned(user, UNKNOWN);
  }
}
