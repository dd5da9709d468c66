"""People come and go, and others watch them."""

import asyncio
import os
from functools import partial
from typing import Any

from bench import wire
from bench.load.opening import HOST, PATH, WAIT_SECONDS, open_all
from bench.load.processor import cpu_us
from bench.sockets import STREAM, Socket
from tidings.contract import v1


class Watcher(Socket):
    """Counts the changes of those it watches."""

    def __init__(self, number: int, users: list[str], seen: "Seen") -> None:
        request = v1.PresenceWatchRequest(users=users).SerializeToString()
        asked = wire.request_stream(STREAM, "presence.watch", request)
        super().__init__(HOST, PATH, wire.masked(wire.setup(f"watcher{number}")) + wire.masked(asked))
        self.live = asyncio.Event()
        self._seen = seen
        self._rest = b""

    def received(self, data: bytes) -> None:
        """Snapshot, live mark, changes."""
        buffer = self._rest + data if self._rest else data
        found, at = wire.messages(buffer)
        self._rest = buffer[at:]
        if self.live.is_set():
            self._seen.add(len(found))
            return
        for place, (begin, end) in enumerate(found):
            if v1.PresenceItem.FromString(buffer[begin + 6 : end]).HasField("live"):
                self.live.set()
                self._seen.add(len(found) - place - 1)


class Seen:
    """How many changes all watchers have seen together."""

    def __init__(self) -> None:
        self.changes = 0
        self._wanted = 0
        self._enough = asyncio.Event()

    def add(self, changes: int) -> None:
        """Some more."""
        self.changes += changes
        if self.changes >= self._wanted:
            self._enough.set()

    async def reach(self, wanted: int) -> None:
        """Wait until it is so many."""
        self._wanted = wanted
        self._enough.clear()
        if self.changes < wanted:
            await asyncio.wait_for(self._enough.wait(), WAIT_SECONDS)


async def presence(
    port: int, pid: int, users: int, watchers: int, watched: int, rounds: int, **_: Any
) -> dict[str, Any]:
    """The service's processor time, ms, while so many users come and go so many times; each watcher watches so many
    of them, all of them about equally often."""
    names = [f"{os.getpid()}-{n}" for n in range(users)]
    seen = Seen()
    makers = []
    for number in range(watchers):
        some = [names[(number * watched + n) % users] for n in range(watched)]
        makers.append(partial(Watcher, number, some, seen))
    watching = await open_all(port, makers)
    for watcher in watching:
        await asyncio.wait_for(watcher.live.wait(), WAIT_SECONDS)
    before = cpu_us(pid)
    expected = 0
    for _round in range(rounds):
        here = await open_all(port, [partial(Socket, HOST, PATH, wire.masked(wire.setup(name))) for name in names])
        expected += watchers * watched
        await seen.reach(expected)
        for user in here:
            user.transport.close()
        expected += watchers * watched
        await seen.reach(expected)
    if not watchers:
        await asyncio.sleep(1)  # nobody sees that the last ones have gone
    spent = (cpu_us(pid) - before) / 1000
    wrong = [] if seen.changes == expected else [f"{seen.changes} changes were seen instead of {expected}"]
    return {"value": spent, "deliveries": seen.changes, "wrong": wrong}
