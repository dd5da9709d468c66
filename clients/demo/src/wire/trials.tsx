/** What one can try: read slower than people write, not at all, or lose the connection; and what is to be seen then. */
import {drop} from "@tidings/client";
import {useEffect, useRef} from "preact/hooks";
import {Button} from "../parts/button.tsx";
import {session} from "../session.ts";
import {t} from "../words/words.ts";
import {pace, type Reading} from "./pace.ts";
import {now} from "./readings.ts";

const DROP_MS = 30_000;
const SPEEDS = [1, 5, 20] as const;
const WAYS = ["freely", "slowly", "stopped"] as const;

export function Trials() {
  const reading = pace.reading.value;
  const speed = useRef<number>(SPEEDS[0]);
  // Who closes the panel wants to chat, not to wonder where the messages are.
  useEffect(() => () => pace.read({how: "freely"}), []);
  const choose = (how: Reading["how"]): void => pace.read(how === "slowly" ? {how, perSecond: speed.current} : {how});
  return (
    <section aria-labelledby="wire-try">
      <h3 id="wire-try">{t("wire.try")}</h3>
      <fieldset class="segments">
        <legend class="unseen">{t("wire.reading")}</legend>
        {WAYS.map((how) => (
          <label key={how}>
            <input type="radio" name="wire-reading" checked={reading.how === how} onChange={() => choose(how)} />
            {t(`wire.${how}`)}
          </label>
        ))}
      </fieldset>
      {reading.how === "slowly" && (
        <label class="speed">
          {t("wire.speed")}
          <select
            class="input"
            value={reading.perSecond}
            onChange={(event) => {
              speed.current = Number(event.currentTarget.value);
              choose("slowly");
            }}
          >
            {SPEEDS.map((n) => (
              <option key={n} value={n}>
                {t("wire.perSecond", {n})}
              </option>
            ))}
          </select>
        </label>
      )}
      <p class="explained" role="status">
        {t(`wire.${reading.how}Explained`)}
      </p>
      <Dropping />
    </section>
  );
}

function Dropping() {
  const client = session.tidings.value;
  const endsMs = now.value?.dropEndsMs;
  if (endsMs === undefined) {
    return (
      <div class="dropping">
        <Button icon="cloudOff" disabled={!client || now.value?.state !== "online"} onClick={() => client && drop(client, DROP_MS)}>
          {t("wire.drop", {n: DROP_MS / 1000})}
        </Button>
        <p class="explained">{t("wire.dropHint")}</p>
      </div>
    );
  }
  return (
    <div class="dropping">
      <p class="explained">
        <strong class="countdown" role="timer">
          {t("wire.backIn", {n: Math.max(0, Math.ceil((endsMs - Date.now()) / 1000))})}
        </strong>{" "}
        {t("wire.dropExplained")}
      </p>
      {/* Not where the other button was: the second click of a double-click would undo the first. */}
      <Button kind="primary" icon="retry" onClick={() => client && drop(client, 0)}>
        {t("wire.comeBack")}
      </Button>
    </div>
  );
}
