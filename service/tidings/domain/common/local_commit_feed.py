"""The feed of a service that runs as one process: notices go to its own listener, and nowhere else."""

from collections.abc import Callable, Mapping
from typing import Any

from tidings.domain.ports.commit_feed import FeedListener, Notice, notice_handlers


class LocalCommitFeed:
    """A `CommitFeed` without other nodes: each notice is applied when it is published."""

    __slots__ = ("_handlers",)

    is_lossless = True

    def __init__(self) -> None:
        self._handlers: Mapping[type[Any], Callable[[Any], None]] = {}

    def subscribe(self, listener: FeedListener) -> None:
        """See `CommitFeed`."""
        self._handlers = notice_handlers(listener)

    def publish(self, notice: Notice) -> None:
        """See `CommitFeed`."""
        self._handlers[type(notice)](notice)
