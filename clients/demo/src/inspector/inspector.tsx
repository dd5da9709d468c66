/** The inspector: the connection, credit, lag, latency and traffic of this page, live. */
import "./inspector.css";
import type {ConnectionStats, Inspection, StreamInspection} from "@tidings/client";
import {useEffect} from "preact/hooks";
import {currentRoute} from "../navigation/route.ts";
import {session} from "../session/session.ts";
import {locale, t} from "../i18n/i18n.ts";
import {formatBytes, formatCount, formatMs} from "../i18n/format.ts";
import {clockDifferenceMs, clockEstimate, latency} from "./latency.ts";
import {currentInspection, samples, type Sample, type Rates, startSampling} from "./samples.ts";
import {Metric, StreamCard} from "./stream-card.tsx";
import {Sparkline} from "./sparkline.tsx";
import {Experiments} from "./experiments.tsx";

export function Inspector() {
  const client = session.tidings.value;
  useEffect(() => (client ? startSampling(client) : undefined), [client]);
  const inspection = currentInspection.value;
  return (
    <div class="inspector">
      <h2>{t("inspector.title")}</h2>
      {inspection && <ConnectionCard inspection={inspection} />}
      <Experiments />
      <OpenRoomCard points={samples.value} stream={inspection?.streams.find(isOpenRoomStream)} />
      <LatencyCard />
      {inspection && <TrafficCard points={samples.value} inspection={inspection} />}
      {inspection && <OtherStreams streams={inspection.streams.filter((stream) => !isOpenRoomStream(stream))} />}
    </div>
  );
}

function ConnectionCard({inspection}: {inspection: Inspection}) {
  const {state, connection, attempts, nextAttemptAtMs, pending} = inspection;
  const waitMs = nextAttemptAtMs === undefined ? undefined : Math.max(0, nextAttemptAtMs - Date.now());
  return (
    <section aria-label={t("inspector.connection")}>
      <p class="how">
        <span class={`state-dot ${state}`} aria-hidden="true" />
        <strong>{t(`inspector.state.${state}`)}</strong>
        {connection && <span>{sharingText(connection)}</span>}
      </p>
      <dl>
        {attempts > 0 && <Metric name={t("inspector.attempts")} value={formatCount(attempts)} />}
        {waitMs !== undefined && <Metric name={t("inspector.nextAttempt")} value={formatMs(waitMs)} />}
        {pending > 0 && <Metric name={t("inspector.pending")} value={formatCount(pending)} isEmphasized />}
      </dl>
    </section>
  );
}

function sharingText({sharing, tabs}: ConnectionStats): string {
  return sharing === "own" ? t("inspector.own") : t("inspector.tabs", {n: tabs, where: t(`inspector.${sharing}`)});
}

/** Whether it is the watch stream of the open conversation. */
function isOpenRoomStream({route, subject}: StreamInspection): boolean {
  return route === "chat.watch" && subject === currentRoute.value?.room;
}

/** The lag of the open room over the last minute, and its stream. */
function OpenRoomCard({points, stream}: {points: readonly Sample[]; stream: StreamInspection | undefined}) {
  const lag = points.at(-1)?.lag;
  const most = points.reduce((top, {lag = 0}) => Math.max(top, lag), 0);
  const text = lag !== undefined ? t("inspector.lagNow", {n: lag}) : t(!currentRoute.value ? "inspector.noRoom" : stream ? "inspector.noLag" : "inspector.notRead");
  return (
    <section aria-labelledby="inspector-lag">
      <h3 id="inspector-lag">{t("inspector.lagTitle")}</h3>
      <p class={lag ? "figure emphasized" : "figure"}>
        <strong>{text}</strong> {most > 0 && <span>{t("inspector.lagMost", {n: most})}</span>}
      </p>
      <Sparkline kind="lag" topMin={10} values={points.map(({atMs, lag}) => ({atMs, value: lag}))} label={`${text} ${most ? t("inspector.lagMost", {n: most}) : ""}`} />
      <p class="axis" aria-hidden="true">
        <span>{t("inspector.minuteAgo")}</span>
        <span>{t("inspector.now")}</span>
      </p>
      {stream && <StreamCard stream={stream} />}
      {stream && (
        <p class="explained legend" aria-hidden="true">
          <span class="key left" /> {t("inspector.keyCredit")} <span class="key buffered" /> {t("inspector.keyBuffered")}
        </p>
      )}
    </section>
  );
}

function LatencyCard() {
  const measured = latency.value;
  const apart = currentInspection.value && clockDifferenceMs(clockEstimate());
  return (
    <section aria-labelledby="inspector-latency">
      <h3 id="inspector-latency">{t("inspector.latency")}</h3>
      {measured ? (
        <dl>
          <Metric name={t("inspector.last")} value={formatMs(measured.lastMs)} />
          <Metric name="p50" value={formatMs(measured.p50Ms)} />
          <Metric name="p95" value={formatMs(measured.p95Ms)} />
          <Metric name={t("inspector.measured")} value={formatCount(measured.samples)} />
        </dl>
      ) : (
        <p class="explained">{t("inspector.noLatency")}</p>
      )}
      {apart !== undefined && (
        <p class="explained">{t(apart > 0 ? "inspector.clockAhead" : "inspector.clockBehind", {by: formatMs(Math.abs(apart))})}</p>
      )}
    </section>
  );
}

function TrafficCard({points, inspection: {connection, roundTripMs}}: {points: readonly Sample[]; inspection: Inspection}) {
  const last = points.at(-1);
  const row = (kind: "in" | "out", frames: keyof Rates, octets: keyof Rates) => {
    const text = t("inspector.rate", {frames: t("inspector.frames", {n: Math.round(last?.[frames] ?? 0)}), bytes: formatBytes(last?.[octets] ?? 0)});
    return (
      <div class="traffic">
        <span>{t(`inspector.${kind}`)}</span>
        <Sparkline kind={kind} topMin={200} values={points.map((point) => ({atMs: point.atMs, value: point[octets]}))} label={`${t(`inspector.${kind}`)}: ${text}`} />
        <span class="rate">{text}</span>
      </div>
    );
  };
  return (
    <section aria-labelledby="inspector-traffic">
      <h3 id="inspector-traffic">{t("inspector.traffic")}</h3>
      {row("in", "framesIn", "bytesIn")}
      {row("out", "framesOut", "bytesOut")}
      <dl>
        {roundTripMs !== undefined && <Metric name={t("inspector.roundTrip")} value={formatMs(roundTripMs)} />}
        {connection && (
          <>
            <Metric name={t("inspector.since")} value={new Date(connection.sinceMs).toLocaleTimeString(locale(), {hour12: false})} />
            <Metric name={t("inspector.inAll")} value={`${formatCount(connection.framesIn)} · ${formatBytes(connection.bytesIn)}`} />
            <Metric name={t("inspector.outAll")} value={`${formatCount(connection.framesOut)} · ${formatBytes(connection.bytesOut)}`} />
          </>
        )}
      </dl>
    </section>
  );
}

function OtherStreams({streams}: {streams: readonly StreamInspection[]}) {
  return (
    <section aria-labelledby="inspector-others">
      <h3 id="inspector-others">{t("inspector.others", {n: streams.length})}</h3>
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
