/** Small things that survive a reload, in the browser's localStorage: per account and room, until one signs out. */
import {mayStoreFor} from "../../session/account-storage.ts";

export interface StoredValue<T> {
  load(): T | undefined;
  /** An empty text or list removes it. */
  save(value: T): void;
}

// What was kept by an older page, or changed by somebody, is not shown if it is something else.
const isText = (value: unknown): boolean => typeof value === "string";
const VALIDATORS = {
  draft: isText,
  failed: (value: unknown): boolean => Array.isArray(value) && value.every((one) => isText(one?.clientId) && isText(one?.text)),
} as const;

/** `what` of a room of this account. A browser without storage, or with a full one, forgets at the next reload. */
export function storedValue<T extends {readonly length: number}>(what: keyof typeof VALIDATORS, account: string, room: string): StoredValue<T> {
  // A blank is in no name: with a dot, the room b.c of a would be the room c of a.b.
  const key = `tidings.${what} ${account} ${room}`;
  return {
    load() {
      try {
        const value: unknown = JSON.parse(localStorage.getItem(key) ?? "null");
        return VALIDATORS[what](value) ? (value as T) : undefined;
      } catch {
        return undefined;
      }
    },
    save(value) {
      try {
        // What is on the screen is saved when it goes, which is after somebody has signed out.
        if (value.length && mayStoreFor(account)) localStorage.setItem(key, JSON.stringify(value));
        else localStorage.removeItem(key);
      } catch {
        // It stays on the page, which is where it is looked at.
      }
    },
  };
}
