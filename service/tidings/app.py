"""The only file that knows every concrete class: store, product, table, transports, and in which order they start.

Starting: the store first (it takes the lock), then the product on it, the table of methods, and last the ports, so
that whoever can connect is served. Stopping is the same backwards: no new connections, those that live are drained,
what is to be remembered is written down, the store is closed.
"""

import asyncio
import contextlib
import gc
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from tidings import __version__, allocator, signals
from tidings.config import ConfigError, Settings, describe
from tidings.contract import table, v1
from tidings.contract.errors import Failure
from tidings.domain import product
from tidings.domain.ports import Store
from tidings.domain.tokens import TokenSettings
from tidings.log import cause, log, take_over
from tidings.metrics import Metrics
from tidings.stores.errors import StoreError
from tidings.stores.files import FilesLost
from tidings.stores.sqlite import SqliteStore, memory_bytes
from tidings.transports.listener import Listener, ListenError
from tidings.transports.settings import is_everywhere

if TYPE_CHECKING:
    from reactivex.abc import SchedulerBase

TICK_SECONDS = 1.0
RELOADED = frozenset(("log", "tls.certificate", "tls.key"))  # settings that SIGHUP takes over
OPEN_ROOM = "general"  # there in development, so that the first message needs no preparation


class StartError(Exception):
    """The service cannot start; one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a started service can be reached."""

    http_url: str
    ws_url: str
    tcp_url: str
    data: Path
    dev: bool
    everywhere: bool  # from other machines too, under every address of this one


class Ending(Enum):
    """How a service that was told to stop came to its end."""

    FINISHED = "what was asked was answered"
    CUT = "it took too long, and what was still open was cut off"
    AT_ONCE = "it was told twice, and what was still open was cut off"


class SystemClock:
    """The machine's time."""

    def now_ms(self) -> int:
        """Unix milliseconds UTC."""
        return time.time_ns() // 1_000_000

    # Seconds that never go back. No method around it, which costs 0.07 us: each read of a socket asks twice.
    monotonic = staticmethod(time.monotonic)


class App:
    """One service: built, started, drained, closed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.state = "starting"
        self.writes = True
        self.failed: asyncio.Future[str]
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> Listening:
        """Serve. StartError when something is in the way; nothing is left behind then."""
        self.failed = asyncio.get_running_loop().create_future()
        try:
            await self._start()
        except (StoreError, ListenError, ValueError) as error:
            await self._stack.aclose()
            raise StartError(str(error)) from error
        except BaseException:
            await self._stack.aclose()
            raise
        self.state = "ok"
        return self.listening

    async def _start(self) -> None:
        settings = self.settings
        loop = asyncio.get_running_loop()
        clock = SystemClock()
        self.store: Store = await SqliteStore.open(Path(settings.data), settings.store)
        self._closes(self.store.close)
        self.store.on_failure(self._store_failed)
        self.store.on_transaction(self.metrics.observe_commit)
        self.product = product.build(
            self.store,
            clock=clock,
            schedule=loop.call_soon,
            schedule_later=loop.call_later,
            scheduler=reactive_scheduler,
            report=report,
            settings=product_settings(settings),
        )
        self._closes(self.product.close)
        if settings.dev:
            await self._open_room(clock)
        self.listener = Listener(
            table.build(self.product.services),
            self.product.gate,
            settings.listener,
            self.metrics,
            health=self.health,
            troubles=self.troubles,
        )
        self._closes(self.listener.close)
        await self.listener.start()
        ticking = loop.create_task(self._tick())
        self._closes(lambda: cancelled(ticking))
        if settings.trim_seconds:
            trimming = loop.create_task(self._trim(settings.trim_seconds))
            self._closes(lambda: cancelled(trimming))
        self._add_probes()

    def _closes(self, close: Callable[[], Awaitable[None]]) -> None:
        self._stack.push_async_callback(close)

    async def drain(self) -> bool:
        """Take nobody in, let those who are there finish, as long as the settings allow; whether they all did."""
        self.state = "draining"
        return await self.listener.drain(self.settings.drain_seconds)

    async def close(self) -> None:
        """Stop everything, in the order of the theory above. Idempotent."""
        self.state = "draining"
        await self._stack.aclose()

    def health(self) -> str:
        """`ok` while it serves, `degraded` while the store says that something is wrong with its files."""
        return "degraded" if self.state == "ok" and self.store.troubles() else self.state

    def troubles(self) -> Sequence[str]:
        """What is wrong with the store, and what to do."""
        return self.store.troubles()

    @property
    def http_port(self) -> int:
        """The port of HTTP and RSocket over WebSocket."""
        return self.listener.http_port

    @property
    def tcp_port(self) -> int:
        """The port of RSocket over TCP."""
        return self.listener.tcp_port

    @property
    def listening(self) -> Listening:
        """The addresses, as a client would write them."""
        addresses = self.listener.addresses()
        page = addresses.ws.removesuffix(self.settings.http.path).replace("ws", "http", 1)
        everywhere = is_everywhere(self.settings.http.host)
        return Listening(
            f"{page}/", addresses.ws, addresses.tcp, Path(self.settings.data), self.settings.dev, everywhere
        )

    async def _open_room(self, clock: SystemClock) -> None:
        with contextlib.suppress(Failure):  # it is there from an earlier start
            await self.store.create_room(
                OPEN_ROOM, kind=v1.OPEN, title="General", creator="", members=(), at_ms=clock.now_ms()
            )

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.metrics.observe_loop_lag(max(0.0, loop.time() - due))
            try:
                self.product.tick(time.monotonic())
            except Exception:
                log.exception("what is done once a second failed")
            log.tick()

    async def _trim(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(allocator.trim)

    def _store_failed(self, error: Exception) -> None:
        self.writes = False
        if isinstance(error, FilesLost):
            return  # stopping would take away what can still be read; the store says what to do
        self.state = "failed"
        log.error("the store can no longer write; reading goes on", error=cause(error))
        if not self.failed.done():
            self.failed.set_result(cause(error))

    def _add_probes(self) -> None:
        hub = self.product.hub
        probe = self.metrics.probe
        probe("tidings_subscriptions", "Readers of rooms now.", lambda: hub.stats.subscriptions)
        probe("tidings_feeds", "Rooms with a living tail now.", lambda: hub.stats.feeds)
        probe("tidings_lag_events", "Events the slowest reader is behind.", lambda: hub.stats.lag_events_max)
        accounts = self.product.accounts
        probe("tidings_user_bytes", "Bytes held on users' accounts now.", lambda: sum(accounts.held.values()))
        probe(
            "tidings_user_bytes_most",
            "Bytes held on the account of the user who holds most (limit: domain.user_bytes_max).",
            lambda: max(accounts.held.values(), default=0),
        )
        probe(
            "tidings_user_bytes_refused",
            "Requests refused by domain.user_bytes_max or domain.user_requests_max.",
            lambda: accounts.refusals,
            grows=True,
        )
        probe("tidings_tails_bytes", "Bytes of the newest events of rooms in memory.", lambda: hub.stats.tails_bytes)
        probe("tidings_sqlite_bytes", "Bytes that SQLite holds, its page caches mostly.", memory_bytes)
        probe("tidings_free_bytes", "Bytes freed and not given back to the system yet.", allocator.free_bytes)
        probe("tidings_python_blocks", "Small objects that live now.", sys.getallocatedblocks)
        probe("tidings_tasks", "Tasks of the event loop now.", lambda: len(asyncio.all_tasks()))
        for name, help in (
            ("events_notified", "Events that were published to readers of this process."),
            ("deliveries", "Items delivered to readers."),
            ("reads", "Pages read from the log for readers who are behind."),
            ("reads_shared", "Such pages that a reader got from another one's read."),
            ("stalls_ended", "Readers ended because they took nothing for too long."),
            ("gaps_sent", "Gaps told to readers who wanted the latest only."),
        ):
            probe(f"tidings_{name}", help, lambda name=name: getattr(hub.stats, name), grows=True)  # type: ignore[misc]


def product_settings(settings: Settings) -> product.Settings:
    """What the domain needs of the settings."""
    auth = settings.auth
    tokens = TokenSettings(auth.secret.encode(), auth.issuer, auth.audience) if auth.secret else None
    return product.Settings(
        dev=settings.dev,
        tokens=tokens,
        limits=settings.domain,
        hub=settings.hub,
        board=settings.board,
        version=__version__,
        shown_limits={
            "frame_bytes_max": settings.rsocket.frame_bytes_max,
            "streams_max": settings.rsocket.streams_max,
        },
    )


def reactive_scheduler() -> "SchedulerBase":
    """Time for reactivex, on the loop that runs; imported when the first big room needs it (`domain.gathering`)."""
    from reactivex.scheduler.eventloop import AsyncIOScheduler

    return AsyncIOScheduler(asyncio.get_running_loop())


def report(error: BaseException, where: str) -> None:
    """Somebody shall look at a fault of the service."""
    expected = isinstance(error, Failure)  # it says itself what is wrong
    trace = {"reason": str(error)} if expected else {"exc_info": error}
    log.error("something went wrong that nobody waits for", where=where, id=secrets.token_hex(4), **trace)


async def cancelled(task: asyncio.Task[None]) -> None:
    """End a task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def run(
    settings: Settings,
    announce: Callable[[Listening], None],
    conclude: Callable[[Ending, float], None],
    reread: Callable[[], Settings],
) -> int:
    """Serve until a signal says stop, or until the store cannot write any more; the exit code.

    The first such signal drains, the second one ends at once; SIGHUP reloads (`signals`). `announce` is called when
    everybody can connect, `conclude` when everything is closed, with the seconds that the draining took.
    """
    loop = asyncio.get_running_loop()
    take_over(loop)
    stopping: asyncio.Queue[int] = asyncio.Queue()
    app = App(settings)
    signals.listen(loop, stop=lambda: stopping.put_nowait(0), reload=lambda: reload(app, reread))
    announce(await app.start())
    signalled = loop.create_task(stopping.get())
    await asyncio.wait((signalled, app.failed), return_when=asyncio.FIRST_COMPLETED)
    again = loop.create_task(stopping.get())
    begun = loop.time()
    draining = loop.create_task(app.drain())
    await asyncio.wait((again, draining), return_when=asyncio.FIRST_COMPLETED)
    drained_seconds = loop.time() - begun
    ending = Ending.AT_ONCE if not draining.done() else Ending.FINISHED if draining.result() else Ending.CUT
    for task in (signalled, again, draining):
        task.cancel()
    await app.close()
    log.flush()
    conclude(ending, drained_seconds)
    return 0 if app.writes else 1


def reload(app: App, reread: Callable[[], Settings]) -> None:
    """Read the settings again and take over what can be taken over while it serves; say what cannot.

    What is wrong leaves everything as it was.
    """
    try:
        settings = reread()
        app.listener.reload(settings.tls)
    except (ConfigError, ListenError) as refused:
        log.error("the settings were not reloaded", why=refused.args[0])
        return
    log.configure(settings.log, settings.log_limits)
    before = {row.name: row.value for row in describe(app.settings)}
    changed = [row.name for row in describe(settings) if row.value != before[row.name]]
    waiting = [name for name in changed if name not in RELOADED and not name.startswith("log_limits.")]
    log.warning("the settings were reloaded", need_a_restart=", ".join(waiting) or "none")


def spare_the_collector() -> None:
    """Let the cycle collector look seldom, and never at what exists by now, which lives as long as the process.

    Requests leave no cycles behind, so looking at every 700 new objects finds nothing: `chat.send` under load took 81
    to 120 us of processor time with Python's own thresholds, 49 to 97 us with 50,000. Everybody waits while it looks:
    at 50,000 objects for 27 ms and more, so not at more than 20,000, which 400 sends at once do not reach.

    Whatever a pass of the first generation leaves is looked at once more in the second one, so that begins after every
    second pass: with ten of them, it took 89 ms while a peer opened 12,000 streams. (Half of both costs a send 5 %.)
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 1, 2_000)


def serve(
    settings: Settings,
    announce: Callable[[Listening], None],
    conclude: Callable[[Ending, float], None],
    reread: Callable[[], Settings],
) -> int:
    """`run` in an event loop of its own; `reread` gives the settings as they are now. Raises StartError."""
    log.configure(settings.log, settings.log_limits)
    spare_the_collector()
    if settings.loop == "uvloop":
        import uvloop

        return uvloop.run(run(settings, announce, conclude, reread))
    return asyncio.run(run(settings, announce, conclude, reread))
