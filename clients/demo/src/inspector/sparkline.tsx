/** The last minute as a line, with now at the right. `label` describes it to screen readers. */
import {MINUTE_MS} from "./samples.ts";

interface Props {
  /** Oldest first; undefined values leave a hole. */
  values: readonly {readonly atMs: number; readonly value: number | undefined}[];
  /** The value at the top edge, unless a value is higher. */
  topMin: number;
  label: string;
  kind: "in" | "out" | "lag";
}

const WIDTH = 240;
const HEIGHT = 40;

export function Sparkline({values, topMin, label, kind}: Props) {
  const top = values.reduce((most, {value = 0}) => Math.max(most, value), topMin);
  const nowMs = values.at(-1)?.atMs ?? 0;
  const runs: string[][] = [[]];
  for (const {atMs, value} of values) {
    if (value === undefined) runs.push([]);
    else runs.at(-1)!.push(`${x(atMs - nowMs)},${(HEIGHT - 1 - (value / top) * (HEIGHT - 2)).toFixed(1)}`);
  }
  const drawn = runs.filter(({length}) => length > 1);
  return (
    <svg class={`sparkline ${kind}`} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <path class="ground" d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} />
      {drawn.map((run) => (
        <path class="area" d={`M${before(run[0]!)} ${HEIGHT}L${run.join("L")}L${before(run.at(-1)!)} ${HEIGHT}Z`} />
      ))}
      {drawn.map((run) => (
        <path class="line" d={`M${run.join("L")}`} />
      ))}
    </svg>
  );
}

function x(agoMs: number): string {
  return (WIDTH * (1 + agoMs / MINUTE_MS)).toFixed(1);
}

function before(point: string): string {
  return point.slice(0, point.indexOf(","));
}
