/** Something that was asked of the service: whether it is on its way, and what it said if it did not work. */
import {ApiError} from "@tidings/client";
import {useEffect, useRef, useState} from "preact/hooks";
import {t} from "../i18n/i18n.ts";
import {sentence} from "./sentence.ts";

export interface RequestState {
  readonly isBusy: boolean;
  readonly error: string | undefined;
  /** One at a time; whether it worked. */
  readonly run: (work: () => Promise<unknown>) => Promise<boolean>;
  /** Say this, or nothing. */
  readonly setError: (error: string | undefined) => void;
}

export function useRequest(): RequestState {
  const [busy, setBusy] = useState(false);
  const [wrong, say] = useState<string | undefined>(undefined);
  const running = useRef(false);
  const gone = useRef(false);
  useEffect(() => () => void (gone.current = true), []);
  const run = async (work: () => Promise<unknown>): Promise<boolean> => {
    if (running.current) return false;
    running.current = true;
    setBusy(true);
    say(undefined);
    let problem: string | undefined;
    try {
      await work();
    } catch (error) {
      problem = sentence(errorText(error));
    }
    running.current = false;
    if (!gone.current) {
      setBusy(false);
      say(problem);
    }
    return problem === undefined;
  };
  return {isBusy: busy, error: wrong, run, setError: say};
}

/** The service's own sentence, which says what to do. */
export function errorText(error: unknown): string {
  return error instanceof ApiError ? error.text : error instanceof Error && error.message ? error.message : t("failed.unknown");
}
