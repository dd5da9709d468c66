/** One stream: its route, credit, buffer, position and lag. */
import type {StreamInspection} from "@tidings/client";
import {roomOf} from "../rooms/rooms.ts";
import {t} from "../i18n/i18n.ts";
import {formatBytes, formatCount} from "../i18n/format.ts";
import {lagOf} from "./samples.ts";

export function StreamCard({stream}: {stream: StreamInspection}) {
  const {route, subject, requested, credit, buffered, received, position, openedStreams, isStreaming} = stream;
  const lag = lagOf(stream);
  const name = route === "chat.watch" ? (roomOf(subject)?.title ?? subject) : subject;
  return (
    <div class="stream">
      <div class="of">
        <code>{route}</code>
        {name && <bdi class="truncated">{name}</bdi>}
        <span class={isStreaming ? "flow open" : "flow"}>{isStreaming ? t("inspector.open") : buffered ? t("inspector.full") : t("inspector.waiting")}</span>
      </div>
      <CreditBar credit={credit} buffered={buffered} />
      <dl>
        <Metric name={t("inspector.credit")} value={formatCount(credit)} />
        <Metric name={t("inspector.requested")} value={formatCount(requested)} />
        <Metric name={t("inspector.buffered")} value={formatCount(buffered)} />
        {position !== undefined && <Metric name={t("inspector.position")} value={formatCount(position)} />}
        {lag !== undefined && <Metric name={t("inspector.lag")} value={formatCount(lag)} isEmphasized={lag > 0} />}
        <Metric name={t("inspector.received")} value={`${formatCount(received)} · ${formatBytes(stream.bytes)}`} />
        {openedStreams > 1 && <Metric name={t("inspector.opened")} value={t("inspector.times", {n: openedStreams})} />}
      </dl>
    </div>
  );
}

export function Metric({name, value, isEmphasized = false}: {name: string; value: string; isEmphasized?: boolean}) {
  return (
    <div class={isEmphasized ? "fact emphasized" : "fact"}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** What was received and not read, and the credit that is left. */
function CreditBar({credit, buffered}: {credit: number; buffered: number}) {
  const whole = Math.max(1, credit + buffered, 64);
  return (
    <svg class="credit" viewBox={`0 0 ${whole} 4`} preserveAspectRatio="none" role="img" aria-label={t("inspector.creditBar", {credit, buffered})}>
      <rect class="room" width={whole} height="4" />
      <rect class="buffered" width={buffered} height="4" />
      <rect class="left" x={buffered} width={credit} height="4" />
    </svg>
  );
}
