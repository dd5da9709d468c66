/**
 * The signed-in user, and the one client that the whole page uses.
 *
 * In development mode a name is enough. In production a token identifies the user; it is sent inside the connection and is
 * never part of an address. The credentials are stored for this tab, so that a reload keeps the session, and if wanted on
 * this device, for new tabs. A tab may be signed in as another user: its own credentials come first.
 */
import {batch, type ReadonlySignal, signal} from "@preact/signals";
import {connect, type ApiError, type ConnectOptions, type ClientState, type TidingsClient} from "@tidings/client";
import {clearAccount, setAccount} from "./account-storage.ts";
import {serviceUrl, serverConfig} from "./server-config.ts";

/** A name in development mode, a token in production. */
export type Credentials = {readonly user: string} | {readonly token: string};

const STORAGE_KEY = "tidings.identity";

const tidings = signal<TidingsClient | undefined>(undefined);
const me = signal("");
const state = signal<ClientState>("connecting");
const lastError = signal<ApiError | undefined>(undefined);
const isSignedIn = signal(false);
const expiresAtMs = signal<number | undefined>(undefined);
let token: string | undefined; // the newest one: each new connection uses it

export const session: {
  /** The client; undefined while signed out. */
  readonly tidings: ReadonlySignal<TidingsClient | undefined>;
  /** My name; empty while signed out. */
  readonly me: ReadonlySignal<string>;
  readonly state: ReadonlySignal<ClientState>;
  /** The error of the last connection attempt, or the one that ended the session. */
  readonly lastError: ReadonlySignal<ApiError | undefined>;
  /** Whether the chat is shown: after the service accepted the credentials, and at once after a reload. */
  readonly isSignedIn: ReadonlySignal<boolean>;
  /** When the token expires, by the clock of this device; undefined: never, or not known. */
  readonly expiresAtMs: ReadonlySignal<number | undefined>;
  /** Development mode: a name is enough. */
  readonly isDev: boolean;
} = {tidings, me, state, lastError, isSignedIn, expiresAtMs, isDev: serverConfig.isDev};

/** Sign in. Returns at once; `session.state` shows the result. `keep`: store the credentials on this device, not only in this tab. */
export function signIn(credentials: Credentials, keep: boolean): void {
  startClient(credentials, false, () => {
    // Only after the service accepted them: otherwise the next load would show the stored data of the user that a forged token
    // names.
    const stored = JSON.stringify(credentials);
    sessionStorage.setItem(STORAGE_KEY, stored);
    if (keep) localStorage.setItem(STORAGE_KEY, stored);
  });
}

/** Restore the session after a reload; false: there was none. */
export function restoreSession(): boolean {
  const stored = sessionStorage.getItem(STORAGE_KEY) ?? localStorage.getItem(STORAGE_KEY);
  const credentials = stored === null ? undefined : readCredentials(stored);
  // The service was restarted in the other mode: a name is no credential in production, nor a token in development.
  if (!credentials || "user" in credentials !== serverConfig.isDev) return false;
  startClient(credentials, true);
  return true;
}

/** The service no longer accepts the credentials: show the sign-in page, with the reason. */
export function returnToSignIn(): void {
  isSignedIn.value = false;
}

/** Replace the token, for the open connection and later ones. Raises ApiError if the service rejects it. */
export async function renewToken(newToken: string): Promise<void> {
  const client = tidings.peek();
  if (!client) return;
  await client.session.refresh(newToken);
  token = newToken;
  const stored = JSON.stringify({token: newToken});
  if (localStorage.getItem(STORAGE_KEY) === sessionStorage.getItem(STORAGE_KEY)) localStorage.setItem(STORAGE_KEY, stored);
  sessionStorage.setItem(STORAGE_KEY, stored);
  await fetchExpiry(client);
}

/** Sign out and remove all cached and stored data of the account. Messages waiting to be sent stay, for the next sign-in. */
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
  // The time is of the service's clock; the remaining time is the same on both clocks.
  if (tidings.peek() === client) expiresAtMs.value = at ? Date.now() + Number(at - nowMs) : undefined;
}

/** The user that a token names. For display only: the service verifies the token. */
function claimsOf(signed: string): {readonly iss: string; readonly sub: string} {
  try {
    const claims = (signed.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const {iss, sub} = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(claims), (char) => char.charCodeAt(0)))) as {iss?: unknown; sub?: unknown};
    return {iss: typeof iss === "string" ? iss : "", sub: typeof sub === "string" ? sub : ""};
  } catch {
    return {iss: "", sub: ""};
  }
}

function readCredentials(stored: string): Credentials | undefined {
  try {
    const {user, token: signed} = JSON.parse(stored) as {user?: unknown; token?: unknown};
    if (typeof user === "string") return {user};
    if (typeof signed === "string") return {token: signed};
  } catch {
    // Not written by this page.
  }
  return undefined;
}
