/** Something that was asked of the service: whether it is on its way, and what it said if it did not work. */
import {Failure} from "@tidings/client";
import {useEffect, useRef, useState} from "preact/hooks";
import {t} from "../words/words.ts";
import {sentence} from "./sentence.ts";

export interface Task {
  readonly busy: boolean;
  readonly wrong: string | undefined;
  /** One at a time; whether it worked. */
  readonly run: (work: () => Promise<unknown>) => Promise<boolean>;
  /** Say this, or nothing. */
  readonly say: (wrong: string | undefined) => void;
}

export function useTask(): Task {
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
      problem = sentence(why(error));
    }
    running.current = false;
    if (!gone.current) {
      setBusy(false);
      say(problem);
    }
    return problem === undefined;
  };
  return {busy, wrong, run, say};
}

/** The service's own sentence, which says what to do. */
export function why(error: unknown): string {
  return error instanceof Failure ? error.text : error instanceof Error && error.message ? error.message : t("failed.unknown");
}
