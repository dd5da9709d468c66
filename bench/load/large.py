"""Large messages to many readers, at a fixed pace: what goes over the wire, and what it costs both ends."""

import asyncio
import time
from pathlib import Path
from typing import Any

from bench import codec
from bench.load.clients import WAIT_SECONDS, MessageSender, connect_readers, delivery_errors
from bench.load.process_stats import cpu_us
from bench.sockets import ReaderGroup, ReferenceReader

TEXTS = Path(__file__).parent.parent / "texts"
TEXT_BYTES = 7_900
INFLATE_REPETITIONS = 200


def rotated_text(language: str, number: int) -> str:
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
    room = ReaderGroup(f"large-{language}-{readers}-{'deflated' if deflate else 'plain'}", lambda _: None)
    sender = await MessageSender.connect(port, tls=tls)
    await sender.create_rooms([room.name])
    await connect_readers(port, [room], readers, tls=tls, deflate=deflate)
    reference = room.reference
    assert reference is not None
    room.on_done = lambda _: finished.set()
    requests = [sender.next_messages(room.name, 1, rotated_text(language, number))[0] for number in range(messages)]
    size = reference.bytes
    room.expect(1 + messages)
    spent, begin = cpu_us(pid), time.perf_counter()
    for number, request in enumerate(requests):
        await asyncio.sleep(max(0.0, begin + number / per_second - time.perf_counter()))
        sender.client.send_requests("chat.send", request)
    await asyncio.wait_for(finished.wait(), WAIT_SECONDS)
    spent = cpu_us(pid) - spent
    return {
        "bytes": (reference.bytes - size) / messages,
        "cpu_us": spent / messages / readers,
        "inflating_us": inflate_us(reference),
        "errors": delivery_errors([room], {room: messages}) + sender.errors,
    }


def inflate_us(reference: ReferenceReader) -> float:
    """Processor time of a reader for one compressed message; 0 where none came."""
    begin, end = reference.message_spans[-1]
    if not codec.is_compressed(reference.buffer, begin, end):
        return 0.0
    payload = bytes(reference.buffer[begin:end])
    started = time.process_time()
    for _ in range(INFLATE_REPETITIONS):
        codec.inflate(payload)
    return (time.process_time() - started) / INFLATE_REPETITIONS * 1e6
