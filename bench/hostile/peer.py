"""The hostile end of a connection: sends what an attack makes, as fast as it is taken, and counts what comes back.

Run as a program it is one process that carries out one attack: `python -m bench.hostile.peer '{"attack": …}'`. It
prints one line of JSON: how many connections were opened and closed, how many bytes were sent, how many errors came.
"""

import asyncio
import contextlib
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import uvloop

from bench import codec
from bench.hostile.attack import Attack, Attacker
from bench.hostile.attacks import ATTACKS

HOST = "127.0.0.1"
ADDRESS = "127.0.0.66"  # of the attacker, unless an attack is about sharing an address with honest clients
NICENESS = 5  # honest clients share the core with this process; they are what is measured
CHUNK_BYTES = 65_536
RECONNECT_SECONDS = 0.01  # a refused attacker comes back
OPENING_AT_ONCE = 64
OPENING_SECONDS_MAX = 30.0  # for the first connection of an attack, on a machine with other work to do


class Connection(asyncio.Protocol):
    """One connection: WebSocket handshake and SETUP where the attack wants them, then the flood."""

    def __init__(self, attack: Attack, attacker: Attacker, counts: Counter[str], opened: asyncio.Event) -> None:
        self._attack = attack
        self._attacker = attacker
        self._counts = counts
        self._opened = opened
        self._buffer = b""
        self._is_open = attack.transport != "ws"
        self._flood: Iterator[bytes] | None = None
        self._paused = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade, or begin."""
        assert hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self._counts["opened"] += 1
        self._opened.set()
        if self._attack.transport == "ws":
            self._write(codec.upgrade("127.0.0.1", "/rsocket", deflate=self._attack.deflate))
        else:
            self._authenticate()

    def _authenticate(self) -> None:
        if self._attack.is_signed_in:
            self._write(self._attacker.wrap(self._attacker.setup()))
            self._write(self._attacker.wrap(self._attacker.request("session.ping", b"")))
        else:
            self._start_flood()

    def _start_flood(self) -> None:
        self._flood = self._attack.flood(self._attacker)
        if not self._attack.reads_replies:
            self._transport.pause_reading()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """The handshake's answer, then frames, of which the errors are counted."""
        self._counts["received_bytes"] += len(data)
        if not self._is_open:
            self._buffer += data
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            self._is_open = True
            self._buffer = b""
            if b" 101 " not in head.split(b"\r\n")[0]:
                self._counts[head.split(b"\r\n")[0].decode(errors="replace")[9:]] += 1
                self._transport.close()
                return
            self._authenticate()
            data = rest
        if self._attack.transport == "http":
            if data.startswith(b"HTTP/1.1 "):
                self._counts[data[9:12].decode(errors="replace")] += 1
            return
        for frame in self._frames(data):
            if len(frame) >= 10 and codec.frame_type(frame) == codec.ERROR:
                self._counts[frame[10:].split(b":")[0][:24].decode(errors="replace") or "ERROR"] += 1
            if self._flood is None and len(frame) >= 6:
                self._start_flood()

    def _frames(self, data: bytes) -> Iterator[bytes]:
        buffer = self._buffer + data
        if self._attack.transport == "ws":
            found, rest = codec.split_websocket_messages(buffer)
        else:
            found, rest = codec.split_tcp_frames(buffer)
        self._buffer = buffer[rest:]
        for begin, end in found:
            yield buffer[begin:end]

    def pause_writing(self) -> None:
        """The service takes no more for now."""
        self._paused = True

    def resume_writing(self) -> None:
        """Send until the service takes no more."""
        self._paused = False
        if self._flood is not None:
            self._send_chunk()

    def _send_chunk(self) -> None:
        """Send one portion, and the next in the next round of the loop."""
        if self._paused or self._flood is None or self.lost.done():
            return
        size = 0
        for chunk in self._flood:
            self._write(chunk)
            size += len(chunk)
            if self._paused:
                return
            if size >= CHUNK_BYTES:
                asyncio.get_running_loop().call_soon(self._send_chunk)
                return

    def _write(self, data: bytes) -> None:
        self._counts["sent_bytes"] += len(data)
        self._transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        """The service has had enough, or the attack is over."""
        self._counts["closed"] += 1
        if not self.lost.done():
            self.lost.set_result(None)


async def keep_connected(
    attack: Attack, attacker: Attacker, options: dict[str, Any], counts: Counter[str], opened: asyncio.Event
) -> None:
    """One connection after the other, for as long as the attack lasts."""
    loop = asyncio.get_running_loop()
    port = options["tcp_port"] if attack.transport == "tcp" else options["port"]
    address = HOST if attack.shares_address else ADDRESS
    while True:
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(attack, attacker, counts, opened), HOST, port, local_addr=(address, 0)
            )
        except OSError:
            counts["refused by the kernel"] += 1
        else:
            await connection.lost
        await asyncio.sleep(RECONNECT_SECONDS)


async def run_attack(options: dict[str, Any]) -> dict[str, int]:
    """Attack with all connections at once, for `seconds` and until the first of them was open; the counts."""
    attack = ATTACKS[options["attack"]]
    counts: Counter[str] = Counter()
    opened = asyncio.Event()
    connections = attack.connections or options["connections"]
    begin = time.monotonic()
    tasks = []
    for number in range(connections):
        attacker = Attacker(attack, number, options["tokens"][number % len(options["tokens"])], options["room"])
        tasks.append(asyncio.ensure_future(keep_connected(attack, attacker, options, counts, opened)))
        if number % OPENING_AT_ONCE == OPENING_AT_ONCE - 1:
            await asyncio.sleep(0.01)
    await asyncio.sleep(max(0.0, options["seconds"] - (time.monotonic() - begin)))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(opened.wait(), OPENING_SECONDS_MAX)
    result = dict(counts)  # before the end closes them all
    for task in tasks:
        task.cancel()
    return result


def main() -> None:
    """One attack, one line."""
    os.nice(NICENESS)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(json.dumps(uvloop.run(run_attack(json.loads(sys.argv[1])))), flush=True)


if __name__ == "__main__":
    main()
