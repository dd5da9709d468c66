/**
 * Who is signed in, and the one client everything on the page uses.
 *
 * In development a name is enough. Otherwise a token says who one is; it is handed to the service inside the connection and
 * is never part of an address. Either is kept for this tab, so that a reload changes nothing, and on this device if wanted,
 * for the tabs to come. One tab may be somebody else: what it keeps for itself comes first.
 */
import {batch, type ReadonlySignal, signal} from "@preact/signals";
import {connect, type ApiError, type ConnectOptions, type ClientState, type TidingsClient} from "@tidings/client";
import {clearAccount, setAccount} from "./account-storage.ts";
import {serviceUrl, serverConfig} from "./server-config.ts";

/** What one signs in with. */
export type Credentials = {readonly user: string} | {readonly token: string};

const STORAGE_KEY = "tidings.identity";

const tidings = signal<TidingsClient | undefined>(undefined);
const me = signal("");
const state = signal<ClientState>("connecting");
const lastError = signal<ApiError | undefined>(undefined);
const isSignedIn = signal(false);
const expiresAtMs = signal<number | undefined>(undefined);
let token: string | undefined; // the newest: every connection is begun with it

export const session: {
  /** The client; undefined while nobody is signed in. */
  readonly tidings: ReadonlySignal<TidingsClient | undefined>;
  /** My name; empty while nobody is signed in. */
  readonly me: ReadonlySignal<string>;
  readonly state: ReadonlySignal<ClientState>;
  /** Why there is no connection: of the last attempt, or for good. */
  readonly lastError: ReadonlySignal<ApiError | undefined>;
  /** Whether the chat is shown: once the service has taken somebody, and after a reload at once. */
  readonly isSignedIn: ReadonlySignal<boolean>;
  /** When the token runs out, by this device's clock; undefined: never, or not known. */
  readonly expiresAtMs: ReadonlySignal<number | undefined>;
  /** In development a name is enough. */
  readonly isDev: boolean;
} = {tidings, me, state, lastError, isSignedIn, expiresAtMs, isDev: serverConfig.isDev};

/** Begin with these; returns at once, `session.state` tells how it goes. `keep`: on this device, not only in this tab. */
export function signIn(credentials: Credentials, keep: boolean): void {
  startClient(credentials, false, () => {
    // Not before the service has taken them: what a token says of itself would open, at the next load, what is kept of whom it
    // names.
    const kept = JSON.stringify(credentials);
    sessionStorage.setItem(STORAGE_KEY, kept);
    if (keep) localStorage.setItem(STORAGE_KEY, kept);
  });
}

/** Go on as before a reload; false: there was nobody. */
export function restoreSession(): boolean {
  const kept = sessionStorage.getItem(STORAGE_KEY) ?? localStorage.getItem(STORAGE_KEY);
  const credentials = kept === null ? undefined : readCredentials(kept);
  // Somebody of the other kind was here before the service was started anew: a name opens nothing now.
  if (!credentials || "user" in credentials !== serverConfig.isDev) return false;
  startClient(credentials, true);
  return true;
}

/** The service does not take me any more: back to where one signs in, which says why. */
export function returnToSignIn(): void {
  isSignedIn.value = false;
}

/** A new token of mine, for the connection there is and all to come. Throws what the service says against it. */
export async function renewToken(fresh: string): Promise<void> {
  const client = tidings.peek();
  if (!client) return;
  await client.session.refresh(fresh);
  token = fresh;
  const kept = JSON.stringify({token: fresh});
  if (localStorage.getItem(STORAGE_KEY) === sessionStorage.getItem(STORAGE_KEY)) localStorage.setItem(STORAGE_KEY, kept);
  sessionStorage.setItem(STORAGE_KEY, kept);
  await fetchExpiry(client);
}

/** Leave, and nothing that was read or begun here stays behind. What is on its way does, for the next time. */
export function signOut(): void {
  const mine = sessionStorage.getItem(STORAGE_KEY);
  sessionStorage.removeItem(STORAGE_KEY);
  if (mine === null || mine === localStorage.getItem(STORAGE_KEY)) localStorage.removeItem(STORAGE_KEY);
  const client = tidings.peek();
  clearAccount(me.peek());
  batch(() => {
    tidings.value = undefined;
    isSignedIn.value = false;
    me.value = "";
  });
  void client?.signOut();
}

function startClient(credentials: Credentials, isRestored: boolean, accepted?: () => void): void {
  const before = tidings.peek();
  let isAccepted = false;
  token = "token" in credentials ? credentials.token : undefined;
  const client = connect({url: serviceUrl(), ...credentialOptions(credentials)});
  client.on("state", (now) => {
    if (tidings.peek() !== client) return;
    batch(() => {
      state.value = now;
      lastError.value = client.lastError;
      if (now === "online" && !isAccepted) accepted?.();
      isAccepted ||= now === "online";
      if (now === "online") isSignedIn.value = true;
      else if (now === "refused" && !isAccepted) isSignedIn.value = false;
    });
    if (now === "online" && token !== undefined) void fetchExpiry(client).catch(() => undefined);
  });
  const user = "user" in credentials ? credentials.user.normalize("NFC") : claimsOf(credentials.token).sub;
  setAccount(user);
  batch(() => {
    state.value = client.state;
    lastError.value = undefined;
    expiresAtMs.value = undefined;
    me.value = user;
    tidings.value = client;
    isSignedIn.value = isRestored;
  });
  before?.close();
}

function credentialOptions(credentials: Credentials): Pick<ConnectOptions, "user" | "token" | "account"> {
  if ("user" in credentials) return credentials;
  const {iss, sub} = claimsOf(credentials.token);
  return {token: () => token ?? "", ...(sub && {account: `${iss} ${sub}`.trim()})};
}

async function fetchExpiry(client: TidingsClient): Promise<void> {
  const {expiresAtMs: at, nowMs} = await client.session.info();
  // The service's clock says when; how long that is from now is the same on ours.
  if (tidings.peek() === client) expiresAtMs.value = at ? Date.now() + Number(at - nowMs) : undefined;
}

/** Whom a token names. Shown only: the service is the one that checks it. */
function claimsOf(signed: string): {readonly iss: string; readonly sub: string} {
  try {
    const claims = (signed.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const {iss, sub} = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(claims), (char) => char.charCodeAt(0)))) as {iss?: unknown; sub?: unknown};
    return {iss: typeof iss === "string" ? iss : "", sub: typeof sub === "string" ? sub : ""};
  } catch {
    return {iss: "", sub: ""};
  }
}

function readCredentials(kept: string): Credentials | undefined {
  try {
    const {user, token: signed} = JSON.parse(kept) as {user?: unknown; token?: unknown};
    if (typeof user === "string") return {user};
    if (typeof signed === "string") return {token: signed};
  } catch {
    // Not ours.
  }
  return undefined;
}
