/** The state of a request to the service: whether it is pending, and the error text if it failed. */
import {ApiError} from "@tidings/client";
import {useEffect, useRef, useState} from "preact/hooks";
import {t} from "../i18n/i18n.ts";
import {sentence} from "./sentence.ts";

export interface RequestState {
  readonly isBusy: boolean;
  readonly error: string | undefined;
  /** Run one request at a time; returns whether it succeeded. */
  readonly run: (work: () => Promise<unknown>) => Promise<boolean>;
  /** Show this error, or none. */
  readonly setError: (error: string | undefined) => void;
}

export function useRequest(): RequestState {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<string | undefined>(undefined);
  const running = useRef(false);
  const unmounted = useRef(false);
  useEffect(() => () => void (unmounted.current = true), []);
  const run = async (work: () => Promise<unknown>): Promise<boolean> => {
    if (running.current) return false;
    running.current = true;
    setBusy(true);
    setError(undefined);
    let problem: string | undefined;
    try {
      await work();
    } catch (reason) {
      problem = sentence(errorText(reason));
    }
    running.current = false;
    if (!unmounted.current) {
      setBusy(false);
      setError(problem);
    }
    return problem === undefined;
  };
  return {isBusy, error, run, setError};
}

/** The error text of the service, which says what to do. */
export function errorText(error: unknown): string {
  return error instanceof ApiError ? error.text : error instanceof Error && error.message ? error.message : t("failed.unknown");
}
