"""The rows of the table, in the order in which they are measured."""

from bench.benchmarks import (
    compression,
    fanout,
    history,
    json_payloads,
    many_connections,
    ping,
    presence,
    scale,
    send,
    start,
)
from bench.benchmarks.benchmark import Benchmark

ALL_BENCHMARKS: tuple[Benchmark, ...] = (
    *fanout.BENCHMARKS,
    *compression.BENCHMARKS,
    *ping.BENCHMARKS,
    *send.BENCHMARKS,
    *json_payloads.BENCHMARKS,
    *history.BENCHMARKS,
    *many_connections.BENCHMARKS,
    *presence.BENCHMARKS,
    *start.BENCHMARKS,
    *scale.BENCHMARKS,
)


QUICK_CURVES = ("scale-fanout", "scale-search")  # the loads of the others are those of the rows themselves


def select_benchmarks(names: str, *, quick: bool = False) -> list[Benchmark]:
    """The rows named, separated by commas; a name that is no row's own stands for all that begin with it."""
    if not names:
        return [row for row in ALL_BENCHMARKS if not (quick and row.is_curve) or row.name in QUICK_CURVES]
    found: dict[str, Benchmark] = {}
    for name in names.split(","):
        rows = [row for row in ALL_BENCHMARKS if row.name == name] or [
            row for row in ALL_BENCHMARKS if row.name.startswith(name)
        ]
        if not rows:
            raise SystemExit(f"there is no row {name!r}; there are: {', '.join(row.name for row in ALL_BENCHMARKS)}")
        found |= {row.name: row for row in rows}
    return list(found.values())
