import {randomId} from "./random-id.ts";

/** The part of `navigator.locks` that is used. */
export interface LockManagerLike {
  request(name: string, options: {signal?: AbortSignal}, held: () => Promise<unknown>): Promise<unknown>;
}

/** What the platform has; undefined where it has none: they are kept from pages that came over plain http. */
export const platformLocks: LockManagerLike | undefined = (globalThis.navigator as Navigator | undefined)?.locks;

/** A lock that is had from `held` to `over`. */
export interface HeldLock {
  readonly name: string;
  readonly acquired: Promise<string>;
  readonly released: Promise<void>;
  readonly release: () => void;
}

/** A lock of a new name until `release`, or until whoever asked for it is gone, however it went. */
export function acquireOwnLock(locks: LockManagerLike, kind: string): HeldLock {
  const name = `tidings ${kind} ${randomId()}`;
  let release = (): void => undefined;
  const over = new Promise<void>((resolve) => (release = resolve));
  const held = new Promise<string>((resolve) => {
    void locks.request(name, {}, () => {
      resolve(name);
      return over;
    });
  });
  return {name, acquired: held, released: over, release: () => release()};
}
