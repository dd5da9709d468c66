"""Large messages to many readers, at a fixed pace: what goes over the wire, and what it costs both ends."""

import asyncio
import time
from pathlib import Path
from typing import Any

from bench import wire
from bench.load.opening import WAIT_SECONDS, Speaker, faults, seat_readers
from bench.load.processor import cpu_us
from bench.sockets import Room, Witness

TEXTS = Path(__file__).parent.parent / "texts"
TEXT_BYTES = 7_900
INFLATED_TIMES = 200


def turned(language: str, number: int) -> str:
    """A text of that size, another one for every number: prose that begins at another place."""
    text = (TEXTS / f"{language}.txt").read_text(encoding="utf-8")
    text = text.encode()[:TEXT_BYTES].decode(errors="ignore")
    place = number * 97 % len(text)
    return text[place:] + text[:place]


async def large(
    port: int,
    readers: int,
    language: str,
    messages: int,
    per_second: float,
    deflate: bool,
    pid: int = 0,
    tls: bool = False,
    **_: Any,
) -> dict[str, Any]:
    """Bytes on the wire and the server's processor time, both of one delivery; and what inflating it costs a reader."""
    finished = asyncio.Event()
    room = Room(f"large-{language}-{readers}-{'deflated' if deflate else 'plain'}", lambda _: None)
    speaker = await Speaker.opened(port, tls=tls)
    await speaker.create([room.name])
    await seat_readers(port, [room], readers, tls=tls, deflate=deflate)
    witness = room.witness
    assert witness is not None
    room.done = lambda _: finished.set()
    requests = [speaker.messages(room.name, 1, turned(language, number))[0] for number in range(messages)]
    size = witness.bytes
    room.expect(1 + messages)
    spent, begin = cpu_us(pid), time.perf_counter()
    for number, request in enumerate(requests):
        await asyncio.sleep(max(0.0, begin + number / per_second - time.perf_counter()))
        speaker.caller.ask("chat.send", request)
    await asyncio.wait_for(finished.wait(), WAIT_SECONDS)
    spent = cpu_us(pid) - spent
    return {
        "bytes": (witness.bytes - size) / messages,
        "cpu_us": spent / messages / readers,
        "inflating_us": inflating_us(witness),
        "wrong": faults([room], {room: messages}) + speaker.complaints,
    }


def inflating_us(witness: Witness) -> float:
    """Processor time of a reader for one compressed message; 0 where none came."""
    begin, end = witness.spans[-1]
    if not wire.is_compressed(witness.kept, begin, end):
        return 0.0
    payload = bytes(witness.kept[begin:end])
    started = time.process_time()
    for _ in range(INFLATED_TIMES):
        wire.inflated(payload)
    return (time.process_time() - started) / INFLATED_TIMES * 1e6
