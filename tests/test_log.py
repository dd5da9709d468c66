"""The one way to log: how much, and what never."""

import asyncio
import errno
import io
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import apsw
import pytest
import structlog.testing

from tidings.log import (
    LEVELS,
    VALUE_CHARS_MAX,
    WINDOW_SECONDS,
    Logger,
    LogLimits,
    error_summary,
    format_traceback,
    install_hooks,
    log,
)

SECRET = "swordfish"


class Clock:
    """Time that stands still until told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def limited_logger(clock: Clock, lines_max: int = 3, origins_max: int = 2) -> Logger:
    log = Logger(clock)
    log.configure("debug", LogLimits(lines_max, origins_max))
    return log


def test_what_is_less_important_than_asked_for_is_not_said(lines: list[Any]) -> None:
    log = Logger()
    log.configure("warning")
    for level in LEVELS:
        getattr(log, level)("it happened", number=7)
    assert [(line["event"], line["log_level"], line["number"]) for line in lines] == [
        ("it happened", level, 7) for level in ("warning", "error", "critical")
    ]


# --- how much ---------------------------------------------------------------------------------------------------


def test_lines_of_one_kind_are_limited_and_the_rest_is_counted_when_the_minute_is_over(
    clock: Clock, lines: list[Any]
) -> None:
    log = limited_logger(clock)
    for number in range(10):
        log.info("connection refused", number=number)
        log.tick()
    log.info("something else")
    assert [line.get("number") for line in lines] == [0, 1, 2, None]
    clock.now += WINDOW_SECONDS
    log.tick()
    assert lines[4] == {
        "event": "similar log lines were suppressed",
        "log_level": "info",
        "event_suppressed": "connection refused",
        "lines": 7,
    }
    log.tick()
    assert len(lines) == 5
    log.info("connection refused", number=10)
    assert lines[-1]["number"] == 10


def test_without_a_tick_the_next_line_tells_what_was_suppressed_first(clock: Clock, lines: list[Any]) -> None:
    log = limited_logger(clock, lines_max=1)
    for _ in range(3):
        log.error("a request failed")
    clock.now += WINDOW_SECONDS
    log.error("a request failed")
    assert [line.get("lines") for line in lines] == [None, 2, None]


def test_at_the_end_everything_that_was_suppressed_is_told(clock: Clock, lines: list[Any]) -> None:
    log = limited_logger(clock, lines_max=1)
    for _ in range(3):
        log.error("a request failed")
    log.flush()
    assert lines[-1]["lines"] == 2


def test_a_foreign_origin_has_one_line_a_minute_and_so_many_origins_are_told_apart(
    clock: Clock, lines: list[Any]
) -> None:
    log = limited_logger(clock)
    for _ in range(5):
        for number in range(4):
            log.warn_once_per_minute("refused", f"https://{number}.example")
    assert [line["origin"] for line in lines] == ["https://0.example", "https://1.example"]
    clock.now += WINDOW_SECONDS
    log.tick()
    assert sorted((line.get("origin", ""), line["lines"]) for line in lines[2:]) == [
        ("", 10),
        ("https://0.example", 4),
        ("https://1.example", 4),
    ]
    log.warn_once_per_minute("refused", "https://3.example")
    assert lines[-1]["origin"] == "https://3.example"


def test_what_is_remembered_of_a_flood_of_origins_is_bounded(clock: Clock, lines: list[Any]) -> None:
    log = limited_logger(clock)
    for number in range(1_000):
        log.warn_once_per_minute("refused", f"https://{number}.example")
    assert len(log._windows) == 3


# --- what never -------------------------------------------------------------------------------------------------


def broken() -> BaseException:
    try:
        try:
            int(SECRET)
        except ValueError as error:
            raise KeyError(SECRET) from error
    except KeyError as error:
        return error
    raise AssertionError


def test_an_exception_is_told_by_its_kind_and_place_and_not_by_its_message(lines: list[Any]) -> None:
    Logger().error("it broke", exc_info=broken())
    [line] = lines
    assert line["error"] == "KeyError"
    assert "test_log.py" in line["exception"]
    assert "in broken" in line["exception"]
    assert "ValueError" in line["exception"]
    assert SECRET not in str(line)


def test_the_exception_that_is_being_handled_is_told(lines: list[Any]) -> None:
    try:
        raise RuntimeError(SECRET)
    except RuntimeError:
        Logger().exception("it broke")
    assert (lines[0]["error"], SECRET in str(lines)) == ("RuntimeError", False)


def test_a_chain_of_exceptions_and_a_deep_stack_are_cut(lines: list[Any]) -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise ValueError

    error: BaseException = ValueError()
    for _ in range(50):
        try:
            raise RuntimeError from error
        except RuntimeError as next_one:
            error = next_one
    assert format_traceback(error).count("RuntimeError") == 5
    with pytest.raises(ValueError) as caught:
        deep(100)
    assert format_traceback(caught.value).count("File") == 30


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, SECRET), "OSError: No space left on device"),
        (FileNotFoundError(errno.ENOENT, SECRET, SECRET), "FileNotFoundError: No such file or directory"),
        (OSError(SECRET), "OSError"),
        (ValueError(SECRET), "ValueError"),
        (UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET), "UnicodeDecodeError"),
    ],
)
def test_the_words_of_the_system_are_told_and_no_others(error: BaseException, told: str) -> None:
    assert error_summary(error) == told


def test_what_sqlite_says_of_a_disk_is_told_and_what_it_quotes_is_not() -> None:
    connection = apsw.Connection(":memory:")
    with pytest.raises(apsw.SQLError) as quoting:
        connection.execute(f"SELECT {SECRET}")
    assert SECRET in str(quoting.value)
    assert error_summary(quoting.value) == "SQLError"
    connection.execute("CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (1)")
    with pytest.raises(apsw.ConstraintError) as constant:
        connection.execute("INSERT INTO t VALUES (1)")
    assert error_summary(constant.value) == "ConstraintError: UNIQUE constraint failed: t.a"


@pytest.mark.parametrize(
    "text",
    [
        f"the user name {SECRET!r} has a character that no name may have",
        f"the token's sub is no user name: the user name {SECRET!r} has one",
        f"the name {SECRET + chr(39)!r} is bad",  # repr takes double quotes then
        f"the name {SECRET + chr(39) + chr(34)!r} is bad",  # and escapes here
        f"the name {'x' * 1_000 + SECRET!r} is bad",
        f"the name {SECRET + 'x' * 1_000!r} is bad",
    ],
)
def test_what_a_sentence_quotes_is_left_out(text: str, lines: list[Any]) -> None:
    Logger().info("connection refused", reason=text)
    assert SECRET not in str(lines)
    assert lines[0]["reason"].startswith("the ")


def test_a_value_is_one_short_line_that_no_terminal_acts_on(lines: list[Any]) -> None:
    Logger().info("it happened", name="a\nfake line\x1b[2J\u202e", long="x" * 10_000, many=["\r"] * 100)
    assert lines[0]["name"] == "a\\nfake line\\x1b[2J\\u202e"
    assert len(lines[0]["long"]) == VALUE_CHARS_MAX + 1
    assert lines[0]["many"] == ["\\r"] * 20


# --- what others would print --------------------------------------------------------------------------------------


@pytest.fixture
def taken_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.AbstractEventLoop]:
    for owner, name in ((sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    root = logging.getLogger()
    handlers = list(root.handlers)
    loop = asyncio.new_event_loop()
    install_hooks(loop)
    yield loop
    loop.close()
    root.handlers = handlers


def test_records_of_libraries_are_told_without_their_messages(
    taken_over: asyncio.AbstractEventLoop, lines: list[Any]
) -> None:
    logging.getLogger("aiohttp.server").error("Error handling %s", SECRET, exc_info=broken())
    logging.getLogger("asyncio").warning(f"socket.send() raised {SECRET}")
    assert [(line["library"], line["log_level"]) for line in lines] == [
        ("aiohttp.server", "error"),
        ("asyncio", "warning"),
    ]
    assert lines[0]["error"] == "KeyError"
    assert lines[0]["where"].startswith("test_log.py:")
    assert SECRET not in str(lines)


def test_what_the_loop_a_thread_or_a_finalizer_reports_is_told_without_its_message(
    taken_over: asyncio.AbstractEventLoop, lines: list[Any]
) -> None:
    def fail(text: str) -> None:
        raise RuntimeError(text)

    taken_over.call_soon(fail, SECRET)
    taken_over.call_soon(taken_over.stop)
    taken_over.run_forever()
    thread = threading.Thread(target=fail, args=(SECRET,))
    thread.start()
    thread.join()

    class Finalized:
        def __del__(self) -> None:
            fail(SECRET)

    Finalized()
    assert [(line["event"], line["error"]) for line in lines] == [
        ("event loop error", "RuntimeError"),
        ("thread terminated by an exception", "RuntimeError"),
        ("a finalizer failed", "RuntimeError"),
    ]
    assert lines[0]["what"].startswith("Exception in callback")
    assert SECRET not in str(lines)


def test_what_a_finalizer_logs_while_a_line_is_written_is_told_behind_it(
    clock: Clock, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Logger(clock)

    class Collecting(dict[Any, Any]):
        """The collector runs a finalizer while the log's lock is held."""

        def get(self, *arguments: Any) -> Any:
            assert log._lock.locked()
            monkeypatch.undo()
            log.error("a finalizer failed")
            log.tick()
            return super().get(*arguments)

    monkeypatch.setattr(log, "_windows", Collecting())
    thread = threading.Thread(target=log.info, args=("it happened",), daemon=True)
    thread.start()
    thread.join(timeout=5.0)
    assert not thread.is_alive(), "it waits for itself"
    assert [line["event"] for line in lines] == ["it happened", "a finalizer failed"]


def test_a_standard_error_that_is_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    structlog.reset_defaults()
    monkeypatch.setattr(closed, "isatty", lambda: False, raising=False)
    try:
        log.info("it happened")
    finally:
        structlog.reset_defaults()
