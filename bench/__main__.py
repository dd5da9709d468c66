"""`make bench`: measure, print the table, write `bench/RESULTS.md` and the charts."""

import argparse
import signal
import sys
import time

from bench import report
from bench.rows import ALL, chosen
from bench.rows.row import Line, Row
from bench.run import Run


def main() -> int:
    """0, or 1 when a reader got wrong data or a row could not be measured. A mark that is missed is told, no more."""
    arguments = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers are ended on the way out
    rows = chosen(arguments.row)
    run = Run(quick=arguments.quick, times=arguments.times or (1 if arguments.quick else 5))
    began = time.perf_counter()
    measured: dict[Row, list[Line]] = {}
    broken: list[str] = []
    for number, row in enumerate(rows, 1):
        print(f"[{number}/{len(rows)}] {row.name}: {row.about}", flush=True)
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
        print(f"    {time.perf_counter() - row_began:.0f} s", flush=True)
    print()
    print(report.table_of_text([line for lines in measured.values() for line in lines]))
    print(f"{time.perf_counter() - began:.0f} s")
    if not run.quick and not arguments.keep:
        whole = len(rows) == len(ALL)
        for path in report.write(measured, run, whole=whole):
            print(f"wrote {path}")
    for text in broken:
        print(f"WRONG  {text}", file=sys.stderr)
    return 1 if broken else 0


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--row", default="", help="only these rows, by name or beginning, separated by commas")
    parser.add_argument(
        "--quick", action="store_true", help="everything small and once: does it run, is the data right?"
    )
    parser.add_argument("--times", type=int, default=0, help="how often each figure is measured; 5 unless told")
    parser.add_argument("--keep", action="store_true", help="write no files")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
