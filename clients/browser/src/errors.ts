/**
 * What can go wrong, and what the client does about it by itself.
 *
 * | what happened                                  | call                 | watch                   |
 * |------------------------------------------------|----------------------|-------------------------|
 * | the connection was lost                        | again                | goes on from its cursor |
 * | UNAVAILABLE                                    | again                | goes on                 |
 * | RESOURCE_EXHAUSTED that says when to try again | again, then          | goes on, then           |
 * | TOO_SLOW                                       | thrown               | goes on                 |
 * | everything else                                | thrown               | thrown                  |
 */
import {Code} from "./gen/tidings/v1/errors_pb.ts";

export {Code};

/** What leaves this package when something failed: a code of the contract and a sentence that says what to do. */
export class Failure extends Error {
  override readonly name = "Failure";

  constructor(
    readonly code: Code,
    readonly text: string,
  ) {
    super(`${Code[code] ?? code}: ${text}`);
  }
}

/** An ERROR on one stream, as the wire tells it: RSocket's number and the text. */
export interface WireError {
  readonly code: number;
  readonly text: string;
  /** The WebSocket never opened. */
  readonly unopened?: boolean;
}

/** The connection ended (or never came to be). */
export class Lost extends Error {
  override readonly name = "Lost";

  constructor(
    readonly code: number,
    readonly text: string,
    /** The WebSocket never opened: nobody was there, or the handshake was refused. A browser does not tell which. */
    readonly unopened = false,
  ) {
    super(text);
  }
}

/** The request was certainly not carried out (RSocket REJECTED): it may be repeated whatever it was. */
export class Rejected extends Error {
  override readonly name = "Rejected";
}

const STREAM_CODES_FROM = 0x201; // below it an ERROR is about the connection
const RSOCKET_REJECTED = 0x202;
const REJECTED_SETUP = 0x003;
const SETUP_NOT_TAKEN: ReadonlySet<number> = new Set([0x001, 0x002]);
const PASSING: ReadonlySet<Code> = new Set([Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.TOO_SLOW]);

export const CALL_AGAIN: ReadonlySet<Code> = new Set([Code.UNAVAILABLE]);
export const WATCH_AGAIN: ReadonlySet<Code> = new Set([Code.UNAVAILABLE, Code.TOO_SLOW]);

/** What an ERROR that ended a stream means. */
export function answeredWith({code, text}: WireError): Failure | Lost | Rejected {
  if (code < STREAM_CODES_FROM) return new Lost(code, text);
  if (code === RSOCKET_REJECTED) return new Rejected(text);
  const known = Code[code] !== undefined;
  return new Failure(known ? code : Code.INTERNAL, sentence(text) || `the service answered with error ${code}`);
}

/** In how many milliseconds the service wants to be asked again; undefined: it did not say. */
export function retryMs(failure: Failure): number | undefined {
  const said = /\btry again in (\d+(?:\.\d+)?) ?(ms|s)\b/.exec(failure.text);
  if (!said) return undefined;
  return Number(said[1]) * (said[2] === "s" ? 1000 : 1);
}

/** Whether the client repeats by itself; `codes` is CALL_AGAIN or WATCH_AGAIN. */
export function again(failure: Failure, codes: ReadonlySet<Code>): boolean {
  return failure.code === Code.RESOURCE_EXHAUSTED ? retryMs(failure) !== undefined : codes.has(failure.code);
}

/** Why another attempt with the same credentials is of no use; undefined: it may help. */
export function refusal(lost: Lost): Failure | undefined {
  const code = namedCode(lost.text);
  if (code !== undefined) return PASSING.has(code) ? undefined : new Failure(code, sentence(lost.text));
  if (lost.code === REJECTED_SETUP) return new Failure(Code.UNAUTHENTICATED, lost.text);
  if (SETUP_NOT_TAKEN.has(lost.code)) return new Failure(Code.UNIMPLEMENTED, `the service does not take this client: ${lost.text}`);
  return undefined;
}

export function closed(): Failure {
  return new Failure(Code.UNAVAILABLE, "the client is closed");
}

function namedCode(text: string): Code | undefined {
  const name = /^([A-Z_]+): /.exec(text)?.[1];
  const code = name === undefined ? undefined : Code[name as keyof typeof Code];
  return typeof code === "number" ? code : undefined;
}

function sentence(text: string): string {
  return namedCode(text) === undefined ? text : text.slice(text.indexOf(": ") + 2);
}
