"""The one way to log: what happened, with names and values, through structlog.

structlog is loaded when there is something to say. It loads rich where that is installed, and a start that says nothing
would spend a sixth of its time on it.
"""

import sys
from typing import Any, Final

LEVELS: Final = ("debug", "info", "warning", "error", "critical")


class Log:
    """Lines on standard error, from a level on."""

    __slots__ = ("_least",)

    def __init__(self) -> None:
        self._least = 0

    def configure(self, level: str) -> None:
        """Say what is at least so important."""
        self._least = LEVELS.index(level)

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
        """Something failed."""
        self._say(3, event, values)

    def exception(self, event: str, **values: Any) -> None:
        """Something failed, with the exception that is being handled."""
        self._say(3, event, {"exc_info": sys.exc_info()[1], **values})

    def critical(self, event: str, **values: Any) -> None:
        """The service cannot go on as it should."""
        self._say(4, event, values)

    def _say(self, level: int, event: str, values: dict[str, Any]) -> None:
        if level >= self._least:
            _structlog_line(LEVELS[level], event, values)


def _structlog_line(level: str, event: str, values: dict[str, Any]) -> None:
    import structlog

    if not structlog.is_configured():
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    getattr(structlog.get_logger(), level)(event, **values)


log: Final = Log()
