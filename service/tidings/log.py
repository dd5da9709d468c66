"""The one way to log: what happened, with names and values, through structlog.

Peers cause most lines, so two rules hold for every one of them, whoever writes it:

*How many.* Lines of one kind (their first argument, always a literal) are limited to so many a minute; what goes beyond
is counted, and the count is a line of its own when the minute is over (`tick`, called once a second).

*What is in them.* Never what a peer has sent: no text, no token, no header. An exception is told by its type and where
it was raised, without its message, which may quote the request (`error_summary`); so are the records of libraries
and of the
interpreter (`install_hooks`). What a `reason` quotes is left out, since our sentences quote what a peer said. No value
spans lines or is long.

structlog is loaded when there is something to say. It loads rich where that is installed, and a start that says nothing
would spend a sixth of its time on it.
"""

import asyncio
import contextlib
import logging
import os
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
WINDOW_SECONDS: Final = 60.0
VALUE_CHARS_MAX: Final = 400  # of one value; an origin or a path is shorter
TEXT_CHARS_MAX: Final = 4_096  # that are looked at for it
LIST_ITEMS_MAX: Final = 20  # of a value that is a list
TRACEBACK_FRAMES_MAX: Final = 30  # of one exception; a loop of calls has a thousand
CHAINED_EXCEPTIONS_MAX: Final = 5  # exceptions in a chain
PENDING_LINES_MAX: Final = 100  # of one thread, which finalizers log while it writes a line; the oldest are dropped
# What stands in quotes in one of our sentences, as `repr` writes it: a name or a value of a peer.
_QUOTED: Final = re.compile(r"(?<!\w)(?:'(?:[^'\\]|\\.)*(?:'|$)|\"(?:[^\"\\]|\\.)*(?:\"|$))")
_SQLITE_ERROR: Final = 1  # the one result code of SQLite whose message may quote the statement


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How much peers can make the log say."""

    lines_per_minute_max: int = 60  # of one kind; refused sign-ins wrote 45 MB a minute without it
    origins_max: int = 64  # foreign origins of web pages that are told apart in a minute; the rest is counted together


class _Window:
    """A minute of lines of one kind."""

    __slots__ = ("ends_at", "level", "remaining", "suppressed")

    def __init__(self, ends_at: float, lines_max: int, level: int) -> None:
        self.ends_at = ends_at
        self.remaining = lines_max
        self.level = level
        self.suppressed = 0


class _ThreadState(threading.local):
    """What the calling thread has to write. `is_writing`: it is writing already."""

    def __init__(self) -> None:
        self.is_writing = False
        self.pending: deque[Callable[[], None]] = deque(maxlen=PENDING_LINES_MAX)


LineKind = tuple[str, str]  # the line's first argument; whom it is about, where that is told apart


class Logger:
    """Lines on standard error, from a level on. May be used by any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._min_level = 0
        self._limits = LogLimits()
        self._windows: dict[LineKind, _Window] = {}
        self._lock = threading.Lock()
        self._thread_state = _ThreadState()

    def configure(self, level: str, limits: LogLimits | None = None) -> None:
        """Say what is at least so important, and so much of it."""
        self._min_level = LEVELS.index(level)
        self._limits = limits or self._limits

    def debug(self, event: str, **values: Any) -> None:
        """For who looks for a fault."""
        self._emit(0, event, values)

    def info(self, event: str, **values: Any) -> None:
        """It happened, and it may."""
        self._emit(1, event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Something is not as the operator wants it."""
        self._emit(2, event, values)

    def error(self, event: str, **values: Any) -> None:
        """Something failed. `exc_info` is the exception, if there is one."""
        self._emit(3, event, values)

    def exception(self, event: str, **values: Any) -> None:
        """Something failed, with the exception that is being handled."""
        self._emit(3, event, {"exc_info": sys.exc_info()[1], **values})

    def critical(self, event: str, **values: Any) -> None:
        """The service cannot go on as it should."""
        self._emit(4, event, values)

    def warn_once_per_minute(self, event: str, origin: str, **values: Any) -> None:
        """A warning about a web page's origin: one line a minute for each of `origins_max` origins."""
        self._emit(2, event, {"origin": origin, **values}, origin)

    def tick(self) -> None:
        """Tell what was suppressed in the minutes that are over."""
        self._write_in_order(lambda: self._close_windows(self._clock()))

    def flush(self) -> None:
        """Tell all that was suppressed, and begin anew."""
        self._write_in_order(lambda: self._close_windows(float("inf")))

    def _close_windows(self, now: float) -> None:
        with self._lock:
            expired = [kind for kind, window in self._windows.items() if window.ends_at <= now]
            windows = [(kind, self._windows.pop(kind)) for kind in expired]
        for (event, origin), window in windows:
            if window.suppressed:
                origin_value = {"origin": origin} if origin else {}
                values = {"event_suppressed": event, **origin_value, "lines": window.suppressed}
                _write_structlog(LEVELS[window.level], "similar log lines were suppressed", _sanitize_all(values))

    def _emit(self, level: int, event: str, values: dict[str, Any], origin: str | None = None) -> None:
        if level >= self._min_level:
            self._write_in_order(partial(self._write, level, event, values, origin))

    def _write_in_order(self, write: Callable[[], None]) -> None:
        """Write now, or when the calling thread has written the line it is at.

        The garbage collector runs finalizers within any statement, also below where this thread holds a lock of ours
        or of structlog's. A finalizer that logs would wait for that lock for ever.
        """
        state = self._thread_state
        state.pending.append(write)
        if state.is_writing:
            return
        state.is_writing = True
        try:
            while state.pending:
                state.pending.popleft()()
        finally:
            state.is_writing = False

    def _write(self, level: int, event: str, values: dict[str, Any], origin: str | None) -> None:
        if not self._is_allowed(level, event, origin):
            return
        error = values.pop("exc_info", None)
        safe_values = _sanitize_all(values)
        if isinstance(error, BaseException):
            safe_values |= {"error": error_summary(error), "exception": format_traceback(error)}
        _write_structlog(LEVELS[level], event, safe_values)

    def _is_allowed(self, level: int, event: str, origin: str | None) -> bool:
        """Whether one more line of the kind may be written; it is counted if not."""
        now = self._clock()
        self._close_windows(now)
        with self._lock:
            kind = (event, origin or "")
            lines_max = self._limits.lines_per_minute_max if origin is None else 1
            if (
                origin is not None
                and kind not in self._windows
                and self._distinct_origins(event) >= self._limits.origins_max
            ):
                kind, lines_max = (event, ""), 0
            window = self._windows.get(kind)
            if window is None:
                window = self._windows[kind] = _Window(now + WINDOW_SECONDS, lines_max, level)
            if window.remaining > 0:
                window.remaining -= 1
                return True
            window.suppressed += 1
            return False

    def _distinct_origins(self, event: str) -> int:
        return sum(known == event for known, about in self._windows if about)


def error_summary(error: BaseException) -> str:
    """What kind of exception it is; with its message where that comes of the system or of SQLite and quotes nothing."""
    name = type(error).__qualname__
    if isinstance(error, OSError) and error.errno is not None:
        return f"{name}: {os.strerror(error.errno)}"
    result = getattr(error, "extendedresult", None)
    if isinstance(result, int) and result & 0xFF != _SQLITE_ERROR:
        return f"{name}: {error}"
    return name


def format_traceback(error: BaseException) -> str:
    """Where an exception and those behind it were raised: files, lines and functions, and no message."""
    blocks: list[str] = []
    current: BaseException | None = error
    while current is not None and len(blocks) < CHAINED_EXCEPTIONS_MAX:
        frames = traceback.extract_tb(current.__traceback__)[-TRACEBACK_FRAMES_MAX:]
        lines = (f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in frames)
        blocks.append("\n".join((*lines, f"  {error_summary(current)}")))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n  while handling or because of:\n".join(blocks)


def _sanitize_all(values: dict[str, Any]) -> dict[str, Any]:
    if "reason" in values:
        values = {**values, "reason": _QUOTED.sub("'…'", str(values["reason"])[:TEXT_CHARS_MAX])}
    return {name: _sanitize(value) for name, value in values.items()}


def _sanitize(value: Any) -> Any:
    """One line, short, without anything a terminal would act on."""
    if isinstance(value, int | float | None):
        return value
    if isinstance(value, BaseException):
        return error_summary(value)
    if isinstance(value, list | tuple):
        return [_sanitize(item) for item in value[:LIST_ITEMS_MAX]]
    text = str(value)[:TEXT_CHARS_MAX]
    shown = text if text.isprintable() else "".join(map(_escape, text))
    return shown if len(shown) <= VALUE_CHARS_MAX else f"{shown[:VALUE_CHARS_MAX]}…"


def _escape(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _write_structlog(level: str, event: str, values: dict[str, Any]) -> None:
    import structlog

    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
                structlog.dev.ConsoleRenderer(
                    colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
                ),
            ],
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
    with contextlib.suppress(OSError, ValueError):  # standard error is closed, full or gone: the service goes on
        getattr(structlog.get_logger(), level)(event, **values)


log: Final = Logger()


# --- what others would print --------------------------------------------------------------------------------------


class _LibraryHandler(logging.Handler):
    """Records of libraries. Their messages may hold anything (asyncio's: the arguments of a callback), so no more is
    told than where they come from, which leads to the sentence in the library's source.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        error = record.exc_info[1] if record.exc_info else None
        where = f"{record.module}.py:{record.lineno}"
        write = log.error if record.levelno >= logging.ERROR else log.warning
        write("library log record", library=record.name, where=where, exc_info=error)


def install_hooks(loop: asyncio.AbstractEventLoop) -> None:
    """Write what libraries, the event loop, threads and finalizers would print through this log, without messages."""
    root = logging.getLogger()
    if not any(isinstance(handler, _LibraryHandler) for handler in root.handlers):
        root.addHandler(_LibraryHandler(logging.WARNING))
    loop.set_exception_handler(_on_loop_error)
    sys.unraisablehook = lambda broken: log.error("a finalizer failed", exc_info=broken.exc_value)
    threading.excepthook = lambda broken: log.critical("thread terminated by an exception", exc_info=broken.exc_value)


def _on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # The message of a failed callback goes on with its arguments; its first words say what happened.
    what = " ".join(str(context.get("message", "")).split()[:3])
    log.error("event loop error", what=what, exc_info=context.get("exception"))
