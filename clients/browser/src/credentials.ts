/** Who the client is, and where a fresh token comes from. */
import {Code, ApiError} from "./errors.ts";

/** A token, or a function that gives a fresh one each time it is called. */
export type TokenSource = string | (() => string | Promise<string>);

export class CredentialsProvider {
  constructor(
    private readonly source: TokenSource | undefined,
    readonly user: string | undefined,
    readonly password: string | undefined,
  ) {
    if (source !== undefined && user !== undefined) {
      throw new ApiError(Code.INVALID_ARGUMENT, "say token or user, not both: a token names its user");
    }
  }

  get isRenewable(): boolean {
    return typeof this.source === "function";
  }

  /** A token that is good now. Throws UNAVAILABLE when the caller's function throws. */
  async token(): Promise<string | undefined> {
    if (typeof this.source !== "function") return this.source;
    try {
      return await this.source();
    } catch (error) {
      if (error instanceof ApiError) throw error;
      throw new ApiError(Code.UNAVAILABLE, `no fresh token: ${String(error)}`);
    }
  }
}

/** Whose client this is, as far as it can be known without asking anybody. */
export function accountOf(token: TokenSource | undefined, user: string | undefined): string | undefined {
  if (user !== undefined) return user;
  if (typeof token !== "string") return undefined;
  try {
    const claims = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const {iss = "", sub} = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(claims), (c) => c.charCodeAt(0))));
    return typeof sub === "string" ? `${iss} ${sub}`.trim() : undefined;
  } catch {
    return undefined;
  }
}
