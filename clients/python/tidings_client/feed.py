"""A stream that goes on: over lost connections, restarts of the service and pauses of the consumer.

Two positions must not be mixed up. The *seam* holds what has arrived here: the next stream goes on behind it, and what
comes twice at the join is dropped there. The consumer's own cursor (`Watch.cursor`) holds what it has taken: that is
the one to keep for another day.

A feed is a handful of callbacks; it has no task. It opens its stream when there is a link and room in the window, and
after a failure that passes it does so again by a timer. Everything it changes, it changes before it calls out.
"""

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar

from google.protobuf.message import Message

from tidings.rsocket import Stream
from tidings_client.errors import WATCH_AGAIN, Code, Failure, Lost, Refused, again, retry_seconds
from tidings_client.keeper import Keeper
from tidings_client.link import Link
from tidings_client.reconnect import Attempts
from tidings_client.window import Window

Item = TypeVar("Item", bound=Message)
Arrived = TypeVar("Arrived", bound=Message, contravariant=True)


class Seam(Protocol[Arrived]):
    """Where the next stream goes on, and what of it is new."""

    def request(self) -> Message:
        """The request that goes on behind everything accepted so far."""

    def opened(self) -> None:
        """A new stream begins."""

    def accept(self, item: Arrived, /) -> bool:
        """Take note of an item; False: it was here before."""


class Feed(Generic[Item]):
    """Items of one watch, in order, each once. `endless`: the service ending it is a pause, not the end."""

    def __init__(
        self,
        keeper: Keeper,
        route: str,
        seam: Seam[Item],
        item_type: type[Item],
        window: Window,
        *,
        endless: bool,
    ) -> None:
        self._keeper = keeper
        self._route = route
        self._seam = seam
        self._item_type = item_type
        self._window = window
        self._endless = endless
        self._held: deque[tuple[Item, int]] = deque()
        self._stream: Stream | None = None
        self._link: Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._attempts = Attempts(keeper.settings.jitter)
        self._arrival = asyncio.Event()
        self.started = False
        self.answered = False
        # No items will come any more; `failure` says why, None: everything was sent, or the consumer ended it.
        self.over = False
        self.failure: Failure | None = None

    # --- the consumer's side ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to ask. Idempotent. What cannot be asked for raises TypeError here, and not in the keeper's hands."""
        if not self.started:
            self._seam.request()
            self.started = True
            self._keeper.follow(self)

    def take(self) -> Item | None:
        """The next item if one is here; room for another one in the window."""
        if not self._held:
            return None
        item, size = self._held.popleft()
        self._window.taken(size)
        if self._stream is None:
            self._open()
        elif self._link is not None:
            n = self._window.refill()
            if n:
                self._link.request(self._stream, n)
        return item

    async def arrival(self) -> None:
        """Wait until there is an item, or the end."""
        while not self._held and not self.over:
            self._arrival.clear()
            await self._arrival.wait()

    async def answer(self) -> None:
        """Wait until the service has sent anything at all, or the end."""
        while not self.answered and not self.over:
            self._arrival.clear()
            await self._arrival.wait()

    def close(self) -> None:
        """The consumer is gone: CANCEL, and nothing is kept. Idempotent."""
        self._held.clear()
        self._end(None)

    # --- the keeper's side ------------------------------------------------------------------------------------------

    def link_up(self, link: Link) -> None:
        self._link = link
        self._attempts.reset()
        self._cancel_timer()
        self._open()

    def link_gone_for_good(self, failure: Failure) -> None:
        # A program that closes its client wants its endless loops to end; a range that was cut short is not all of it.
        ended = self._endless and failure.code is Code.UNAVAILABLE
        self._end(None if ended else failure)

    # --- the stream's side ------------------------------------------------------------------------------------------

    def item(self, data: bytes) -> None:
        self._window.arrived(len(data))
        try:
            item = self._keeper.settings.codec.decode(self._item_type, data)
        except Failure as failure:
            self._end(Failure(Code.INTERNAL, f"{self._route}: {failure.text}"))
            return
        self._attempts.reset()
        self.answered = True
        self._arrival.set()
        if self._seam.accept(item):
            self._held.append((item, len(data)))
        else:
            self._window.taken(len(data))

    def completed(self) -> None:
        self._lost_stream()
        if self._endless:
            self._open_later(0.0)
        else:
            self._end(None)

    def failed(self, error: Failure | Lost | Refused) -> None:
        self._lost_stream()
        if isinstance(error, Lost):
            # The keeper will say when there is another link.
            self._link = None
        elif isinstance(error, Refused) or again(error, WATCH_AGAIN):
            self._open_later(0.0 if isinstance(error, Refused) else retry_seconds(error) or 0.0)
        else:
            self._end(error)

    def credited(self) -> None:
        """A watch sends nothing after its request."""

    # --- inside -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self.over or self._stream is not None or self._timer is not None or self._link is None:
            return
        n = self._window.open()
        if not n:
            return
        self._seam.opened()
        data = self._keeper.settings.codec.encode(self._seam.request())
        try:
            self._stream = self._link.watch(self._route, n, data, self)
        except Lost:
            self._lost_stream()
            self._link = None
        except Refused:
            self._lost_stream()
            self._open_later(0.0)

    def _open_later(self, at_least_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._attempts.next_seconds(at_least_seconds), self._open_now)

    def _open_now(self) -> None:
        self._timer = None
        self._open()

    def _lost_stream(self) -> None:
        self._stream = None
        self._window.ended()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, failure: Failure | None) -> None:
        if self.over:
            return
        self.over, self.failure = True, failure
        stream, link = self._stream, self._link
        self._stream = self._link = None
        self._cancel_timer()
        self._arrival.set()
        self._keeper.unfollow(self)
        if stream is not None and link is not None:
            link.cancel(stream)
