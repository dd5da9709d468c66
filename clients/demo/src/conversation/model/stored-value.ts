/** Values in localStorage per account and room, which survive a reload and are removed at sign-out. */
import {mayStoreFor} from "../../session/account-storage.ts";

export interface StoredValue<T> {
  load(): T | undefined;
  /** An empty text or list removes it. */
  save(value: T): void;
}

// A value of another shape, from an older version of the page or edited by hand, is ignored.
const isText = (value: unknown): boolean => typeof value === "string";
const VALIDATORS = {
  draft: isText,
  failed: (value: unknown): boolean => Array.isArray(value) && value.every((one) => isText(one?.clientId) && isText(one?.text)),
} as const;

/** The value `what` of a room of this account. If the storage is disabled or full, the value is lost at the next reload. */
export function storedValue<T extends {readonly length: number}>(what: keyof typeof VALIDATORS, account: string, room: string): StoredValue<T> {
  // Names contain no space. With a dot as separator, room b.c of user a would be room c of user a.b.
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
        // Components save when they are removed, which is after signing out.
        if (value.length && mayStoreFor(account)) localStorage.setItem(key, JSON.stringify(value));
        else localStorage.removeItem(key);
      } catch {
        // The value stays on the page only.
      }
    },
  };
}
