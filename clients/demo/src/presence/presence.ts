/**
 * Presence: a signal for each user that the page shows. Only these users are watched, with one stream for all of them. When
 * the page shows a new user, the stream is opened again with all users shown at that time.
 */
import {effect, type ReadonlySignal, type Signal, signal} from "@preact/signals";
import {Status, type TidingsClient, type Watch} from "@tidings/client";
import {session} from "../session/session.ts";

export type PresenceStatus = "online" | "away" | "busy" | "offline" | "unknown";

export interface UserPresence {
  readonly status: PresenceStatus;
  readonly text: string;
  /** Unix milliseconds; undefined while online, or if not known. */
  readonly lastSeenMs?: number;
}

const STATUS_NAMES: Readonly<Record<number, PresenceStatus>> = {
  [Status.OFFLINE]: "offline",
  [Status.ONLINE]: "online",
  [Status.AWAY]: "away",
  [Status.BUSY]: "busy",
};
const UNKNOWN: UserPresence = {status: "unknown", text: ""};
const BATCH_MS = 100; // a list of users renders one by one
const WATCHED_MAX = 1_000; // the limit of the service for one watch

const presences = new Map<string, Signal<UserPresence>>();
const observedUsers = new Set<string>();
let watchedUsers = new Set<string>();
let watch: Watch<unknown> | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

/** The presence of a user, updated while something shows it; unknown without a connection. */
export function presenceOf(user: string): UserPresence {
  const presence = presenceSignal(user).value;
  return session.state.value === "online" ? presence : UNKNOWN;
}

/** The last known presence of a user, as a signal. */
export function presenceSignal(user: string): ReadonlySignal<UserPresence> {
  let presence = presences.get(user);
  if (!presence) {
    presence = signal(UNKNOWN, {
      watched: () => {
        observedUsers.add(user);
        if (!watchedUsers.has(user)) timer ??= setTimeout(restartWatch, BATCH_MS);
      },
      unwatched: () => observedUsers.delete(user),
    });
    presences.set(user, presence);
  }
  return presence;
}

function setPresence(user: string, now: UserPresence): void {
  const presence = presences.get(user);
  if (presence) presence.value = now;
}

effect(() => {
  const client = session.tidings.value;
  stopWatch();
  for (const presence of presences.values()) presence.value = UNKNOWN;
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
    // Rejected or closed: the connection banner shows it. Presence is unknown then.
    for (const user of users) setPresence(user, UNKNOWN);
  }
}
