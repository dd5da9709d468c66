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
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly code: Code,
    readonly text: string,
    /** After how many milliseconds the service asks to retry; undefined: it gives no time. */
    readonly retryAfterMs?: number,
    /** Where to resume, for TOO_SLOW. */
    readonly cursor?: {readonly epoch: string; readonly seq: number},
  ) {
    super(`${Code[code] ?? code}: ${text}`);
  }
}

/** An ERROR on one stream, as the wire tells it: RSocket's number and the text. */
export interface StreamError {
  readonly code: number;
  readonly text: string;
  /** The WebSocket never opened. */
  readonly isUnopened?: boolean;
}

/** The connection ended (or never came to be). */
export class ConnectionLostError extends Error {
  override readonly name = "ConnectionLostError";

  constructor(
    readonly code: number,
    readonly text: string,
    /** The WebSocket never opened: nobody was there, or the handshake was refused. A browser does not tell which. */
    readonly isUnopened = false,
  ) {
    super(text);
  }
}

/** The request was certainly not carried out (RSocket REJECTED): it may be repeated whatever it was. */
export class RequestRejectedError extends Error {
  override readonly name = "RequestRejectedError";
}

const FIRST_STREAM_CODE = 0x201; // below it an ERROR is about the connection
const RSOCKET_REJECTED = 0x202;
const REJECTED_SETUP = 0x003;
const UNSUPPORTED_SETUP_CODES: ReadonlySet<number> = new Set([0x001, 0x002]);
const TRANSIENT_CODES: ReadonlySet<Code> = new Set([Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.TOO_SLOW]);

export const CALL_RETRY_CODES: ReadonlySet<Code> = new Set([Code.UNAVAILABLE]);
export const WATCH_RETRY_CODES: ReadonlySet<Code> = new Set([Code.UNAVAILABLE, Code.TOO_SLOW]);

/** What an ERROR that ended a stream means. */
export function classifyError({code, text}: StreamError): ApiError | ConnectionLostError | RequestRejectedError {
  if (code < FIRST_STREAM_CODE) return new ConnectionLostError(code, text);
  if (code === RSOCKET_REJECTED) return new RequestRejectedError(text);
  const known = Code[code] !== undefined;
  const [sentence = "", line = ""] = text.split("\n", 2);
  const {retryAfterMs, cursor} = fieldsOf(line);
  return new ApiError(known ? code : Code.INTERNAL, withoutCodeName(sentence) || `the service answered with error ${code}`, retryAfterMs, cursor);
}

/** The second line of an ERROR's data; without fields where it is missing, malformed or cut off. */
function fieldsOf(line: string): {retryAfterMs?: number; cursor?: {epoch: string; seq: number}} {
  let fields: {retryAfterMs?: unknown; cursor?: {epoch?: unknown; seq?: unknown} | null} | null;
  try {
    fields = JSON.parse(line);
  } catch {
    return {};
  }
  const {retryAfterMs, cursor} = fields ?? {};
  return {
    ...(isCount(retryAfterMs) && retryAfterMs > 0 && {retryAfterMs}),
    ...(typeof cursor?.epoch === "string" && isCount(cursor.seq) && {cursor: {epoch: cursor.epoch, seq: cursor.seq}}),
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Whether the client repeats by itself; `codes` is CALL_AGAIN or WATCH_AGAIN. */
export function shouldRetry(failure: ApiError, codes: ReadonlySet<Code>): boolean {
  return failure.code === Code.RESOURCE_EXHAUSTED ? failure.retryAfterMs !== undefined : codes.has(failure.code);
}

/** Why another attempt with the same credentials is of no use; undefined: it may help. */
export function permanentFailure(lost: ConnectionLostError): ApiError | undefined {
  const code = codeNamedIn(lost.text);
  if (code !== undefined) return TRANSIENT_CODES.has(code) ? undefined : new ApiError(code, withoutCodeName(lost.text));
  if (lost.code === REJECTED_SETUP) return new ApiError(Code.UNAUTHENTICATED, lost.text);
  if (UNSUPPORTED_SETUP_CODES.has(lost.code)) return new ApiError(Code.UNIMPLEMENTED, `the service does not take this client: ${lost.text}`);
  return undefined;
}

export function clientClosed(): ApiError {
  return new ApiError(Code.UNAVAILABLE, "the client is closed");
}

function codeNamedIn(text: string): Code | undefined {
  const name = /^([A-Z_]+): /.exec(text)?.[1];
  const code = name === undefined ? undefined : Code[name as keyof typeof Code];
  return typeof code === "number" ? code : undefined;
}

function withoutCodeName(text: string): string {
  return codeNamedIn(text) === undefined ? text : text.slice(text.indexOf(": ") + 2);
}
