"""Requests in flight on many connections."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from bench import codec
from bench.load.clients import HOST, PATH, RUN_ID, TEXT, WAIT_SECONDS, MessageSender, connect_all
from bench.load.process_stats import commits, cpu_us
from bench.sockets import RequestClient
from tidings.contract import v1

WARMUP_FRACTION = 0.2  # before the clock starts, until as much is in flight as will be


class RequestEncoding(NamedTuple):
    """How questions are written. JSON as text, apart from the service's own way to write it."""

    mime: bytes
    empty: bytes
    send_request: Callable[[str, str, str], bytes]  # of the room, the client_id, the text


PROTOBUF_REQUESTS = RequestEncoding(
    codec.PROTOBUF,
    b"",
    lambda room, client_id, text: v1.SendRequest(room=room, client_id=client_id, text=text).SerializeToString(),
)
JSON_REQUESTS = RequestEncoding(
    codec.JSON,
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
    encoding = JSON_REQUESTS if json else PROTOBUF_REQUESTS
    number = answers = 0
    is_sending = False
    done, some = asyncio.Event(), asyncio.Event()
    pending = connections  # answers that are still awaited, where an answer is no new question
    names = [f"call{n}" for n in range(rooms)]

    def next_request() -> bytes:
        nonlocal number
        if route != "chat.send":
            return encoding.empty
        number += 1
        return encoding.send_request(names[number % rooms], f"{RUN_ID}-{number}", TEXT)

    async def count_commits() -> int:
        return await asyncio.to_thread(commits, port) if route == "chat.send" else 0

    def on_replies(caller: RequestClient, count: int) -> None:
        nonlocal answers, pending
        answers += count
        some.set()
        if not is_sending:
            pending -= count
            if pending <= 0:
                done.set()
            return
        caller.send_requests(route, *[next_request() for _ in range(count)])

    if route == "chat.send":
        await (await MessageSender.connect(port)).create_rooms(names)
    firsts = [codec.websocket_message(codec.setup(f"caller{n}", encoding.mime)) for n in range(connections)]
    opened = await connect_all(port, [partial(RequestClient, HOST, PATH, first, on_replies) for first in firsts])
    # Only so much may be asked before SETUP is accepted, which the first answer shows.
    for caller in opened:
        caller.send_requests("session.ping", encoding.empty)
    await asyncio.wait_for(done.wait(), WAIT_SECONDS)
    done.clear()
    is_sending, pending = True, connections * in_flight
    for caller in opened:
        caller.send_requests(route, *[next_request() for _ in range(in_flight)])
    await asyncio.sleep(seconds * WARMUP_FRACTION)
    commit_count = -await count_commits()
    some.clear()
    begin, counted, spent = time.perf_counter(), -answers, -cpu_us(pid)
    await asyncio.sleep(seconds)
    await asyncio.wait_for(some.wait(), WAIT_SECONDS)
    took, counted, spent = time.perf_counter() - begin, counted + answers, spent + cpu_us(pid)
    commit_count += await count_commits()
    is_sending = False
    await asyncio.wait_for(done.wait(), WAIT_SECONDS)
    wrong = [failure.decode(errors="replace") for caller in opened for failure in caller.errors][:3]
    return {
        "value": counted / took,
        "answers": answers,
        "batch": counted / max(1, commit_count),
        "cpu_us": spent / max(1, counted),
        "errors": wrong,
    }
