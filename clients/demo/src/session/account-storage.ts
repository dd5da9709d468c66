/**
 * What this device stores for an account in localStorage, under keys as `tidings.rooms NAME` or `tidings.draft NAME ROOM`. It
 * is removed when the account signs out, and components that are still on the page then do not write it again.
 */
const ACCOUNT_KEYS: ReadonlySet<string> = new Set(["rooms", "last", "muted", "welcomed", "draft", "failed"].map((what) => `tidings.${what}`));
let currentAccount: string | undefined; // undefined: no account has signed in on this page yet

/** From now on only data of this account is stored. */
export function setAccount(account: string): void {
  currentAccount = account;
}

/** Whether data of this account may be stored. */
export function mayStoreFor(account: string): boolean {
  return currentAccount === undefined || currentAccount === account;
}

/** Remove all stored data of the account, and store no more. */
export function clearAccount(account: string): void {
  currentAccount = "";
  for (const key of Object.keys(localStorage)) {
    const [what = "", user] = key.split(" ");
    if (user === account && ACCOUNT_KEYS.has(what)) localStorage.removeItem(key);
  }
}
