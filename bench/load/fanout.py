"""Messages to many readers."""

import asyncio
import socket
import time
from typing import Any

from bench import codec
from bench.load.clients import (
    HOST,
    PATH,
    WAIT_SECONDS,
    MessageSender,
    connect_all,
    connect_readers,
    delivery_errors,
    watch_request,
)
from bench.load.process_stats import cpu_us
from bench.sockets import ReaderGroup, WebSocketClient

ACTIVE_ROOMS_MAX = 50  # rooms that are spoken in at the same time


class StalledReader(WebSocketClient):
    """Asks for everything and takes nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """With a small window, so that it is full soon."""
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        super().connection_made(transport)

    def on_data(self, data: bytes) -> None:
        """No more."""
        self.transport.pause_reading()


async def fanout(
    port: int,
    readers: int,
    seconds: float,
    pid: int = 0,
    rooms: int = 1,
    burst: int = 1,
    tls: bool = False,
    stopped: int = 0,
    **_: Any,
) -> dict[str, Any]:
    """Deliveries per second: `rooms` rooms of `readers` readers each. The next burst of a room begins when its last
    one has reached everybody, so no queue is measured."""
    finished: asyncio.Queue[ReaderGroup] = asyncio.Queue()
    groups = [ReaderGroup(f"fan{n}-{readers}", finished.put_nowait) for n in range(rooms)]
    sender = await MessageSender.connect(port, tls=tls)
    await sender.create_rooms([group.name for group in groups])
    await connect_readers(port, groups, readers, tls=tls)
    for number in range(stopped):
        first = codec.websocket_message(codec.setup(f"stopped{number}")) + watch_request(groups[0].name)
        await connect_all(port, [lambda first=first: StalledReader(HOST, PATH, first)], tls=tls)  # type: ignore[misc]
    sent = dict.fromkeys(groups, 0)

    def send_burst(group: ReaderGroup) -> None:
        sent[group] += burst
        group.on_done = finished.put_nowait
        group.expect(1 + sent[group])
        sender.client.send_requests("chat.send", *sender.next_messages(group.name, burst))

    waiting = groups[ACTIVE_ROOMS_MAX:]
    spent = cpu_us(pid)
    begin = time.perf_counter()
    for group in groups[:ACTIVE_ROOMS_MAX]:
        send_burst(group)
    deliveries, active = 0, min(len(groups), ACTIVE_ROOMS_MAX)
    while active:
        group = await asyncio.wait_for(finished.get(), WAIT_SECONDS)
        deliveries += burst * readers
        if time.perf_counter() - begin < seconds:
            waiting.append(group)
            send_burst(waiting.pop(0))
        else:
            active -= 1
    took, spent = time.perf_counter() - begin, cpu_us(pid) - spent
    return {
        "value": deliveries / took,
        "deliveries": deliveries,
        "cpu_us": spent / deliveries,
        "errors": delivery_errors(groups, sent) + sender.errors,
    }
