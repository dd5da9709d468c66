"""`make soak`: people come and go, and what they leave behind is measured."""

import re

import pytest
from bench import soak


def new_sample(at_seconds: float, **changed: float) -> soak.Sample:
    usual = {
        "resident": 100.0,
        "sqlite": 20.0,
        "tails": 10.0,
        "free": 5.0,
        "accounts": 0.0,
        "blocks": 1,
        "files": 10,
        "tasks": 3,
        "connections": 0,
    }
    return soak.Sample(at_seconds, **(usual | changed))  # type: ignore[arg-type]


def test_a_short_soak_prints_a_line_for_each_interval_and_ends_with_a_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = "--minutes 0.05 --interval 1 --settle 1.5 --visitors 8 --users 5 --rooms 3 --sends 60 --stay 0.5"
    code = soak.main(options.split())
    said = capsys.readouterr().out
    assert code == 0, said
    assert re.search(r"^  00:00:\d\d ", said, re.MULTILINE)
    after = said[said.index("     after") :].splitlines()[0].replace(",", "").split()
    visits, sends, deliveries = map(int, after[-3:])
    assert visits > 8
    assert sends > 60
    assert deliveries > sends
    assert said.endswith("verdict: steady\n")


def test_a_cache_that_fills_is_no_growth_and_memory_beyond_it_is() -> None:
    before, after = new_sample(0), new_sample(900)
    filling = [new_sample(60 * n, resident=100.0 + 5 * n, sqlite=20.0 + 5 * n) for n in range(10)]
    assert soak.find_leaks(before, filling, after, soak.LoadCounters()) == []
    growing = [new_sample(60 * n, resident=100.0 + 5 * n) for n in range(10)]
    assert soak.find_leaks(before, growing, after, soak.LoadCounters()) == [
        "memory beyond the caches grows by 300 MB an hour"
    ]
    warming_up = [new_sample(60 * n, resident=100.0 + 5 * min(n, 5)) for n in range(10)]
    assert soak.find_leaks(before, warming_up, after, soak.LoadCounters()) == []


def test_files_tasks_connections_and_bytes_that_stay_are_told_as_is_what_was_refused() -> None:
    before = new_sample(0)
    after = new_sample(900, files=30, tasks=40, connections=2, accounts=0.5)
    found = soak.find_leaks(
        before, [new_sample(1), new_sample(2)], after, soak.LoadCounters(errors=["RESOURCE_EXHAUSTED: no"])
    )
    assert [text.split()[0] for text in found] == ["20", "37", "2", "0.500", "1"]
