"""A stream that goes on: over lost connections, restarts of the service and pauses of the consumer.

Two positions must not be mixed up. The *seam* holds what has arrived here: the next stream goes on behind it, and what
comes twice at the join is dropped there. The consumer's own cursor (`Watch.cursor`) holds what it has taken: that is
the one to keep for another day.

A feed is a handful of callbacks; `resumed.py` says when it opens its stream, and opens it again.
"""

from typing import Protocol, TypeVar

from google.protobuf.message import Message

from tidings_client.errors import Code, Failure, Lost, Refused
from tidings_client.keeper import Keeper
from tidings_client.resumed import Item, Resumed
from tidings_client.window import Window

Arrived = TypeVar("Arrived", bound=Message, contravariant=True)


class Seam(Protocol[Arrived]):
    """Where the next stream goes on, and what of it is new."""

    def request(self) -> Message:
        """The request that goes on behind everything accepted so far."""

    def opened(self) -> None:
        """A new stream begins."""

    def accept(self, item: Arrived, /) -> bool:
        """Take note of an item; False: it was here before."""


class Feed(Resumed[Item]):
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
        super().__init__(keeper, window)
        self._route = route
        self._seam = seam
        self._item_type = item_type
        self._endless = endless
        self.answered = False

    # --- the consumer's side ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to ask. Idempotent. What cannot be asked for raises TypeError here, and not in the keeper's hands."""
        if not self.started:
            self._seam.request()
            super().start()

    async def answer(self) -> None:
        """Wait until the service has sent anything at all, or the end."""
        while not self.answered and not self.over:
            self._arrival.clear()
            await self._arrival.wait()

    def close(self) -> None:
        """The consumer is gone: CANCEL, and nothing is kept. Idempotent."""
        self._held.clear()
        self.end(None)

    # --- the keeper's side ------------------------------------------------------------------------------------------

    def link_gone_for_good(self, failure: Failure) -> None:
        # A program that closes its client wants its endless loops to end; a range that was cut short is not all of it.
        ended = self._endless and failure.code is Code.UNAVAILABLE
        self.end(None if ended else failure)

    # --- the stream's side ------------------------------------------------------------------------------------------

    def item(self, data: bytes) -> None:
        self._window.arrived(len(data))
        try:
            item = self._codec.decode_answer(self._item_type, data)
        except Failure as failure:
            self.end(Failure(Code.INTERNAL, f"{self._route}: {failure.text}"))
            return
        self._attempts.reset()
        self.answered = True
        self._arrival.set()
        if self._seam.accept(item):
            self._held.append((item, len(data)))
        else:
            self._window.taken(len(data))

    def completed(self) -> None:
        self._broken()
        if self._endless:
            self._begin_later(0.0)
        else:
            self.end(None)

    def credited(self) -> None:
        """A watch sends nothing after its request."""

    # --- inside -----------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._over_or_under_way() or self._link is None:
            return
        n = self._window.open()
        if not n:
            return
        self._seam.opened()
        data = self._codec.encode(self._seam.request())
        try:
            self._stream = self._link.watch(self._route, n, data, self)
        except Lost:
            self._broken()
            self._link = None
        except Refused:
            self._broken()
            self._begin_later(0.0)
