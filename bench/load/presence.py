"""People come and go, and others watch them."""

import asyncio
import os
from functools import partial
from typing import Any

from bench import codec
from bench.load.clients import HOST, PATH, WAIT_SECONDS, connect_all
from bench.load.process_stats import cpu_us
from bench.sockets import STREAM_ID, WebSocketClient
from tidings.contract import v1


class Watcher(WebSocketClient):
    """Counts the changes of those it watches."""

    def __init__(self, number: int, users: list[str], seen: "ChangeCounter") -> None:
        request = v1.PresenceWatchRequest(users=users).SerializeToString()
        asked = codec.request_stream(STREAM_ID, "presence.watch", request)
        super().__init__(
            HOST, PATH, codec.websocket_message(codec.setup(f"watcher{number}")) + codec.websocket_message(asked)
        )
        self.live = asyncio.Event()
        self._counter = seen
        self._buffer = b""

    def on_data(self, data: bytes) -> None:
        """Snapshot, live marker, changes."""
        buffer = self._buffer + data if self._buffer else data
        found, at = codec.split_websocket_messages(buffer)
        self._buffer = buffer[at:]
        if self.live.is_set():
            self._counter.add(len(found))
            return
        for place, (begin, end) in enumerate(found):
            if v1.PresenceItem.FromString(buffer[begin + 6 : end]).HasField("live"):
                self.live.set()
                self._counter.add(len(found) - place - 1)


class ChangeCounter:
    """How many changes all watchers have seen together."""

    def __init__(self) -> None:
        self.changes = 0
        self._target = 0
        self._is_reached = asyncio.Event()

    def add(self, changes: int) -> None:
        """Some more."""
        self.changes += changes
        if self.changes >= self._target:
            self._is_reached.set()

    async def wait_until(self, target: int) -> None:
        """Wait until it is so many."""
        self._target = target
        self._is_reached.clear()
        if self.changes < target:
            await asyncio.wait_for(self._is_reached.wait(), WAIT_SECONDS)


async def presence(
    port: int, pid: int, users: int, watchers: int, watched: int, rounds: int, **_: Any
) -> dict[str, Any]:
    """The service's processor time, ms, while so many users come and go so many times; each watcher watches so many
    of them, all of them about equally often."""
    names = [f"{os.getpid()}-{n}" for n in range(users)]
    seen = ChangeCounter()
    makers = []
    for number in range(watchers):
        some = [names[(number * watched + n) % users] for n in range(watched)]
        makers.append(partial(Watcher, number, some, seen))
    watching = await connect_all(port, makers)
    for watcher in watching:
        await asyncio.wait_for(watcher.live.wait(), WAIT_SECONDS)
    before = cpu_us(pid)
    expected = 0
    for _round in range(rounds):
        here = await connect_all(
            port, [partial(WebSocketClient, HOST, PATH, codec.websocket_message(codec.setup(name))) for name in names]
        )
        expected += watchers * watched
        await seen.wait_until(expected)
        for user in here:
            user.transport.close()
        expected += watchers * watched
        await seen.wait_until(expected)
    if not watchers:
        await asyncio.sleep(1)  # the last ones to leave have no watcher
    spent = (cpu_us(pid) - before) / 1000
    wrong = [] if seen.changes == expected else [f"{seen.changes} changes were seen instead of {expected}"]
    return {"value": spent, "deliveries": seen.changes, "errors": wrong}
