/** One stream: what it is, its credit as a bar, and where its reader is. */
import type {StreamInspection} from "@tidings/client";
import {roomOf} from "../rooms/rooms.ts";
import {t} from "../i18n/i18n.ts";
import {formatBytes, formatCount} from "./format.ts";
import {lagOf} from "./samples.ts";

export function StreamCard({stream}: {stream: StreamInspection}) {
  const {route, subject: about, requested: asked, credit, buffered: held, received, position, openedStreams: opened, isStreaming: open} = stream;
  const lag = lagOf(stream);
  const named = route === "chat.watch" ? (roomOf(about)?.title ?? about) : about;
  return (
    <div class="stream">
      <div class="of">
        <code>{route}</code>
        {named && <bdi class="truncated">{named}</bdi>}
        <span class={open ? "flow open" : "flow"}>{open ? t("inspector.open") : held ? t("inspector.full") : t("inspector.waiting")}</span>
      </div>
      <CreditBar credit={credit} held={held} />
      <dl>
        <Metric name={t("inspector.credit")} value={formatCount(credit)} />
        <Metric name={t("inspector.asked")} value={formatCount(asked)} />
        <Metric name={t("inspector.held")} value={formatCount(held)} />
        {position !== undefined && <Metric name={t("inspector.position")} value={formatCount(position)} />}
        {lag !== undefined && <Metric name={t("inspector.lag")} value={formatCount(lag)} isEmphasized={lag > 0} />}
        <Metric name={t("inspector.received")} value={`${formatCount(received)} · ${formatBytes(stream.bytes)}`} />
        {opened > 1 && <Metric name={t("inspector.opened")} value={t("inspector.times", {n: opened})} />}
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

/** What the service may still send, beside what came and was not read. */
function CreditBar({credit, held}: {credit: number; held: number}) {
  const whole = Math.max(1, credit + held, 64);
  return (
    <svg class="credit" viewBox={`0 0 ${whole} 4`} preserveAspectRatio="none" role="img" aria-label={t("inspector.creditBar", {credit, held})}>
      <rect class="room" width={whole} height="4" />
      <rect class="held" width={held} height="4" />
      <rect class="left" x={held} width={credit} height="4" />
    </svg>
  );
}
