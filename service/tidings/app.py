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

from tidings import __version__
from tidings.config import ConfigError, Settings, describe
from tidings.contract import methods, v1
from tidings.contract.errors import ApiError
from tidings.domain import services
from tidings.domain.identity.jwt import JwtSettings
from tidings.domain.ports.store import Store
from tidings.frontend import Frontend
from tidings.log import error_summary, install_hooks, log
from tidings.metrics.registry import Metrics
from tidings.runtime import allocator, signals
from tidings.server.listener import ListenError
from tidings.server.settings import is_unspecified
from tidings.stores.sqlite.errors import StoreError
from tidings.stores.sqlite.files import DatabaseLostError
from tidings.stores.sqlite.store import SqliteStore, sqlite_memory_bytes

if TYPE_CHECKING:
    from reactivex.abc import SchedulerBase

TICK_SECONDS = 1.0
RELOADABLE_SETTINGS = frozenset(("log_level", "tls.certificate", "tls.key"))  # settings that SIGHUP takes over
DEV_ROOM = "general"  # there in development, so that the first message needs no preparation


class StartError(Exception):
    """The service cannot start; one line that says what to do."""


@dataclass(frozen=True, slots=True)
class ListenInfo:
    """Where a started service can be reached."""

    http_url: str
    ws_url: str
    tcp_url: str
    data: Path
    dev: bool
    all_interfaces: bool  # from other machines too, under every address of this one


class ShutdownResult(Enum):
    """How a service that was told to stop came to its end."""

    COMPLETED = "what was asked was answered"
    TIMED_OUT = "it took too long, and what was still open was cut off"
    FORCED = "it was told twice, and what was still open was cut off"


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
        self.is_writable = True
        self.store_failure: asyncio.Future[str]
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> ListenInfo:
        """Serve. StartError when something is in the way; nothing is left behind then."""
        self.store_failure = asyncio.get_running_loop().create_future()
        try:
            await self._start()
        except (StoreError, ListenError, ValueError) as error:
            await self._stack.aclose()
            raise StartError(str(error)) from error
        except BaseException:
            await self._stack.aclose()
            raise
        self.state = "ok"
        return self.listen_info

    async def _start(self) -> None:
        settings = self.settings
        loop = asyncio.get_running_loop()
        clock = SystemClock()
        self.store: Store = await SqliteStore.open(Path(settings.data), settings.store)
        self._register_close(self.store.close)
        self.store.on_failure(self._on_store_failure)
        self.store.on_transaction(self.metrics.observe_commit)
        self.domain = services.build_services(
            self.store,
            clock=clock,
            schedule=loop.call_soon,
            schedule_later=loop.call_later,
            make_rx_scheduler=reactive_scheduler,
            report=log_background_error,
            settings=domain_settings(settings),
        )
        self._register_close(self.domain.close)
        if settings.dev:
            await self._create_dev_room(clock)
        self.frontend = Frontend(
            methods.build_method_table(self.domain.handlers),
            self.domain.authenticator,
            self.domain.session_registry,
            settings.listener,
            self.metrics,
            health=self.health,
            problems=self.problems,
        )
        self._register_close(self.frontend.close)
        await self.frontend.start()
        tick_task = loop.create_task(self._tick())
        self._register_close(lambda: cancel_and_wait(tick_task))
        if settings.memory_trim_interval_seconds:
            trim_task = loop.create_task(self._trim_memory(settings.memory_trim_interval_seconds))
            self._register_close(lambda: cancel_and_wait(trim_task))
        self._register_metrics()

    def _register_close(self, close: Callable[[], Awaitable[None]]) -> None:
        self._stack.push_async_callback(close)

    async def drain(self) -> bool:
        """Take nobody in, let those who are there finish, as long as the settings allow; whether they all did."""
        self.state = "draining"
        return await self.frontend.drain(self.settings.drain_seconds)

    async def close(self) -> None:
        """Stop everything, in the order of the theory above. Idempotent."""
        self.state = "draining"
        await self._stack.aclose()

    def health(self) -> str:
        """`ok` while it serves, `degraded` while the store says that something is wrong with its files."""
        return "degraded" if self.state == "ok" and self.store.problems() else self.state

    def problems(self) -> Sequence[str]:
        """What is wrong with the store, and what to do."""
        return self.store.problems()

    @property
    def http_port(self) -> int:
        """The port of HTTP and RSocket over WebSocket."""
        return self.frontend.http_port

    @property
    def tcp_port(self) -> int:
        """The port of RSocket over TCP."""
        return self.frontend.tcp_port

    @property
    def listen_info(self) -> ListenInfo:
        """The addresses, as a client would write them."""
        addresses = self.frontend.addresses()
        page = addresses.ws.removesuffix(self.settings.http.path).replace("ws", "http", 1)
        everywhere = is_unspecified(self.settings.http.host)
        return ListenInfo(
            f"{page}/", addresses.ws, addresses.tcp, Path(self.settings.data), self.settings.dev, everywhere
        )

    async def _create_dev_room(self, clock: SystemClock) -> None:
        with contextlib.suppress(ApiError):  # it is there from an earlier start
            await self.store.create_room(
                DEV_ROOM, kind=v1.OPEN, title="General", creator="", members=(), at_ms=clock.now_ms()
            )

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_at = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.metrics.observe_loop_lag(max(0.0, loop.time() - due_at))
            try:
                self.domain.tick(time.monotonic())
            except Exception:
                log.exception("the periodic tick failed")
            log.tick()

    async def _trim_memory(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(allocator.trim)

    def _on_store_failure(self, error: Exception) -> None:
        self.is_writable = False
        if isinstance(error, DatabaseLostError):
            return  # stopping would take away what can still be read; the store says what to do
        self.state = "failed"
        log.error("the store can no longer write; reads continue", error=error_summary(error))
        if not self.store_failure.done():
            self.store_failure.set_result(error_summary(error))

    def _register_metrics(self) -> None:
        hub = self.domain.hub
        register = self.metrics.register_callback
        register("tidings_subscriptions", "Readers of rooms now.", lambda: hub.stats.subscriptions)
        register("tidings_active_rooms", "Rooms with a living tail now.", lambda: hub.stats.active_rooms)
        register("tidings_lag_events_max", "Events the slowest reader is behind.", lambda: hub.stats.lag_events_max)
        accounts = self.domain.accounts
        register(
            "tidings_user_memory_bytes",
            "Bytes held on users' accounts now.",
            lambda: sum(accounts.reserved_bytes.values()),
        )
        register(
            "tidings_user_memory_bytes_max",
            "Bytes held on the account of the user who holds most (limit: domain.user_bytes_max).",
            lambda: max(accounts.reserved_bytes.values(), default=0),
        )
        register(
            "tidings_user_memory_rejections",
            "Requests refused by domain.user_bytes_max or domain.user_requests_max.",
            lambda: accounts.rejections,
            is_counter=True,
        )
        register(
            "tidings_log_tail_bytes", "Bytes of the newest events of rooms in memory.", lambda: hub.stats.tails_bytes
        )
        register("tidings_sqlite_memory_bytes", "Bytes that SQLite holds, its page caches mostly.", sqlite_memory_bytes)
        register("tidings_malloc_free_bytes", "Bytes freed and not given back to the system yet.", allocator.free_bytes)
        register("tidings_python_allocated_blocks", "Small objects that live now.", sys.getallocatedblocks)
        register("tidings_asyncio_tasks", "Tasks of the event loop now.", lambda: len(asyncio.all_tasks()))
        for name, description in (
            ("events_notified", "Events that were published to readers of this process."),
            ("heads_corrected", "Rooms found behind the log when heads were compared: a notice was lost."),
            ("deliveries", "Items delivered to readers."),
            ("reads", "Pages read from the log for readers who are behind."),
            ("reads_shared", "Such pages that a reader got from another one's read."),
            ("stalls_ended", "Readers ended because they took nothing for too long."),
            ("gaps_sent", "Gaps told to readers who wanted the latest only."),
        ):
            register(f"tidings_{name}", description, lambda name=name: getattr(hub.stats, name), is_counter=True)  # type: ignore[misc]


def domain_settings(settings: Settings) -> services.DomainSettings:
    """What the domain needs of the settings."""
    auth = settings.auth
    tokens = JwtSettings(auth.secret.encode(), auth.issuer, auth.audience) if auth.secret else None
    return services.DomainSettings(
        dev=settings.dev,
        jwt=tokens,
        limits=settings.domain,
        hub=settings.hub,
        key_changes=settings.key_changes,
        version=__version__,
        advertised_limits={
            "frame_bytes_max": settings.rsocket.frame_bytes_max,
            "streams_max": settings.rsocket.streams_max,
        },
    )


def reactive_scheduler() -> "SchedulerBase":
    """Time for reactivex, on the loop that runs; imported when the first big room needs it
    (`domain.presence.room_presence`)."""
    from reactivex.scheduler.eventloop import AsyncIOScheduler

    return AsyncIOScheduler(asyncio.get_running_loop())


def log_background_error(error: BaseException, where: str) -> None:
    """Somebody shall look at a fault of the service."""
    is_api_error = isinstance(error, ApiError)  # it says itself what is wrong
    trace = {"reason": str(error)} if is_api_error else {"exc_info": error}
    log.error("a background task failed", where=where, id=secrets.token_hex(4), **trace)


async def cancel_and_wait(task: asyncio.Task[None]) -> None:
    """End a task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def run(
    settings: Settings,
    on_started: Callable[[ListenInfo], None],
    on_stopped: Callable[[ShutdownResult, float], None],
    load_settings: Callable[[], Settings],
) -> int:
    """Serve until a signal says stop, or until the store cannot write any more; the exit code.

    The first such signal drains, the second one ends at once; SIGHUP reloads (`signals`). `on_started` is called when
    everybody can connect, `on_stopped` when everything is closed, with the seconds that the draining took.
    """
    loop = asyncio.get_running_loop()
    install_hooks(loop)
    stop_signals: asyncio.Queue[int] = asyncio.Queue()
    app = App(settings)
    signals.install_handlers(
        loop, on_stop=lambda: stop_signals.put_nowait(0), on_reload=lambda: reload_settings(app, load_settings)
    )
    on_started(await app.start())
    first_signal = loop.create_task(stop_signals.get())
    await asyncio.wait((first_signal, app.store_failure), return_when=asyncio.FIRST_COMPLETED)
    second_signal = loop.create_task(stop_signals.get())
    drain_started_at = loop.time()
    drain_task = loop.create_task(app.drain())
    await asyncio.wait((second_signal, drain_task), return_when=asyncio.FIRST_COMPLETED)
    drained_seconds = loop.time() - drain_started_at
    result = (
        ShutdownResult.FORCED
        if not drain_task.done()
        else ShutdownResult.COMPLETED
        if drain_task.result()
        else ShutdownResult.TIMED_OUT
    )
    for task in (first_signal, second_signal, drain_task):
        task.cancel()
    await app.close()
    log.flush()
    on_stopped(result, drained_seconds)
    return 0 if app.is_writable else 1


def reload_settings(app: App, load_settings: Callable[[], Settings]) -> None:
    """Read the settings again and take over what can be taken over while it serves; say what cannot.

    What is wrong leaves everything as it was.
    """
    try:
        settings = load_settings()
        app.frontend.reload(settings.tls)
    except (ConfigError, ListenError) as error:
        log.error("the settings were not reloaded", cause=error.args[0])
        return
    log.configure(settings.log_level, settings.log_limits)
    old_values = {row.name: row.value for row in describe(app.settings)}
    changed = [row.name for row in describe(settings) if row.value != old_values[row.name]]
    restart_required = [
        name for name in changed if name not in RELOADABLE_SETTINGS and not name.startswith("log_limits.")
    ]
    log.warning("the settings were reloaded", restart_required=", ".join(restart_required) or "none")


def tune_gc() -> None:
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
    on_started: Callable[[ListenInfo], None],
    on_stopped: Callable[[ShutdownResult, float], None],
    load_settings: Callable[[], Settings],
) -> int:
    """`run` in an event loop of its own; `load_settings` gives the settings as they are now. Raises StartError."""
    log.configure(settings.log_level, settings.log_limits)
    tune_gc()
    if settings.loop == "uvloop":
        import uvloop

        return uvloop.run(run(settings, on_started, on_stopped, load_settings))
    return asyncio.run(run(settings, on_started, on_stopped, load_settings))
