/** What one can try: read slower than people write, not at all, or lose the connection; and what is to be seen then. */
import {simulateOffline} from "@tidings/client";
import {useEffect, useRef} from "preact/hooks";
import {Button} from "../components/button.tsx";
import {session} from "../session/session.ts";
import {t} from "../i18n/i18n.ts";
import {readThrottle, type ReadSpeed} from "./read-throttle.ts";
import {currentInspection} from "./samples.ts";

const OFFLINE_MS = 30_000;
const SPEEDS = [1, 5, 20] as const;
const MODES = ["freely", "slowly", "stopped"] as const;

export function Experiments() {
  const reading = readThrottle.speed.value;
  const speed = useRef<number>(SPEEDS[0]);
  // Who closes the panel wants to chat, not to wonder where the messages are.
  useEffect(() => () => readThrottle.setSpeed({mode: "freely"}), []);
  const choose = (how: ReadSpeed["mode"]): void => readThrottle.setSpeed(how === "slowly" ? {mode: how, perSecond: speed.current} : {mode: how});
  return (
    <section aria-labelledby="inspector-try">
      <h3 id="inspector-try">{t("inspector.try")}</h3>
      <fieldset class="segments">
        <legend class="visually-hidden">{t("inspector.reading")}</legend>
        {MODES.map((how) => (
          <label key={how}>
            <input type="radio" name="inspector-reading" checked={reading.mode === how} onChange={() => choose(how)} />
            {t(`inspector.${how}`)}
          </label>
        ))}
      </fieldset>
      {reading.mode === "slowly" && (
        <label class="speed">
          {t("inspector.speed")}
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
                {t("inspector.perSecond", {n})}
              </option>
            ))}
          </select>
        </label>
      )}
      <p class="explained" role="status">
        {t(`inspector.${reading.mode}Explained`)}
      </p>
      <OfflineSwitch />
    </section>
  );
}

function OfflineSwitch() {
  const client = session.tidings.value;
  const endsMs = currentInspection.value?.offlineUntilMs;
  if (endsMs === undefined) {
    return (
      <div class="dropping">
        <Button icon="cloudOff" disabled={!client || currentInspection.value?.state !== "online"} onClick={() => client && simulateOffline(client, OFFLINE_MS)}>
          {t("inspector.drop", {n: OFFLINE_MS / 1000})}
        </Button>
        <p class="explained">{t("inspector.dropHint")}</p>
      </div>
    );
  }
  return (
    <div class="dropping">
      <p class="explained">
        <strong class="countdown" role="timer">
          {t("inspector.backIn", {n: Math.max(0, Math.ceil((endsMs - Date.now()) / 1000))})}
        </strong>{" "}
        {t("inspector.dropExplained")}
      </p>
      {/* Not where the other button was: the second click of a double-click would undo the first. */}
      <Button kind="primary" icon="retry" onClick={() => client && simulateOffline(client, 0)}>
        {t("inspector.comeBack")}
      </Button>
    </div>
  );
}
