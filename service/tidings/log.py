"""The one way to log: what happened, with names and values, through structlog.

Peers cause most lines, so two rules hold for every one of them, whoever writes it:

*How many.* Lines of one kind (their first argument, always a literal) are limited to so many a minute; what goes beyond
is counted, and the count is a line of its own when the minute is over (`tick`, called once a second).

*What is in them.* Never what a peer has sent: no text, no token, no header. An exception is told by its type and where
it was raised, without its message, which may quote the request (`cause`); so are the records of libraries and of the
interpreter (`take_over`). What a `reason` quotes is left out, since our sentences quote what a peer said. No value
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
SENTENCE_CHARS_MAX: Final = 4_096  # that are looked at for it
ITEMS_MAX: Final = 20  # of a value that is a list
FRAMES_MAX: Final = 30  # of one exception; a loop of calls has a thousand
CAUSES_MAX: Final = 5  # exceptions in a chain
NESTED_LINES_MAX: Final = 100  # of one thread, which finalizers log while it writes a line; the oldest are dropped
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

    __slots__ = ("ends_at", "left", "level", "suppressed")

    def __init__(self, ends_at: float, lines_max: int, level: int) -> None:
        self.ends_at = ends_at
        self.left = lines_max
        self.level = level
        self.suppressed = 0


class _Thread(threading.local):
    """What the calling thread has to write. `busy`: it is writing already."""

    def __init__(self) -> None:
        self.busy = False
        self.waiting: deque[Callable[[], None]] = deque(maxlen=NESTED_LINES_MAX)


Kind = tuple[str, str]  # the line's first argument; whom it is about, where that is told apart


class Log:
    """Lines on standard error, from a level on. May be used by any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._least = 0
        self._limits = LogLimits()
        self._windows: dict[Kind, _Window] = {}
        self._lock = threading.Lock()
        self._thread = _Thread()

    def configure(self, level: str, limits: LogLimits | None = None) -> None:
        """Say what is at least so important, and so much of it."""
        self._least = LEVELS.index(level)
        self._limits = limits or self._limits

    def debug(self, event: str, **values: Any) -> None:
        """For who looks for a fault."""
        self._say(0, event, values)

    def info(self, event: str, **values: Any) -> None:
        """It happened, and it may."""
        self._say(1, event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Something is not as the operator wants it."""
        self._say(2, event, values)

    def error(self, event: str, **values: Any) -> None:
        """Something failed. `exc_info` is the exception, if there is one."""
        self._say(3, event, values)

    def exception(self, event: str, **values: Any) -> None:
        """Something failed, with the exception that is being handled."""
        self._say(3, event, {"exc_info": sys.exc_info()[1], **values})

    def critical(self, event: str, **values: Any) -> None:
        """The service cannot go on as it should."""
        self._say(4, event, values)

    def once_a_minute(self, event: str, origin: str, **values: Any) -> None:
        """A warning about a web page's origin: one line a minute for each of `origins_max` origins."""
        self._say(2, event, {"origin": origin, **values}, origin)

    def tick(self) -> None:
        """Tell what was suppressed in the minutes that are over."""
        self._run(lambda: self._end_windows(self._clock()))

    def flush(self) -> None:
        """Tell all that was suppressed, and begin anew."""
        self._run(lambda: self._end_windows(float("inf")))

    def _end_windows(self, now: float) -> None:
        with self._lock:
            ended = [kind for kind, window in self._windows.items() if window.ends_at <= now]
            windows = [(kind, self._windows.pop(kind)) for kind in ended]
        for (event, origin), window in windows:
            if window.suppressed:
                about = {"origin": origin} if origin else {}
                told = {"event_suppressed": event, **about, "lines": window.suppressed}
                _structlog_line(LEVELS[window.level], "more lines of one kind were not written", _clean_all(told))

    def _say(self, level: int, event: str, values: dict[str, Any], about: str | None = None) -> None:
        if level >= self._least:
            self._run(partial(self._write, level, event, values, about))

    def _run(self, write: Callable[[], None]) -> None:
        """Write now, or when the calling thread has written the line it is at.

        The garbage collector runs finalizers within any statement, also below where this thread holds a lock of ours
        or of structlog's. A finalizer that logs would wait for that lock for ever.
        """
        thread = self._thread
        thread.waiting.append(write)
        if thread.busy:
            return
        thread.busy = True
        try:
            while thread.waiting:
                thread.waiting.popleft()()
        finally:
            thread.busy = False

    def _write(self, level: int, event: str, values: dict[str, Any], about: str | None) -> None:
        if not self._passes(level, event, about):
            return
        error = values.pop("exc_info", None)
        shown = _clean_all(values)
        if isinstance(error, BaseException):
            shown |= {"error": cause(error), "exception": raised(error)}
        _structlog_line(LEVELS[level], event, shown)

    def _passes(self, level: int, event: str, about: str | None) -> bool:
        """Whether one more line of the kind may be written; it is counted if not."""
        now = self._clock()
        self._end_windows(now)
        with self._lock:
            kind = (event, about or "")
            lines_max = self._limits.lines_per_minute_max if about is None else 1
            if about is not None and kind not in self._windows and self._told_apart(event) >= self._limits.origins_max:
                kind, lines_max = (event, ""), 0
            window = self._windows.get(kind)
            if window is None:
                window = self._windows[kind] = _Window(now + WINDOW_SECONDS, lines_max, level)
            if window.left > 0:
                window.left -= 1
                return True
            window.suppressed += 1
            return False

    def _told_apart(self, event: str) -> int:
        return sum(known == event for known, about in self._windows if about)


def cause(error: BaseException) -> str:
    """What kind of exception it is; with its message where that comes of the system or of SQLite and quotes nothing."""
    name = type(error).__qualname__
    if isinstance(error, OSError) and error.errno is not None:
        return f"{name}: {os.strerror(error.errno)}"
    result = getattr(error, "extendedresult", None)
    if isinstance(result, int) and result & 0xFF != _SQLITE_ERROR:
        return f"{name}: {error}"
    return name


def raised(error: BaseException) -> str:
    """Where an exception and those behind it were raised: files, lines and functions, and no message."""
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < CAUSES_MAX:
        frames = traceback.extract_tb(seen.__traceback__)[-FRAMES_MAX:]
        lines = (f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in frames)
        parts.append("\n".join((*lines, f"  {cause(seen)}")))
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "\n  while handling or because of:\n".join(parts)


def _clean_all(values: dict[str, Any]) -> dict[str, Any]:
    if "reason" in values:
        values = {**values, "reason": _QUOTED.sub("'…'", str(values["reason"])[:SENTENCE_CHARS_MAX])}
    return {name: _clean(value) for name, value in values.items()}


def _clean(value: Any) -> Any:
    """One line, short, without anything a terminal would act on."""
    if isinstance(value, int | float | None):
        return value
    if isinstance(value, BaseException):
        return cause(value)
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value[:ITEMS_MAX]]
    text = str(value)[:SENTENCE_CHARS_MAX]
    shown = text if text.isprintable() else "".join(map(_escaped, text))
    return shown if len(shown) <= VALUE_CHARS_MAX else f"{shown[:VALUE_CHARS_MAX]}…"


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _structlog_line(level: str, event: str, values: dict[str, Any]) -> None:
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


log: Final = Log()


# --- what others would print --------------------------------------------------------------------------------------


class _Records(logging.Handler):
    """Records of libraries. Their messages may hold anything (asyncio's: the arguments of a callback), so no more is
    told than where they come from, which leads to the sentence in the library's source.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        error = record.exc_info[1] if record.exc_info else None
        where = f"{record.module}.py:{record.lineno}"
        say = log.error if record.levelno >= logging.ERROR else log.warning
        say("a library reports", library=record.name, where=where, exc_info=error)


def take_over(loop: asyncio.AbstractEventLoop) -> None:
    """Write what libraries, the event loop, threads and finalizers would print through this log, without messages."""
    root = logging.getLogger()
    if not any(isinstance(handler, _Records) for handler in root.handlers):
        root.addHandler(_Records(logging.WARNING))
    loop.set_exception_handler(_loop_failed)
    sys.unraisablehook = lambda broken: log.error("a finalizer failed", exc_info=broken.exc_value)
    threading.excepthook = lambda broken: log.critical("a thread ended", exc_info=broken.exc_value)


def _loop_failed(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # The message of a failed callback goes on with its arguments; its first words say what happened.
    what = " ".join(str(context.get("message", "")).split()[:3])
    log.error("the event loop reports", what=what, exc_info=context.get("exception"))
