/** One stream: what it is, its credit as a bar, and where its reader is. */
import type {StreamInspection} from "@tidings/client";
import {roomOf} from "../model/rooms.ts";
import {t} from "../words/words.ts";
import {bytes, count} from "./figures.ts";
import {lagOf} from "./readings.ts";

export function StreamCard({stream}: {stream: StreamInspection}) {
  const {route, about, asked, credit, held, received, position, opened, open} = stream;
  const lag = lagOf(stream);
  const named = route === "chat.watch" ? (roomOf(about)?.title ?? about) : about;
  return (
    <div class="stream">
      <div class="of">
        <code>{route}</code>
        {named && <bdi class="cut">{named}</bdi>}
        <span class={open ? "flow open" : "flow"}>{open ? t("wire.open") : held ? t("wire.full") : t("wire.waiting")}</span>
      </div>
      <Credit credit={credit} held={held} />
      <dl>
        <Fact name={t("wire.credit")} value={count(credit)} />
        <Fact name={t("wire.asked")} value={count(asked)} />
        <Fact name={t("wire.held")} value={count(held)} />
        {position !== undefined && <Fact name={t("wire.position")} value={count(position)} />}
        {lag !== undefined && <Fact name={t("wire.lag")} value={count(lag)} loud={lag > 0} />}
        <Fact name={t("wire.received")} value={`${count(received)} · ${bytes(stream.bytes)}`} />
        {opened > 1 && <Fact name={t("wire.opened")} value={t("wire.times", {n: opened})} />}
      </dl>
    </div>
  );
}

export function Fact({name, value, loud = false}: {name: string; value: string; loud?: boolean}) {
  return (
    <div class={loud ? "fact loud" : "fact"}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** What the service may still send, beside what came and was not read. */
function Credit({credit, held}: {credit: number; held: number}) {
  const whole = Math.max(1, credit + held, 64);
  return (
    <svg class="credit" viewBox={`0 0 ${whole} 4`} preserveAspectRatio="none" role="img" aria-label={t("wire.creditBar", {credit, held})}>
      <rect class="room" width={whole} height="4" />
      <rect class="held" width={held} height="4" />
      <rect class="left" x={held} width={credit} height="4" />
    </svg>
  );
}
