"""One request in flight, with a blocking socket: nothing is between the request and the clock."""

import socket
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bench import codec
from bench.load.clients import HOST, PATH, RUN_ID, TEXT
from tidings.contract import v1


class BlockingClient:
    """A client that waits for each answer."""

    def __init__(self, port: int, transport: str, user: str = "bench") -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wrap: Callable[[bytes], bytes] = codec.websocket_message if transport == "ws" else codec.tcp_message
        self._header_bytes = 2 if transport == "ws" else 3
        self._buffer = b""
        self._stream = -1
        if transport == "ws":
            self.socket.sendall(codec.upgrade(f"{HOST}:{port}", PATH))
            while b"\r\n\r\n" not in self._buffer:
                self._buffer += self.socket.recv(65536)
            self._buffer = self._buffer.partition(b"\r\n\r\n")[2]
        self.socket.sendall(self.wrap(codec.setup(user)))

    def request(self, route: str, data: bytes) -> bytes:
        """The data of the answer."""
        self._stream += 2
        self.socket.sendall(self.wrap(codec.request_response(self._stream, route, data)))
        frame = self._frame()
        kind = codec.frame_type(frame)
        if kind != codec.PAYLOAD or int.from_bytes(frame[:4], "big") != self._stream:
            raise SystemExit(f"{route} was answered with {frame[:200]!r}")
        return frame[6:]

    def _frame(self) -> bytes:
        while True:
            buffer = self._buffer
            if len(buffer) >= self._header_bytes:
                if self._header_bytes == 3:
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


def time_calls(ask: Callable[[], object], seconds: float, times_min: int = 20) -> list[float]:
    """How long each of as many calls took as fit in."""
    (took,) = time_alternating([ask], seconds, times_min)
    return took


def time_alternating(asks: Sequence[Callable[[], object]], seconds: float, times_min: int = 20) -> list[list[float]]:
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


async def sequential_pings(ports: dict[str, int], transport: str, seconds: float, **_: Any) -> dict[str, Any]:
    """The median of session.ping of each server, µs."""
    clients = [BlockingClient(port, transport) for port in ports.values()]
    asks = [partial(client.request, "session.ping", b"") for client in clients]
    took = time_alternating(asks, seconds)
    return {name: statistics.median(each) * 1e6 for name, each in zip(ports, took, strict=True)}


async def sequential_sends(port: int, seconds: float, **_: Any) -> dict[str, Any]:
    """The median of chat.send, ms."""
    client = BlockingClient(port, "ws")
    client.request("rooms.create", v1.CreateRequest(room="alone", kind=v1.OPEN).SerializeToString())
    numbers = iter(range(1 << 60))

    def send() -> None:
        request = v1.SendRequest(room="alone", client_id=f"{RUN_ID}-{next(numbers)}", text=TEXT)
        client.request("chat.send", request.SerializeToString())

    return {"value": statistics.median(time_calls(send, seconds)) * 1e3}
