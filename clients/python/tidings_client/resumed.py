"""A stream that outlives its connections: what a feed and a conversation have in common.

It has no task. It begins its stream when there is a link, room in the window and something to ask for, and after a
failure that passes it does so again by a timer. Everything it changes, it changes before it calls out.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import Generic, TypeVar

from google.protobuf.message import Message

from tidings.rsocket import Stream
from tidings_client.errors import WATCH_AGAIN, Failure, Lost, Refused, again, retry_seconds
from tidings_client.keeper import Keeper
from tidings_client.link import Link
from tidings_client.reconnect import Attempts
from tidings_client.window import Window

Item = TypeVar("Item", bound=Message)


class Resumed(ABC, Generic[Item]):
    """Items that arrived and were not taken, and the stream that more of them come from.

    `over`: no items will come any more; `failure` says why. None: everything was sent, or the consumer ended it.
    """

    def __init__(self, keeper: Keeper, window: Window) -> None:
        self._keeper = keeper
        self._codec = keeper.settings.codec
        self._window = window
        self._held: deque[tuple[Item, int]] = deque()
        self._arrival = asyncio.Event()
        self._attempts = Attempts(keeper.settings.jitter)
        self._stream: Stream | None = None
        self._link: Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.started = False
        self.over = False
        self.failure: Failure | None = None

    @abstractmethod
    def _begin(self) -> None:
        """Open the stream, if there is none, none is due, and it can be."""

    @abstractmethod
    def link_gone_for_good(self, failure: Failure) -> None:
        """See `keeper.Follower`."""

    # --- the consumer's side ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to ask. Idempotent."""
        if not self.started:
            self.started = True
            self._keeper.follow(self)

    def take(self) -> Item | None:
        """The next item if one is here; room for another one in the window."""
        if not self._held:
            return None
        item, size = self._held.popleft()
        self._window.taken(size)
        self._refill()
        return item

    async def arrival(self) -> None:
        """Wait until there is an item, or the end."""
        while not self._held and not self.over:
            self._arrival.clear()
            await self._arrival.wait()

    def end(self, failure: Failure | None) -> None:
        """Over, here and on the service. Idempotent."""
        if self.over:
            return
        self.over, self.failure = True, failure
        stream, link = self._stream, self._link
        self._stream = self._link = None
        self._cancel_timer()
        self._keeper.unfollow(self)
        self._arrival.set()
        self._ended()
        if stream is not None and link is not None:
            link.cancel(stream)

    def _ended(self) -> None:
        """It is over: let go of what else there is."""

    # --- the keeper's and the stream's side -------------------------------------------------------------------------

    def link_up(self, link: Link) -> None:
        self._link = link
        self._attempts.reset()
        self._cancel_timer()
        self._begin()

    def failed(self, error: Failure | Lost | Refused) -> None:
        self._broken()
        if isinstance(error, Lost):
            # The keeper will say when there is another link.
            self._link = None
        elif isinstance(error, Refused) or again(error, WATCH_AGAIN):
            self._begin_later(0.0 if isinstance(error, Refused) else retry_seconds(error) or 0.0)
        else:
            self.end(error)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _refill(self) -> None:
        if self._stream is None:
            self._begin()
        elif self._link is not None:
            n = self._window.refill()
            if n:
                self._link.request(self._stream, n)

    def _broken(self) -> None:
        """The stream is no more."""
        self._stream = None
        self._window.ended()

    def _over_or_under_way(self) -> bool:
        return self.over or self._stream is not None or self._timer is not None

    def _begin_later(self, at_least_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._attempts.next_seconds(at_least_seconds), self._begin_now)

    def _begin_now(self) -> None:
        self._timer = None
        self._begin()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
