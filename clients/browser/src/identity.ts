/** Who the client is, and where a fresh token comes from. */
import {Code, Failure} from "./errors.ts";

/** A token, or a function that gives a fresh one each time it is called. */
export type Token = string | (() => string | Promise<string>);

export class Identity {
  constructor(
    private readonly given: Token | undefined,
    readonly user: string | undefined,
    readonly password: string | undefined,
  ) {
    if (given !== undefined && user !== undefined) {
      throw new Failure(Code.INVALID_ARGUMENT, "say token or user, not both: a token names its user");
    }
  }

  get renewable(): boolean {
    return typeof this.given === "function";
  }

  /** A token that is good now. Throws UNAVAILABLE when the caller's function throws. */
  async token(): Promise<string | undefined> {
    if (typeof this.given !== "function") return this.given;
    try {
      return await this.given();
    } catch (error) {
      if (error instanceof Failure) throw error;
      throw new Failure(Code.UNAVAILABLE, `no fresh token: ${String(error)}`);
    }
  }
}

/** Whose client this is, as far as it can be known without asking anybody. */
export function accountOf(token: Token | undefined, user: string | undefined): string | undefined {
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
