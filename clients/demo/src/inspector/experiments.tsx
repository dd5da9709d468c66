/** Experiments with demand: read slowly, stop reading, or disconnect, and watch what happens. */
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
  // Closing the panel resumes normal reading; otherwise messages would seem to be missing.
  useEffect(() => () => readThrottle.setSpeed({mode: "freely"}), []);
  const choose = (mode: ReadSpeed["mode"]): void => readThrottle.setSpeed(mode === "slowly" ? {mode, perSecond: speed.current} : {mode});
  return (
    <section aria-labelledby="inspector-try">
      <h3 id="inspector-try">{t("inspector.try")}</h3>
      <fieldset class="segments">
        <legend class="visually-hidden">{t("inspector.reading")}</legend>
        {MODES.map((mode) => (
          <label key={mode}>
            <input type="radio" name="inspector-reading" checked={reading.mode === mode} onChange={() => choose(mode)} />
            {t(`inspector.${mode}`)}
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
      <div class="offline-switch">
        <Button icon="cloudOff" disabled={!client || currentInspection.value?.state !== "online"} onClick={() => client && simulateOffline(client, OFFLINE_MS)}>
          {t("inspector.disconnect", {n: OFFLINE_MS / 1000})}
        </Button>
        <p class="explained">{t("inspector.disconnectHint")}</p>
      </div>
    );
  }
  return (
    <div class="offline-switch">
      <p class="explained">
        <strong class="countdown" role="timer">
          {t("inspector.reconnectIn", {n: Math.max(0, Math.ceil((endsMs - Date.now()) / 1000))})}
        </strong>{" "}
        {t("inspector.offlineExplained")}
      </p>
      {/* At another place than the first button, so that the second click of a double-click does not undo the first. */}
      <Button kind="primary" icon="retry" onClick={() => client && simulateOffline(client, 0)}>
        {t("inspector.reconnectNow")}
      </Button>
    </div>
  );
}
