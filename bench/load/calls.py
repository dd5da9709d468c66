"""Requests in flight on many connections."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from bench import wire
from bench.load.opening import HOST, PATH, RUN, TEXT, WAIT_SECONDS, Speaker, open_all
from bench.load.processor import commits, cpu_us
from bench.sockets import Caller
from tidings.contract import v1

WARM_PART = 0.2  # before the clock starts, until as much is in flight as will be


class Written(NamedTuple):
    """How questions are written. JSON as text, apart from the service's own way to write it."""

    mime: bytes
    empty: bytes
    message: Callable[[str, str, str], bytes]  # of the room, the client_id, the text


IN_PROTOBUF = Written(
    wire.PROTOBUF,
    b"",
    lambda room, client_id, text: v1.SendRequest(room=room, client_id=client_id, text=text).SerializeToString(),
)
IN_JSON = Written(
    wire.JSON,
    b"{}",
    lambda room, client_id, text: f'{{"room":"{room}","clientId":"{client_id}","text":"{text}"}}'.encode(),
)


async def calls(
    port: int,
    connections: int,
    in_flight: int,
    seconds: float,
    route: str,
    rooms: int = 1,
    json: bool = False,
    pid: int = 0,
    **_: Any,
) -> dict[str, Any]:
    """Answers per second; each one asks the next question. For chat.send also how many of them were in one commit.

    Lasts for `seconds`, and until one answer has come: a machine with other work to do may answer none in a short load,
    and a pace of 0 says nothing and has no ratio.
    """
    written = IN_JSON if json else IN_PROTOBUF
    number = answers = 0
    asking = False
    done, some = asyncio.Event(), asyncio.Event()
    pending = connections  # answers that are still awaited, where an answer is no new question
    names = [f"call{n}" for n in range(rooms)]

    def question() -> bytes:
        nonlocal number
        if route != "chat.send":
            return written.empty
        number += 1
        return written.message(names[number % rooms], f"{RUN}-{number}", TEXT)

    async def committed() -> int:
        return await asyncio.to_thread(commits, port) if route == "chat.send" else 0

    def answered(caller: Caller, count: int) -> None:
        nonlocal answers, pending
        answers += count
        some.set()
        if not asking:
            pending -= count
            if pending <= 0:
                done.set()
            return
        caller.ask(route, *[question() for _ in range(count)])

    if route == "chat.send":
        await (await Speaker.opened(port)).create(names)
    firsts = [wire.masked(wire.setup(f"caller{n}", written.mime)) for n in range(connections)]
    opened = await open_all(port, [partial(Caller, HOST, PATH, first, answered) for first in firsts])
    # Only so much may be asked before SETUP is accepted, which the first answer shows.
    for caller in opened:
        caller.ask("session.ping", written.empty)
    await asyncio.wait_for(done.wait(), WAIT_SECONDS)
    done.clear()
    asking, pending = True, connections * in_flight
    for caller in opened:
        caller.ask(route, *[question() for _ in range(in_flight)])
    await asyncio.sleep(seconds * WARM_PART)
    made = -await committed()
    some.clear()
    begin, counted, spent = time.perf_counter(), -answers, -cpu_us(pid)
    await asyncio.sleep(seconds)
    await asyncio.wait_for(some.wait(), WAIT_SECONDS)
    took, counted, spent = time.perf_counter() - begin, counted + answers, spent + cpu_us(pid)
    made += await committed()
    asking = False
    await asyncio.wait_for(done.wait(), WAIT_SECONDS)
    wrong = [failure.decode(errors="replace") for caller in opened for failure in caller.failures][:3]
    return {
        "value": counted / took,
        "answers": answers,
        "batch": counted / max(1, made),
        "cpu_us": spent / max(1, counted),
        "wrong": wrong,
    }
