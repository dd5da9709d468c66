"""One request in flight, with a blocking socket: nothing is between the request and the clock."""

import socket
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bench import wire
from bench.load.opening import HOST, PATH, RUN, TEXT
from tidings.contract import v1


class Alone:
    """A client that waits for each answer."""

    def __init__(self, port: int, transport: str, user: str = "bench") -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wrap: Callable[[bytes], bytes] = wire.masked if transport == "ws" else wire.length_prefixed
        self._head = 2 if transport == "ws" else 3
        self._buffer = b""
        self._stream = -1
        if transport == "ws":
            self.socket.sendall(wire.upgrade(f"{HOST}:{port}", PATH))
            while b"\r\n\r\n" not in self._buffer:
                self._buffer += self.socket.recv(65536)
            self._buffer = self._buffer.partition(b"\r\n\r\n")[2]
        self.socket.sendall(self.wrap(wire.setup(user)))

    def ask(self, route: str, data: bytes) -> bytes:
        """The data of the answer."""
        self._stream += 2
        self.socket.sendall(self.wrap(wire.request_response(self._stream, route, data)))
        frame = self._frame()
        kind = int.from_bytes(frame[4:6], "big") >> 10
        if kind != wire.PAYLOAD or int.from_bytes(frame[:4], "big") != self._stream:
            raise SystemExit(f"{route} was answered with {frame[:200]!r}")
        return frame[6:]

    def _frame(self) -> bytes:
        while True:
            buffer = self._buffer
            if len(buffer) >= self._head:
                if self._head == 3:
                    begin, size = 3, int.from_bytes(buffer[:3], "big")
                else:
                    begin, size = 2, buffer[1] & 0x7F
                    if size == 126:
                        begin, size = 4, int.from_bytes(buffer[2:4], "big")
                    elif size == 127:
                        begin, size = 10, int.from_bytes(buffer[2:10], "big")
                if len(buffer) >= begin + size:
                    self._buffer = buffer[begin + size :]
                    return buffer[begin : begin + size]
            received = self.socket.recv(1 << 20)
            if not received:
                raise SystemExit("the server closed the connection")
            self._buffer += received


def timed(ask: Callable[[], object], seconds: float, times_min: int = 20) -> list[float]:
    """How long each of as many calls took as fit in."""
    (took,) = timed_in_turn([ask], seconds, times_min)
    return took


def timed_in_turn(asks: Sequence[Callable[[], object]], seconds: float, times_min: int = 20) -> list[list[float]]:
    """The same for several, each called once before the next round: what the machine does meanwhile hits all."""
    for _ in range(3):
        for ask in asks:
            ask()
    took: list[list[float]] = [[] for _ in asks]
    end = time.perf_counter() + seconds
    while len(took[0]) < times_min or time.perf_counter() < end:
        for ask, each in zip(asks, took, strict=True):
            begin = time.perf_counter()
            ask()
            each.append(time.perf_counter() - begin)
    return took


async def alone(ports: dict[str, int], transport: str, seconds: float, **_: Any) -> dict[str, Any]:
    """The median of session.ping of each server, µs."""
    clients = [Alone(port, transport) for port in ports.values()]
    asks = [partial(client.ask, "session.ping", b"") for client in clients]
    took = timed_in_turn(asks, seconds)
    return {name: statistics.median(each) * 1e6 for name, each in zip(ports, took, strict=True)}


async def alone_send(port: int, seconds: float, **_: Any) -> dict[str, Any]:
    """The median of chat.send, ms."""
    client = Alone(port, "ws")
    client.ask("rooms.create", v1.CreateRequest(room="alone", kind=v1.OPEN).SerializeToString())
    numbers = iter(range(1 << 60))

    def send() -> None:
        request = v1.SendRequest(room="alone", client_id=f"{RUN}-{next(numbers)}", text=TEXT)
        client.ask("chat.send", request.SerializeToString())

    return {"value": statistics.median(timed(send, seconds)) * 1e3}
