"""The parts of a client that its rooms, presence, session and channels work with.

`Client` makes one and hands it on, so none of them imports the client.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

from google.protobuf.message import Message

from tidings_client.calls import CallRunner
from tidings_client.flow_window import FlowWindow
from tidings_client.reconnector import Reconnector

ReplyT = TypeVar("ReplyT", bound=Message)

DEFAULT_SECONDS: Final = -1.0  # stands for the client's `call_seconds`; None means no limit


@dataclass(frozen=True, slots=True)
class ClientContext:
    """One connection, the calls over it, and the sizes of its watches' windows."""

    reconnector: Reconnector
    calls: CallRunner
    call_seconds: float | None
    window_items: int
    window_bytes: int

    def new_window(self) -> FlowWindow:
        """An empty flow window for one watch or channel."""
        return FlowWindow(self.window_items, self.window_bytes)

    async def call(
        self, route: str, request: Message, reply_type: type[ReplyT], *, seconds: float | None = DEFAULT_SECONDS
    ) -> ReplyT:
        """The reply to a call of `route`, within `seconds` (default: `call_seconds`). Raises ApiError."""
        timeout_seconds = self.call_seconds if seconds == DEFAULT_SECONDS else seconds
        return await self.calls.call(route, request, reply_type, timeout_seconds)
