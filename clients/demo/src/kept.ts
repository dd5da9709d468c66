/**
 * What this device keeps for an account in localStorage, as `tidings.rooms NAME` or `tidings.draft NAME ROOM`, goes when the
 * account signs out, and is not written anew by what is still on the screen then.
 */
const OF_AN_ACCOUNT: ReadonlySet<string> = new Set(["rooms", "last", "muted", "welcomed", "draft", "failed"].map((what) => `tidings.${what}`));
let current: string | undefined; // undefined: nobody has signed in on this page yet

/** From now on things are kept for this account, and for no other one. */
export function keepFor(account: string): void {
  current = account;
}

/** Whether something may be kept for this account. */
export function isKeptFor(account: string): boolean {
  return current === undefined || current === account;
}

/** Forget all that is kept for it, and keep no more. */
export function forget(account: string): void {
  current = "";
  for (const key of Object.keys(localStorage)) {
    const [what = "", user] = key.split(" ");
    if (user === account && OF_AN_ACCOUNT.has(what)) localStorage.removeItem(key);
  }
}
