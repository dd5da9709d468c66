"""The one way to log."""

import structlog.testing

from tidings.log import LEVELS, Log


def test_what_is_less_important_than_asked_for_is_not_said() -> None:
    log = Log()
    log.configure("warning")
    with structlog.testing.capture_logs() as lines:
        for level in LEVELS:
            getattr(log, level)("it happened", number=7)
    assert [(line["event"], line["log_level"], line["number"]) for line in lines] == [
        ("it happened", level, 7) for level in ("warning", "error", "critical")
    ]


def test_an_exception_is_told_with_where_it_came_from() -> None:
    with structlog.testing.capture_logs() as lines:
        try:
            raise ValueError("no")
        except ValueError as error:
            Log().exception("it broke")
            assert lines == [{"event": "it broke", "log_level": "error", "exc_info": error}]
