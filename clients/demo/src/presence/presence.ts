/**
 * Who is there: a signal for each person that something on the page looks at. Only these are watched, with one stream for
 * all of them; when somebody new comes into view it is opened anew with everybody who is looked at then.
 */
import {effect, type ReadonlySignal, type Signal, signal} from "@preact/signals";
import {Status, type TidingsClient, type Watch} from "@tidings/client";
import {session} from "../session/session.ts";

export type PresenceStatus = "online" | "away" | "busy" | "offline" | "unknown";

export interface UserPresence {
  readonly status: PresenceStatus;
  readonly text: string;
  /** When they were last here, Unix milliseconds; undefined while they are, or where it is not known. */
  readonly lastSeenMs?: number;
}

const STATUS_NAMES: Readonly<Record<number, PresenceStatus>> = {
  [Status.OFFLINE]: "offline",
  [Status.ONLINE]: "online",
  [Status.AWAY]: "away",
  [Status.BUSY]: "busy",
};
const UNKNOWN: UserPresence = {status: "unknown", text: ""};
const BATCH_MS = 100; // a list of people comes into view one by one
const WATCHED_MAX = 1_000; // the service takes no more names in one watch

const presences = new Map<string, Signal<UserPresence>>();
const observedUsers = new Set<string>();
let watchedUsers = new Set<string>();
let watch: Watch<unknown> | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

/** The state of this user, kept true while something looks at it; without a connection nobody's is known. */
export function presenceOf(user: string): UserPresence {
  const known = presenceSignal(user).value;
  return session.state.value === "online" ? known : UNKNOWN;
}

/** The state of this user as it was serverConfig last, as a signal. */
export function presenceSignal(user: string): ReadonlySignal<UserPresence> {
  let found = presences.get(user);
  if (!found) {
    found = signal(UNKNOWN, {
      watched: () => {
        observedUsers.add(user);
        if (!watchedUsers.has(user)) timer ??= setTimeout(restartWatch, BATCH_MS);
      },
      unwatched: () => observedUsers.delete(user),
    });
    presences.set(user, found);
  }
  return found;
}

function setPresence(user: string, now: UserPresence): void {
  const known = presences.get(user);
  if (known) known.value = now;
}

effect(() => {
  const client = session.tidings.value;
  stopWatch();
  for (const known of presences.values()) known.value = UNKNOWN;
  if (client && observedUsers.size) timer = setTimeout(restartWatch, BATCH_MS);
});

function stopWatch(): void {
  clearTimeout(timer);
  timer = undefined;
  watch?.close();
  watch = undefined;
  watchedUsers = new Set();
}

function restartWatch(): void {
  stopWatch();
  const client = session.tidings.peek();
  watchedUsers = new Set([...observedUsers].slice(0, WATCHED_MAX));
  if (client && watchedUsers.size) void follow(client, [...watchedUsers]);
}

async function follow(client: TidingsClient, users: string[]): Promise<void> {
  const mine = client.presence(users);
  watch = mine;
  try {
    for await (const {item} of mine) {
      if (item.case !== "user") continue;
      const {user, status, text, lastSeenMs} = item.value;
      const seenMs = Number(lastSeenMs);
      setPresence(user, {status: STATUS_NAMES[status] ?? "offline", text, ...(seenMs && {lastSeenMs: seenMs})});
    }
  } catch {
    // Refused, or closed: the connection's banner says so. Nobody's state is known then.
    for (const user of users) setPresence(user, UNKNOWN);
  }
}
