/** The panel that shows what no chat page shows: the connection, demand, lag and catching up, while it happens. */
import "./wire.css";
import type {Connection, Inspection, StreamInspection} from "@tidings/client";
import {useEffect} from "preact/hooks";
import {chosen} from "../route.ts";
import {session} from "../session.ts";
import {locale, t} from "../words/words.ts";
import {bytes, count, milliseconds} from "./figures.ts";
import {clockDifferenceMs, clockEstimate, latency} from "./latency.ts";
import {now, past, type Point, type Rates, read} from "./readings.ts";
import {Fact, StreamCard} from "./stream.tsx";
import {Strip} from "./strip.tsx";
import {Trials} from "./trials.tsx";

export function WirePanel() {
  const client = session.tidings.value;
  useEffect(() => (client ? read(client) : undefined), [client]);
  const found = now.value;
  return (
    <div class="wire">
      <h2>{t("wire.title")}</h2>
      {found && <How found={found} />}
      <Trials />
      <OpenRoom points={past.value} stream={found?.streams.find(readsHere)} />
      <Latency />
      {found && <Traffic points={past.value} found={found} />}
      {found && <Others streams={found.streams.filter((stream) => !readsHere(stream))} />}
    </div>
  );
}

function How({found}: {found: Inspection}) {
  const {state, connection, attempts, nextAttemptMs, pending} = found;
  const waitMs = nextAttemptMs === undefined ? undefined : Math.max(0, nextAttemptMs - Date.now());
  return (
    <section aria-label={t("wire.connection")}>
      <p class="how">
        <span class={`lamp ${state}`} aria-hidden="true" />
        <strong>{t(`wire.state.${state}`)}</strong>
        {connection && <span>{shared(connection)}</span>}
      </p>
      <dl>
        {attempts > 0 && <Fact name={t("wire.attempts")} value={count(attempts)} />}
        {waitMs !== undefined && <Fact name={t("wire.nextAttempt")} value={milliseconds(waitMs)} />}
        {pending > 0 && <Fact name={t("wire.pending")} value={count(pending)} loud />}
      </dl>
    </section>
  );
}

function shared({sharing, tabs}: Connection): string {
  return sharing === "own" ? t("wire.own") : t("wire.tabs", {n: tabs, where: t(`wire.${sharing}`)});
}

/** The stream that the conversation reads. */
function readsHere({route, about}: StreamInspection): boolean {
  return route === "chat.watch" && about === chosen.value?.room;
}

/** How far the open room's reader is behind, over the last minute: here one sees it fall behind and catch up. */
function OpenRoom({points, stream}: {points: readonly Point[]; stream: StreamInspection | undefined}) {
  const lag = points.at(-1)?.lag;
  const most = points.reduce((top, {lag = 0}) => Math.max(top, lag), 0);
  const said = lag !== undefined ? t("wire.lagNow", {n: lag}) : t(!chosen.value ? "wire.noRoom" : stream ? "wire.noLag" : "wire.notRead");
  return (
    <section aria-labelledby="wire-lag">
      <h3 id="wire-lag">{t("wire.lagTitle")}</h3>
      <p class={lag ? "figure loud" : "figure"}>
        <strong>{said}</strong> {most > 0 && <span>{t("wire.lagMost", {n: most})}</span>}
      </p>
      <Strip kind="lag" least={10} values={points.map(({atMs, lag}) => ({atMs, value: lag}))} label={`${said} ${most ? t("wire.lagMost", {n: most}) : ""}`} />
      <p class="axis" aria-hidden="true">
        <span>{t("wire.minuteAgo")}</span>
        <span>{t("wire.now")}</span>
      </p>
      {stream && <StreamCard stream={stream} />}
      {stream && (
        <p class="explained legend" aria-hidden="true">
          <span class="key left" /> {t("wire.keyCredit")} <span class="key held" /> {t("wire.keyHeld")}
        </p>
      )}
    </section>
  );
}

function Latency() {
  const measured = latency.value;
  const apart = now.value && clockDifferenceMs(clockEstimate());
  return (
    <section aria-labelledby="wire-latency">
      <h3 id="wire-latency">{t("wire.latency")}</h3>
      {measured ? (
        <dl>
          <Fact name={t("wire.last")} value={milliseconds(measured.lastMs)} />
          <Fact name="p50" value={milliseconds(measured.p50Ms)} />
          <Fact name="p95" value={milliseconds(measured.p95Ms)} />
          <Fact name={t("wire.measured")} value={count(measured.samples)} />
        </dl>
      ) : (
        <p class="explained">{t("wire.noLatency")}</p>
      )}
      {apart !== undefined && (
        <p class="explained">{t(apart > 0 ? "wire.clockAhead" : "wire.clockBehind", {by: milliseconds(Math.abs(apart))})}</p>
      )}
    </section>
  );
}

function Traffic({points, found: {connection, roundTripMs}}: {points: readonly Point[]; found: Inspection}) {
  const last = points.at(-1);
  const row = (kind: "in" | "out", frames: keyof Rates, octets: keyof Rates) => {
    const said = t("wire.rate", {frames: t("wire.frames", {n: Math.round(last?.[frames] ?? 0)}), bytes: bytes(last?.[octets] ?? 0)});
    return (
      <div class="way">
        <span>{t(`wire.${kind}`)}</span>
        <Strip kind={kind} least={200} values={points.map((point) => ({atMs: point.atMs, value: point[octets]}))} label={`${t(`wire.${kind}`)}: ${said}`} />
        <span class="rate">{said}</span>
      </div>
    );
  };
  return (
    <section aria-labelledby="wire-traffic">
      <h3 id="wire-traffic">{t("wire.traffic")}</h3>
      {row("in", "framesIn", "bytesIn")}
      {row("out", "framesOut", "bytesOut")}
      <dl>
        {roundTripMs !== undefined && <Fact name={t("wire.roundTrip")} value={milliseconds(roundTripMs)} />}
        {connection && (
          <>
            <Fact name={t("wire.since")} value={new Date(connection.sinceMs).toLocaleTimeString(locale(), {hour12: false})} />
            <Fact name={t("wire.inAll")} value={`${count(connection.framesIn)} · ${bytes(connection.bytesIn)}`} />
            <Fact name={t("wire.outAll")} value={`${count(connection.framesOut)} · ${bytes(connection.bytesOut)}`} />
          </>
        )}
      </dl>
    </section>
  );
}

function Others({streams}: {streams: readonly StreamInspection[]}) {
  return (
    <section aria-labelledby="wire-others">
      <h3 id="wire-others">{t("wire.others", {n: streams.length})}</h3>
      <ul>
        {streams.map((stream, at) => (
          <li key={at}>
            <StreamCard stream={stream} />
          </li>
        ))}
      </ul>
    </section>
  );
}
