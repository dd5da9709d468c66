"""The benchmark does its smallest work, and does not let a wrong answer pass for a fast one."""

import asyncio
from pathlib import Path

import pytest
from bench import chart, report
from bench.load.calls import calls
from bench.load.fanout import fanout
from bench.load.opening import faults, seat_readers
from bench.rows import chosen
from bench.rows.row import BARE, TIDINGS, Line, Mark
from bench.sockets import Room

from running import running_service

LINE = Line("pings", "answers/s", {TIDINGS: [90.0, 100.0, 110.0], BARE: [200.0]}, (Mark("≥", 0.6, BARE),), size=10)


@pytest.mark.asyncio
async def test_every_reader_of_every_room_gets_every_message(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        answer = await fanout(service.app.http_port, readers=3, rooms=2, burst=5, seconds=0.05)
    assert answer["deliveries"] > 0
    assert answer["wrong"] == []


@pytest.mark.asyncio
async def test_pings_are_answered(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        answer = await calls(service.app.http_port, connections=2, in_flight=3, seconds=0.05, route="session.ping")
    assert answer["answers"] > 0
    assert answer["wrong"] == []


@pytest.mark.asyncio
async def test_a_refused_request_is_a_fault_of_the_run(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        answer = await calls(service.app.http_port, connections=1, in_flight=1, seconds=0.05, route="no.such")
    assert "UNIMPLEMENTED" in answer["wrong"][0]


@pytest.mark.asyncio
async def test_a_reader_with_another_byte_and_a_missing_message_are_faults(tmp_path: Path) -> None:
    async with running_service(tmp_path, connections__close_seconds=0.05) as service:
        room = Room("general", lambda _: None)
        first, second = await asyncio.wait_for(seat_readers(service.app.http_port, [room], 2), 20)
    assert first is room.witness
    assert faults([room], {room: 0}) == []
    second.sum += 1
    assert faults([room], {room: 1}) == [
        "general: 1 readers got other bytes than their neighbour",
        "general: the witness did not get 1 messages in sequence",
    ]


def test_a_mark_is_judged_by_medians() -> None:
    (verdict,) = LINE.verdicts()
    assert (verdict.value, verdict.reached) == (0.5, False)
    assert report.verdicts(LINE) == "✗ ≥ 0.6 × bare (0.50)"


def test_a_missing_peer_is_no_reached_mark() -> None:
    (verdict,) = Line("pings", "answers/s", {TIDINGS: [1.0]}, (Mark("≥", 2, "rsocket-js"),)).verdicts()
    assert (verdict.value, verdict.reached) == (None, False)


def test_a_line_comes_back_from_json() -> None:
    from dataclasses import asdict
    from json import dumps, loads

    assert report.revived(loads(dumps(asdict(LINE)))) == LINE


def test_charts_name_everybody_and_their_figures() -> None:
    drawn = chart.bars([LINE])
    assert all(text in drawn for text in ("pings, answers/s", ">tidings<", ">bare<", ">100<", ">200<"))


def test_a_curve_tells_its_slope() -> None:
    lines = [Line("", "ms", {TIDINGS: [float(size) * 2]}, size=size) for size in (10, 100, 1_000)]
    assert "tidings, slope +1.00" in chart.curves(lines)


def test_rows_are_chosen_by_name_or_by_its_beginning() -> None:
    assert [row.name for row in chosen("fanout")] == ["fanout"]
    assert [row.name for row in chosen("ping-,send")] == ["ping-alone", "send"]
