"""`make bench`: measures, prints the table, writes `bench/RESULTS.md` and the charts."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence

from bench import long_log, report
from bench.benchmarks import select_benchmarks
from bench.benchmarks.benchmark import Benchmark, Measurement
from bench.benchmarks.history import log_events
from bench.run import BenchmarkRun

DEFAULT_BENCHMARK_SECONDS = 30.0  # of a benchmark that was never measured
CURVE_LOG_EVENTS = (10_000, 100_000)  # besides the long log, for the curves


def main() -> int:
    """Exit code 1 when a reader got wrong data or a row could not be measured. A missed target is only reported."""
    arguments = parse_arguments()
    if arguments.render:
        report.render()
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers are ended on the way out
    rows = select_benchmarks(arguments.row, quick=arguments.quick)
    run = BenchmarkRun(quick=arguments.quick, repetitions=arguments.times or (1 if arguments.quick else 5))
    began = time.perf_counter()
    try:
        create_logs(run, rows)
        measured, seconds, run_infos, errors = measure(run, rows)
    finally:
        run.loader.close()
    print()
    print(report.format_table([line for lines in measured.values() for line in lines]))
    print(f"{time.perf_counter() - began:.0f} s in all")
    if not run.quick and not arguments.keep:
        for path in report.write(measured, seconds, run_infos, run):
            print(f"wrote {path}")
    for text in errors:
        print(f"WRONG  {text}", file=sys.stderr)
    return 1 if errors else 0


def measure(
    run: BenchmarkRun, rows: Sequence[Benchmark]
) -> tuple[dict[Benchmark, list[Measurement]], dict[Benchmark, float], dict[Benchmark, dict[str, str]], list[str]]:
    """Lines, seconds and stamp of each row, and the errors; a row that fails does not affect the others."""
    measured: dict[Benchmark, list[Measurement]] = {}
    seconds: dict[Benchmark, float] = {}
    run_infos: dict[Benchmark, dict[str, str]] = {}
    errors: list[str] = []
    estimated_seconds = estimate_seconds(run, rows)
    if not run.quick:
        print(f"{len(rows)} rows, about {sum(estimated_seconds) / 60:.0f} minutes on a quiet machine", flush=True)
    for number, row in enumerate(rows, 1):
        rest = "" if run.quick else f" (about {sum(estimated_seconds[number - 1 :]) / 60:.0f} min left)"
        print(f"[{number}/{len(rows)}] {row.name}: {row.description}{rest}", flush=True)
        row_began = time.perf_counter()
        measured[row] = []
        try:
            for line in row.measure(run):
                measured[row].append(line)
                print(report.format_measurement(line), flush=True)
                errors += [f"{line.title}: {text}" for text in line.errors]
        except Exception as error:
            errors.append(f"{row.name}: {error.__class__.__name__}: {error}")
            print(f"    {errors[-1]}", flush=True)
            run.loader.close()  # a failed load may still be running
        seconds[row] = time.perf_counter() - row_began
        run_infos[row] = report.run_info()
        print(f"    {seconds[row]:.0f} s, load average {os.getloadavg()[0]:.1f}", flush=True)
    return measured, seconds, run_infos, errors


def estimate_seconds(run: BenchmarkRun, rows: Sequence[Benchmark]) -> list[float]:
    """The expected seconds of each row: those of its last measurement."""
    kept = report.load_results()
    found = []
    for row in rows:
        entry = kept.get(row.name, {})
        found.append(
            entry.get("seconds", DEFAULT_BENCHMARK_SECONDS * entry.get("times", 5) / 5) / entry.get("times", 5)
        )
    return [each * run.repetitions for each in found]


def create_logs(run: BenchmarkRun, rows: Sequence[Benchmark]) -> None:
    """Create the logs to read if they are missing, so that no row includes the time."""
    if not any("history" in row.name or row.name in {"scale-page", "scale-read"} for row in rows):
        return
    lengths = {log_events(run)} | (set() if run.quick else set(CURVE_LOG_EVENTS))
    for events in sorted(lengths):
        if not long_log.exists(events):
            print(f"making a log of {events:,} events, once", flush=True)
            long_log.log_directory(events)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--row", default="", help="only these rows, by name or prefix, separated by commas")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, once: checks that everything runs and the data is correct"
    )
    parser.add_argument("--times", type=int, default=0, help="how often each figure is measured (default 5)")
    parser.add_argument("--keep", action="store_true", help="write no files")
    parser.add_argument(
        "--render", action="store_true", help="measure nothing; write the files from results.json again"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
