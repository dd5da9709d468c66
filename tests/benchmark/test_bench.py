"""The benchmark does its smallest work, and does not let a wrong answer pass for a fast one."""

import asyncio
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from bench import chart, report
from bench.benchmarks import select_benchmarks
from bench.benchmarks.benchmark import BARE, TIDINGS, Measurement, Target
from bench.load.calls import calls
from bench.load.clients import MessageSender, RequestRefusedError, connect_readers, delivery_errors
from bench.load.fanout import fanout
from bench.load.large import large
from bench.load.paced import paced
from bench.load_process import LoadError, LoadProcess
from bench.sockets import ReaderGroup

from service_runner import running_service

LINE = Measurement(
    "pings", "answers/s", {TIDINGS: [90.0, 100.0, 110.0], BARE: [200.0]}, (Target("≥", 0.6, BARE),), size=10
)


@pytest.mark.asyncio
async def test_every_reader_of_every_room_gets_every_message(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        answer = await fanout(service.app.http_port, readers=3, rooms=2, burst=5, seconds=0.05)
    assert answer["deliveries"] > 0
    assert answer["errors"] == []


@pytest.mark.asyncio
async def test_pings_are_answered(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        answer = await calls(service.app.http_port, connections=2, in_flight=3, seconds=0.05, route="session.ping")
    assert answer["answers"] > 0
    assert answer["errors"] == []


@pytest.mark.asyncio
async def test_a_load_too_short_for_an_answer_waits_for_one(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        answer = await calls(service.app.http_port, connections=2, in_flight=3, seconds=0, route="session.ping")
    assert answer["answers"] > 0
    assert answer["value"] > 0
    assert answer["errors"] == []


@pytest.mark.asyncio
async def test_a_paced_load_too_short_for_a_message_sends_one(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        answer = await paced(service.app.http_port, readers=2, seconds=0.0001)
    assert answer["samples"] == 2
    assert answer["errors"] == []


@pytest.mark.asyncio
@pytest.mark.parametrize("route", ["session.ping", "chat.send"])
async def test_requests_in_json_are_answered(tmp_path: Path, route: str) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        port = service.app.http_port
        answer = await calls(port, connections=2, in_flight=3, seconds=0.05, route=route, json=True)
    assert answer["answers"] > 0
    assert answer["errors"] == []


@pytest.mark.asyncio
async def test_a_refused_request_is_a_fault_of_the_run(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        answer = await calls(service.app.http_port, connections=1, in_flight=1, seconds=0.05, route="no.such")
    assert "UNIMPLEMENTED" in answer["errors"][0]


@pytest.mark.asyncio
async def test_a_room_that_cannot_be_made_ends_the_load_with_the_reason(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        sender = await MessageSender.connect(service.app.http_port)
        await sender.create_rooms(["yard", "yard"])  # there already
        with pytest.raises(RequestRefusedError, match="has capital letters"):
            await sender.create_rooms(["Yard"])


@pytest.mark.asyncio
async def test_a_reader_with_another_byte_and_a_missing_message_are_faults(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        room = ReaderGroup("general", lambda _: None)
        first, second = await asyncio.wait_for(connect_readers(service.app.http_port, [room], 2), 20)
    assert first is room.reference
    assert delivery_errors([room], {room: 0}) == []
    second.checksum += 1
    assert delivery_errors([room], {room: 1}) == [
        "general: 1 readers got other bytes than their neighbour",
        "general: the witness did not get 1 messages in sequence",
    ]


def test_a_mark_is_judged_by_medians() -> None:
    (result,) = LINE.target_results()
    assert (result.value, result.is_met) == (0.5, False)
    assert report.format_targets(LINE) == "✗ ≥ 0.6 × bare (0.50)"


def test_a_missing_peer_is_no_reached_mark() -> None:
    (result,) = Measurement("pings", "answers/s", {TIDINGS: [1.0]}, (Target("≥", 2, "rsocket-js"),)).target_results()
    assert (result.value, result.is_met) == (None, False)


def test_beside_a_figure_of_0_there_is_no_ratio() -> None:
    line = Measurement("pings", "answers/s", {TIDINGS: [90.0, 100.0], BARE: [0.0, 200.0]}, (Target("≥", 0.6, BARE),))
    (result,) = line.target_results()
    assert (result.value, result.is_met) == (None, False)
    assert report.format_targets(line) == "✗ ≥ 0.6 × bare (not measured)"
    assert "ratio not measured" in report.format_table([line])


def test_a_line_comes_back_from_json() -> None:
    from json import dumps, loads

    assert report.measurement_from_json(loads(dumps(asdict(LINE)))) == LINE


def test_charts_name_everybody_and_their_figures() -> None:
    drawn = chart.bars([LINE])
    assert all(text in drawn for text in ("pings, answers/s", ">tidings<", ">bare<", ">100<", ">200<"))


def test_a_curve_tells_its_slope() -> None:
    lines = [Measurement("", "ms", {TIDINGS: [float(size) * 2]}, size=size) for size in (10, 100, 1_000)]
    assert "tidings, slope +1.00" in chart.curves(lines)


def test_rows_are_chosen_by_name_or_by_its_beginning() -> None:
    assert [row.name for row in select_benchmarks("fanout")] == ["fanout"]
    assert [row.name for row in select_benchmarks("ping-,send")] == ["ping-alone", "send"]


def test_a_smoke_run_takes_two_curves_of_many() -> None:
    quick, whole = select_benchmarks("", quick=True), select_benchmarks("")
    assert [row.name for row in quick if row.is_curve] == ["scale-fanout", "scale-search"]
    assert [row for row in whole if not row.is_curve] == [row for row in quick if not row.is_curve]
    assert len({row.name for row in whole}) == len(whole)


def test_a_row_that_misses_a_target_is_named_with_its_known_cause() -> None:
    line = {**asdict(LINE), "targets": [asdict(target) for target in LINE.targets]}
    said = report.render_missed_targets({"ping": {"lines": [line]}})
    assert "**[ping](#ping)**: pings, which needs ≥ 0.6 × bare and has 0.50. *Known cause:* " in said
    reached = {**line, "samples": {TIDINGS: [1.0], BARE: [1.0]}}
    assert report.render_missed_targets({"ping": {"lines": [reached]}}).endswith("None.\n")


def test_each_load_runs_in_a_process_of_its_own_and_a_broken_one_breaks_nothing_else() -> None:
    loader = LoadProcess()
    try:
        with pytest.raises(LoadError, match="KeyError"):
            loader.measure("no such load", {})
        with pytest.raises(LoadError, match="Connection refused"):
            loader.measure("pages", {"port": 1, "room": "log", "before": 0, "seconds": 0})
    finally:
        loader.close()
        loader.close()


@pytest.mark.asyncio
async def test_large_messages_reach_readers_that_take_them_compressed(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        work = {"readers": 3, "messages": 4, "per_second": 1_000}
        port = service.app.http_port
        for language in ("english", "chinese"):
            plain = await large(port, language=language, deflate=False, **work)
            small = await large(port, language=language, deflate=True, **work)
            assert plain["errors"] == small["errors"] == []
            assert 0 < small["bytes"] < plain["bytes"] * 0.6
            assert (small["inflating_us"] > 0, plain["inflating_us"]) == (True, 0.0)


def test_the_readme_says_what_was_measured_last() -> None:
    readme = (report.ROOT / "README.md").read_text()
    kept = report.load_results()

    def line_of(name: str) -> Measurement:
        return report.measurement_from_json(kept[name]["lines"][0])

    for what, name, peers in (
        ("one room, 1,000 readers, bursts of 10", "fanout", ("rsocket-py", "rsocket-js")),
        ("one room, 1,000 readers, one message at a time", "fanout-single", ("rsocket-py", "rsocket-js")),
        ("`session.ping`, 160 in flight", "ping", ("rsocket-py", "rsocket-js")),
        ("`chat.send` to 5 rooms, on disk", "send", ()),
    ):
        line = line_of(name)
        said = re.search(rf"^\| {re.escape(what)} \| ([\d,]+) \w+ \|(.*?)\|(.*?)\|$", readme, re.MULTILINE)
        assert said, what
        samples = [float(said[1].replace(",", "")), *map(float, said.groups()[1 : 1 + len(peers)])]
        measured = [line.median(line.subject), *(line.ratio(line.subject, peer) for peer in peers)]
        assert samples == pytest.approx(measured, rel=0.02), what
    said = re.search(r"An idle connection takes ([\d.]+) KiB; 5,000 clients .* live in ([\d.]+) s", readme)
    assert said
    measured = [line_of(name).median("tidings") for name in ("idle", "reconnect")]
    assert [float(said[1]), float(said[2])] == pytest.approx(measured, rel=0.02)
