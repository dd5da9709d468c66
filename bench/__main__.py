"""`make bench`: measure, print the table, write `bench/RESULTS.md` and the charts."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence

from bench import log, report
from bench.rows import chosen
from bench.rows.history import events_of
from bench.rows.row import Line, Row
from bench.run import Run

SECONDS_OF_A_ROW = 30.0  # of one that was never measured
LOGS = (10_000, 100_000)  # beside the long one, for the curves


def main() -> int:
    """0, or 1 when a reader got wrong data or a row could not be measured. A mark that is missed is told, no more."""
    arguments = parsed()
    if arguments.render:
        report.render()
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers are ended on the way out
    rows = chosen(arguments.row, quick=arguments.quick)
    run = Run(quick=arguments.quick, times=arguments.times or (1 if arguments.quick else 5))
    began = time.perf_counter()
    try:
        prepare(run, rows)
        measured, seconds, stamps, broken = measure(run, rows)
    finally:
        run.loader.close()
    print()
    print(report.table_of_text([line for lines in measured.values() for line in lines]))
    print(f"{time.perf_counter() - began:.0f} s in all")
    if not run.quick and not arguments.keep:
        for path in report.write(measured, seconds, stamps, run):
            print(f"wrote {path}")
    for text in broken:
        print(f"WRONG  {text}", file=sys.stderr)
    return 1 if broken else 0


def measure(
    run: Run, rows: Sequence[Row]
) -> tuple[dict[Row, list[Line]], dict[Row, float], dict[Row, dict[str, str]], list[str]]:
    """Lines, seconds and stamp of each row, and what went wrong; a row that breaks leaves the others alone."""
    measured: dict[Row, list[Line]] = {}
    seconds: dict[Row, float] = {}
    stamps: dict[Row, dict[str, str]] = {}
    broken: list[str] = []
    left = estimates(run, rows)
    if not run.quick:
        print(f"{len(rows)} rows, about {sum(left) / 60:.0f} minutes on a quiet machine", flush=True)
    for number, row in enumerate(rows, 1):
        rest = "" if run.quick else f" (about {sum(left[number - 1 :]) / 60:.0f} min left)"
        print(f"[{number}/{len(rows)}] {row.name}: {row.about}{rest}", flush=True)
        row_began = time.perf_counter()
        measured[row] = []
        try:
            for line in row.measure(run):
                measured[row].append(line)
                print(report.line_of_text(line), flush=True)
                broken += [f"{line.title}: {text}" for text in line.wrong]
        except Exception as error:
            broken.append(f"{row.name}: {error.__class__.__name__}: {error}")
            print(f"    {broken[-1]}", flush=True)
            run.loader.close()  # a load that went wrong may still be at it
        seconds[row] = time.perf_counter() - row_began
        stamps[row] = report.stamp()
        print(f"    {seconds[row]:.0f} s, load average {os.getloadavg()[0]:.1f}", flush=True)
    return measured, seconds, stamps, broken


def estimates(run: Run, rows: Sequence[Row]) -> list[float]:
    """About how long each row takes: what it took when it was measured last."""
    kept = report.kept()
    found = []
    for row in rows:
        entry = kept.get(row.name, {})
        found.append(entry.get("seconds", SECONDS_OF_A_ROW * entry.get("times", 5) / 5) / entry.get("times", 5))
    return [each * run.times for each in found]


def prepare(run: Run, rows: Sequence[Row]) -> None:
    """Make the logs that are read, if this is the first time; no row's own time then."""
    if not any("history" in row.name or row.name in {"scale-page", "scale-read"} for row in rows):
        return
    lengths = {events_of(run)} | (set() if run.quick else set(LOGS))
    for events in sorted(lengths):
        if not log.is_there(events):
            print(f"making a log of {events:,} events, once", flush=True)
            log.folder(events)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--row", default="", help="only these rows, by name or beginning, separated by commas")
    parser.add_argument(
        "--quick", action="store_true", help="everything small and once: does it run, is the data right?"
    )
    parser.add_argument("--times", type=int, default=0, help="how often each figure is measured; 5 unless told")
    parser.add_argument("--keep", action="store_true", help="write no files")
    parser.add_argument("--render", action="store_true", help="measure nothing; write the files anew from results.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
