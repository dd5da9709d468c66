/**
 * Calls: asked until they are answered.
 *
 * A call whose connection breaks before the answer is sent again on the next one. That is safe because the contract's
 * calls are idempotent: reads change nothing, writes carry a client_id.
 */
import {create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape, toBinary} from "@bufbuild/protobuf";
import {again, CALL_AGAIN, Code, Failure, Lost, Rejected, retryMs} from "./errors.ts";
import {ask, type Keeper} from "./keeper.ts";
import {Attempts} from "./reconnect.ts";
import type {Wire} from "./wire.ts";

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
  keeper: Keeper,
  method: Method<I, O>,
  init: MessageInitShape<I>,
  ms: number = CALL_MS,
): Promise<MessageShape<O>> {
  const route = routeOf(method);
  const data = toBinary(method.input, create(method.input, init));
  const stop = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    if (ms !== Infinity) timer = setTimeout(() => reject(noAnswer(keeper, route, ms)), ms);
  });
  try {
    return fromBinary(method.output, await Promise.race([untilAnswered(keeper, route, data, stop.signal), late]));
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

async function untilAnswered(keeper: Keeper, route: string, data: Uint8Array, stop: AbortSignal): Promise<Uint8Array> {
  const attempts = new Attempts(keeper.settings.jitter);
  for (;;) {
    const wire = await linked(keeper, stop);
    let pauseMs = 0;
    try {
      return await ask(wire, route, data);
    } catch (error) {
      if (error instanceof Rejected) pauseMs = attempts.nextMs();
      else if (error instanceof Failure && again(error, CALL_AGAIN)) pauseMs = attempts.nextMs(retryMs(error));
      // The next connection comes after a pause of its own.
      else if (!(error instanceof Lost)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** The living wire, waiting for it if need be. Rejects when there will be none; stops waiting when nobody cares. */
function linked(keeper: Keeper, stop: AbortSignal): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const follower = {
      wireUp(wire: Wire) {
        keeper.unfollow(follower);
        resolve(wire);
      },
      wireGoneForGood: reject,
    };
    if (stop.aborted) {
      reject(new Failure(Code.UNAVAILABLE, "nobody waits for the answer any more"));
      return;
    }
    stop.addEventListener("abort", () => keeper.unfollow(follower), {once: true});
    keeper.follow(follower);
  });
}

function noAnswer(keeper: Keeper, route: string, ms: number): Failure {
  const why = keeper.wire || !keeper.trouble ? "" : `; ${keeper.trouble.text}`;
  return new Failure(Code.UNAVAILABLE, `no answer to ${route} within ${ms / 1000} s${why}`);
}
