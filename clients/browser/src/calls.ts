/**
 * Calls: asked until they are answered.
 *
 * A call whose connection breaks before the answer is sent again on the next one. That is safe because the contract's
 * calls are idempotent: reads change nothing, writes carry a client_id.
 */
import {create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape, toBinary} from "@bufbuild/protobuf";
import {shouldRetry, CALL_RETRY_CODES, Code, ApiError, ConnectionLostError, RequestRejectedError} from "./errors.ts";
import {requestOnce, type Reconnector} from "./reconnector.ts";
import {Backoff} from "./backoff.ts";
import type {Connection} from "./connection.ts";

const CALL_MS = 30_000; // a restart of the service fits in it

/** A method of the contract that is a call. */
export interface Method<I extends DescMessage, O extends DescMessage> {
  readonly name: string;
  readonly parent: {readonly name: string};
  readonly input: I;
  readonly output: O;
}

/** The route of a method: `chat.send`. */
function routeOf(method: {readonly name: string; readonly parent: {readonly name: string}}): string {
  return `${method.parent.name}.${method.name}`.toLowerCase();
}

/** The reply. Rejects with Failure; UNAVAILABLE when there was none within `ms` (Infinity: waits for ever). */
export async function call<I extends DescMessage, O extends DescMessage>(
  reconnector: Reconnector,
  method: Method<I, O>,
  init: MessageInitShape<I>,
  ms: number = CALL_MS,
): Promise<MessageShape<O>> {
  const route = routeOf(method);
  const data = toBinary(method.input, create(method.input, init));
  const stop = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    if (ms !== Infinity) timer = setTimeout(() => reject(timeoutError(reconnector, route, ms)), ms);
  });
  try {
    return fromBinary(method.output, await Promise.race([callWithRetries(reconnector, route, data, stop.signal), timeout]));
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

async function callWithRetries(reconnector: Reconnector, route: string, data: Uint8Array, stop: AbortSignal): Promise<Uint8Array> {
  const attempts = new Backoff(reconnector.settings.backoff);
  for (;;) {
    const connection = await waitForConnection(reconnector, stop);
    let pauseMs = 0;
    try {
      return await requestOnce(connection, route, data);
    } catch (error) {
      if (error instanceof RequestRejectedError) pauseMs = attempts.nextDelayMs();
      else if (error instanceof ApiError && shouldRetry(error, CALL_RETRY_CODES)) pauseMs = attempts.nextDelayMs(error.retryAfterMs);
      // The next connection comes after a pause of its own.
      else if (!(error instanceof ConnectionLostError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** The living connection, waiting for it if need be. Rejects when there will be none; stops waiting when nobody cares. */
function waitForConnection(reconnector: Reconnector, stop: AbortSignal): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const observer = {
      onConnected(connection: Connection) {
        reconnector.removeObserver(observer);
        resolve(connection);
      },
      onClosed: reject,
    };
    if (stop.aborted) {
      reject(new ApiError(Code.UNAVAILABLE, "nobody waits for the answer any more"));
      return;
    }
    stop.addEventListener("abort", () => reconnector.removeObserver(observer), {once: true});
    reconnector.addObserver(observer);
  });
}

function timeoutError(reconnector: Reconnector, route: string, ms: number): ApiError {
  const reason = reconnector.connection || !reconnector.lastError ? "" : `; ${reconnector.lastError.text}`;
  return new ApiError(Code.UNAVAILABLE, `no answer to ${route} within ${ms / 1000} s${reason}`);
}
