"""`make soak`: clients connect, read and leave for minutes or hours; checks that the service leaks nothing.

Each client connects under one of a few hundred names, watches one room with full credit, one room slowly, its room list
and the presence of some users, stays for some seconds, and leaves: half close the connection, half drop it. A sender
writes to all rooms. Every interval prints what the service holds; after all clients have left, it prints what remains.

Memory is reported by kind. SQLite's page caches and the tails of rooms have their own limits
(`store.*_cache_bytes`, `hub.tails_bytes_max`), and free memory of the allocator will be used again. The rest must not
grow: the verdict uses its slope in the second half of the run, and files and tasks after all clients have left.
"""

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import codec
from bench.load.clients import HOST, PATH, MessageSender, connect_all, watch_request
from bench.servers import Server, TidingsProgram
from bench.sockets import WebSocketClient
from tidings.contract import v1

MB = 1_000_000
GROWTH_MB_PER_HOUR_MAX = 24.0  # of the rest: 0.6 GB a day
GROWTH_MB_MIN = 4.0  # random variation of a run
LEAKED_MAX = 8  # files or tasks more than before the first client: timers, and one or two readers of the database
SLOW_CREDIT = 5
METRIC_LINE = re.compile(r"^(tidings_\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Options:
    """How long, and how many."""

    seconds: float
    interval_seconds: float
    settle_seconds: float  # after all clients have left: longer than any grace period
    visitors: int
    users: int
    rooms: int
    sends_per_second: float
    stay_seconds: float


@dataclass(slots=True)
class LoadCounters:
    """What visitors and senders did so far."""

    visits: int = 0
    deliveries: int = 0
    sends: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the service holds at one moment; memory in MB."""

    at_seconds: float
    resident: float
    sqlite: float
    tails: float
    free: float
    accounts: float
    blocks: int
    files: int
    tasks: int
    connections: int

    @property
    def rest(self) -> float:
        """Memory that no cache with a limit accounts for."""
        return self.resident - self.sqlite - self.tails - self.free


class Visitor(WebSocketClient):
    """Counts what comes, and complaints."""

    def __init__(self, first: bytes, counters: LoadCounters) -> None:
        super().__init__(HOST, PATH, first)
        self.counters = counters
        self._buffer = b""

    def on_data(self, data: bytes) -> None:
        """Count messages."""
        buffer = self._buffer + data
        found, rest = codec.split_websocket_messages(buffer)
        self._buffer = buffer[rest:]
        for begin, end in found:
            kind = codec.frame_type(buffer, begin)
            if kind == codec.PAYLOAD:
                self.counters.deliveries += 1
            elif kind == codec.ERROR:
                self.counters.errors.append(buffer[begin + 10 : end].decode(errors="replace"))


def visitor_requests(options: Options, random_source: random.Random) -> bytes:
    """All that one visitor asks for, after SETUP."""
    user = f"visitor{random_source.randrange(options.users)}"
    watched_users = [f"visitor{random_source.randrange(options.users)}" for _ in range(20)]
    slow = v1.WatchRequest(room=room_name(random_source.randrange(options.rooms)), after=v1.Cursor())
    streams = (
        (3, "chat.watch", slow, SLOW_CREDIT),
        (5, "rooms.watch", v1.RoomsWatchRequest(), codec.UNBOUNDED),
        (7, "presence.watch", v1.PresenceWatchRequest(users=watched_users), codec.UNBOUNDED),
        (9, "history.read", v1.ReadRequest(room=slow.room), SLOW_CREDIT),
    )
    first = codec.websocket_message(codec.setup(user)) + watch_request(
        room_name(random_source.randrange(options.rooms))
    )
    return first + b"".join(
        codec.websocket_message(codec.request_stream(stream, route, request.SerializeToString(), n))
        for stream, route, request, n in streams
    )


def room_name(number: int) -> str:
    """The name of one of the rooms."""
    return f"soak{number}"


async def run_visitor(
    port: int, options: Options, counters: LoadCounters, random_source: random.Random, until: float
) -> None:
    """One place in the crowd: a user connects, stays and leaves, then the next user does."""
    loop = asyncio.get_running_loop()
    while (left := until - loop.time()) > 0:
        (visitor,) = await connect_all(port, [partial(Visitor, visitor_requests(options, random_source), counters)])
        counters.visits += 1
        await asyncio.sleep(min(left, random_source.uniform(0.5, 1.5) * options.stay_seconds))
        if random_source.random() < 0.5:
            visitor.transport.close()
        else:
            visitor.transport.abort()


async def send_messages(port: int, options: Options, counters: LoadCounters, until: float) -> None:
    """Write to all rooms in turn, evenly."""
    loop = asyncio.get_running_loop()
    sender = await MessageSender.connect(port, user="speaker")
    burst = max(1, round(options.sends_per_second / 20))
    began, number = loop.time(), 0
    while loop.time() < until:
        for place in range(burst):
            sender.client.send_requests(
                "chat.send", *sender.next_messages(room_name((number + place) % options.rooms), 1)
            )
        number += burst
        counters.sends += burst
        await asyncio.sleep(max(0.0, began + number / options.sends_per_second - loop.time()))
    counters.errors += sender.errors
    sender.client.transport.close()


def take_sample(server: Server, at_seconds: float) -> Sample:
    """Ask the kernel and the service's own metrics. Blocks."""
    with urllib.request.urlopen(f"http://{HOST}:{server.port}/metrics") as answer:
        metrics: dict[str, float] = {}
        for name, value in METRIC_LINE.findall(answer.read().decode()):
            metrics[name] = metrics.get(name, 0.0) + float(value)
    return Sample(
        at_seconds,
        server.resident_bytes() / MB,
        metrics["tidings_sqlite_memory_bytes"] / MB,
        metrics["tidings_log_tail_bytes"] / MB,
        metrics["tidings_malloc_free_bytes"] / MB,
        metrics["tidings_user_memory_bytes"] / MB,
        int(metrics["tidings_python_allocated_blocks"]),
        sum(1 for _ in Path(f"/proc/{server.pid}/fd").iterdir()),
        int(metrics["tidings_asyncio_tasks"]),
        int(metrics["tidings_connections"]),
    )


def slope_per_hour(samples: Sequence[Sample], values: Sequence[float]) -> float:
    """Least squares; 0 for fewer than two moments."""
    times = [each.at_seconds for each in samples]
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in times)
    if not spread:
        return 0.0
    return sum((at - middle) * (value - mean) for at, value in zip(times, values, strict=True)) / spread * 3_600


def find_leaks(before: Sample, samples: Sequence[Sample], after: Sample, counters: LoadCounters) -> list[str]:
    """What grows, or was left behind; and what was refused, since then the load was not what it should be."""
    found = []
    half = samples[len(samples) // 2 :]
    slope = slope_per_hour(half, [each.rest for each in half])
    grown = slope / 3_600 * (half[-1].at_seconds - half[0].at_seconds)
    if slope > GROWTH_MB_PER_HOUR_MAX and grown > GROWTH_MB_MIN:
        found.append(f"memory beyond the caches grows by {slope:.0f} MB an hour")
    for what in ("files", "tasks"):
        left = getattr(after, what) - getattr(before, what)
        if left > LEAKED_MAX:
            found.append(f"{left} {what} are left though everybody has gone")
    if after.connections:
        found.append(f"{after.connections} connections are left though everybody has gone")
    if after.accounts > 0:
        found.append(f"{after.accounts:.3f} MB are left on the accounts of users who have gone")
    if counters.errors:
        found.append(f"{len(counters.errors)} requests were refused, such as: {counters.errors[0][:150]}")
    return found


COLUMNS = """resident: all memory of the service's process; of it:
  sqlite: page caches; tails: newest events of rooms; free: the allocator's, used again; rest: everything else
accounts: what is counted for single users; blocks: Python's objects; files: open descriptors; tasks: of asyncio
conns: open connections; visits: connections so far; sends, deliveries: messages written and read so far"""
HEADER = (
    "      time  resident    sqlite     tails      free      rest  accounts    blocks  files  tasks"
    "  conns   visits    sends  deliveries"
)


def format_sample(name: str, each: Sample, counters: LoadCounters) -> str:
    """A sample, to be read below HEADER."""
    memory = "".join(
        f"{value:10.1f}" for value in (each.resident, each.sqlite, each.tails, each.free, each.rest, each.accounts)
    )
    counts = f"{each.blocks:10,}{each.files:7}{each.tasks:7}{each.connections:7}"
    return f"{name:>10}{memory}{counts}{counters.visits:9,}{counters.sends:9,}{counters.deliveries:12,}"


async def soak(server: Server, options: Options) -> list[str]:
    """Run it; what is wrong."""
    loop = asyncio.get_running_loop()
    counters = LoadCounters()
    sender = await MessageSender.connect(server.port)
    await sender.create_rooms([room_name(number) for number in range(options.rooms)])
    sender.client.transport.close()
    print(f"{COLUMNS}\nit takes {options.seconds / 60:g} minutes and {options.settle_seconds:g} s", flush=True)
    print(f"memory in MB; {options.visitors} visitors at a time, {options.rooms} rooms\n{HEADER}", flush=True)
    began = loop.time()
    before = await asyncio.to_thread(take_sample, server, 0.0)
    print(format_sample("before", before, counters), flush=True)
    until = began + options.seconds
    tasks = [
        loop.create_task(run_visitor(server.port, options, counters, random.Random(number), until))
        for number in range(options.visitors)
    ]
    tasks.append(loop.create_task(send_messages(server.port, options, counters, until)))
    samples: list[Sample] = []
    while (left := until - loop.time()) > 0:
        await asyncio.sleep(min(left, options.interval_seconds))
        samples.append(await asyncio.to_thread(take_sample, server, loop.time() - began))
        print(
            format_sample(time.strftime("%H:%M:%S", time.gmtime(samples[-1].at_seconds)), samples[-1], counters),
            flush=True,
        )
    await asyncio.gather(*tasks)
    print(f"everybody has left; {options.settle_seconds:g} s for what is kept for who comes back", flush=True)
    await asyncio.sleep(options.settle_seconds)
    after = await asyncio.to_thread(take_sample, server, loop.time() - began)
    print(format_sample("after", after, counters), flush=True)
    half = samples[len(samples) // 2 :]
    print("\nslopes of the second half, an hour:", flush=True)
    for name in ("resident", "sqlite", "tails", "free", "rest", "files", "tasks"):
        print(f"{name:>10}{slope_per_hour(half, [float(getattr(each, name)) for each in half]):+10.1f}")
    return find_leaks(before, samples, after, counters)


def parse_options(arguments: Sequence[str] | None) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="make soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=12.0, help="duration (default 12)")
    parser.add_argument("--interval", type=float, default=15.0, help="seconds between two lines")
    parser.add_argument("--settle", type=float, default=100.0, help="seconds after everybody has left")
    parser.add_argument("--visitors", type=int, default=200, help="connected at a time")
    parser.add_argument("--users", type=int, default=400, help="names they come under")
    parser.add_argument("--rooms", type=int, default=40)
    parser.add_argument("--sends", type=float, default=500.0, help="messages a second, over all rooms")
    parser.add_argument("--stay", type=float, default=5.0, help="seconds that a visitor stays, on average")
    parsed = parser.parse_args(arguments)
    return Options(
        parsed.minutes * 60,
        parsed.interval,
        parsed.settle,
        parsed.visitors,
        parsed.users,
        parsed.rooms,
        parsed.sends,
        parsed.stay,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 when something grows."""
    options = parse_options(arguments)
    # All visitors come from one address here; in life they do not.
    settings = {"connections__unauthenticated_connections_per_address_max": 4_096}
    with (
        tempfile.TemporaryDirectory(prefix="tidings-soak-") as folder,
        TidingsProgram(Path(folder), settings).running() as server,
    ):
        wrong = asyncio.run(soak(server, options))
    for text in wrong:
        print(f"WRONG  {text}")
    print("verdict: " + ("something grows or was left behind" if wrong else "steady"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
