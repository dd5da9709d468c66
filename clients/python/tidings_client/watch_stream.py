"""A stream that goes on: over lost connections, restarts of the service and pauses of the consumer.

Two positions must not be mixed up. The *seam* holds what has arrived here: the next stream goes on behind it, and what
comes twice at the join is dropped there. The consumer's own cursor (`Watch.cursor`) holds what it has taken: that is
the one to keep for another day.

A feed is a handful of callbacks; `resumed.py` says when it opens its stream, and opens it again.
"""

from tidings_client.errors import ApiError, Code, ConnectionLostError, RequestRejectedError
from tidings_client.flow_window import FlowWindow
from tidings_client.reconnector import Reconnector
from tidings_client.resumable_stream import ItemT, ResumableStream
from tidings_client.resume_point import ResumePoint


class WatchStream(ResumableStream[ItemT]):
    """Items of one watch, in order, each once. `endless`: the service ending it is a pause, not the end."""

    def __init__(
        self,
        reconnector: Reconnector,
        route: str,
        resume_point: ResumePoint[ItemT],
        item_type: type[ItemT],
        window: FlowWindow,
        *,
        is_endless: bool,
    ) -> None:
        super().__init__(reconnector, window)
        self._route = route
        self._resume_point = resume_point
        self._item_type = item_type
        self._is_endless = is_endless
        self.has_response = False

    # --- the consumer's side ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to ask. Idempotent. What cannot be asked for raises TypeError here, and not in the keeper's hands."""
        if not self.is_started:
            self._resume_point.next_request()
            super().start()

    async def wait_for_response(self) -> None:
        """Wait until the service has sent anything at all, or the end."""
        while not self.has_response and not self.is_closed:
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """The consumer is gone: CANCEL, and nothing is kept. Idempotent."""
        self._buffer.clear()
        self.end(None)

    # --- the keeper's side ------------------------------------------------------------------------------------------

    def on_closed(self, failure: ApiError) -> None:
        # A program that closes its client wants its endless loops to end; a range that was cut short is not all of it.
        is_clean_end = self._is_endless and failure.code is Code.UNAVAILABLE
        self.end(None if is_clean_end else failure)

    # --- the stream's side ------------------------------------------------------------------------------------------

    def on_next(self, data: bytes) -> None:
        self._window.on_received(len(data))
        try:
            item = self._codec.decode_reply(self._item_type, data)
        except ApiError as failure:
            self.end(ApiError(Code.INTERNAL, f"{self._route}: {failure.text}"))
            return
        self._backoff.reset()
        self.has_response = True
        self._changed.set()
        if self._resume_point.accept(item):
            self._buffer.append((item, len(data)))
        else:
            self._window.on_consumed(len(data))

    def on_completed(self) -> None:
        self._on_stream_lost()
        if self._is_endless:
            self._open_later(0.0)
        else:
            self.end(None)

    def on_credit(self) -> None:
        """A watch sends nothing after its request."""

    # --- inside -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._is_closed_or_opening() or self._connection is None:
            return
        n = self._window.open_stream()
        if not n:
            return
        self._resume_point.on_stream_opened()
        data = self._codec.encode(self._resume_point.next_request())
        try:
            self._stream = self._connection.request_stream(self._route, n, data, self)
        except ConnectionLostError:
            self._on_stream_lost()
            self._connection = None
        except RequestRejectedError:
            self._on_stream_lost()
            self._open_later(0.0)
