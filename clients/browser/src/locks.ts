import {newName} from "./names.ts";

/** The part of `navigator.locks` that is used. */
export interface Locks {
  request(name: string, options: {signal?: AbortSignal}, held: () => Promise<unknown>): Promise<unknown>;
}

/** What the platform has; undefined where it has none: they are kept from pages that came over plain http. */
export const platformLocks: Locks | undefined = (globalThis.navigator as Navigator | undefined)?.locks;

/** A lock that is had from `held` to `over`. */
export interface Held {
  readonly name: string;
  readonly held: Promise<string>;
  readonly over: Promise<void>;
  readonly release: () => void;
}

/** A lock of a new name until `release`, or until whoever asked for it is gone, however it went. */
export function holdLock(locks: Locks, kind: string): Held {
  const name = `tidings ${kind} ${newName()}`;
  let release = (): void => undefined;
  const over = new Promise<void>((resolve) => (release = resolve));
  const held = new Promise<string>((resolve) => {
    void locks.request(name, {}, () => {
      resolve(name);
      return over;
    });
  });
  return {name, held, over, release: () => release()};
}
