/**
 * What this device keeps for an account in localStorage, as `tidings.rooms NAME` or `tidings.draft NAME ROOM`, goes when the
 * account signs out, and is not written anew by what is still on the screen then.
 */
const ACCOUNT_KEYS: ReadonlySet<string> = new Set(["rooms", "last", "muted", "welcomed", "draft", "failed"].map((what) => `tidings.${what}`));
let currentAccount: string | undefined; // undefined: nobody has signed in on this page yet

/** From now on things are kept for this account, and for no other one. */
export function setAccount(account: string): void {
  currentAccount = account;
}

/** Whether something may be kept for this account. */
export function mayStoreFor(account: string): boolean {
  return currentAccount === undefined || currentAccount === account;
}

/** Forget all that is kept for it, and keep no more. */
export function clearAccount(account: string): void {
  currentAccount = "";
  for (const key of Object.keys(localStorage)) {
    const [what = "", user] = key.split(" ");
    if (user === account && ACCOUNT_KEYS.has(what)) localStorage.removeItem(key);
  }
}
