"""What a channel needs of the services. Presence and receipts are ports here, so that capabilities stay independent."""

from typing import Any, Protocol

from tidings.contract import v1
from tidings.contract.context import CallContext
from tidings.domain.common.background import BackgroundTasks, ErrorReporter
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.messaging.channel_items import ChannelItemCache
from tidings.domain.messaging.messages import RoomMessages
from tidings.domain.validation.validator import Validator
from tidings.hub import Sink, Subscription
from tidings.hub.ports import Schedule


class ChannelPresence(Protocol):
    """The presence commands of a channel (`presence.service.PresenceService`)."""

    def set(self, request: v1.SetPresenceRequest, context: CallContext) -> v1.SetPresenceReply:
        """Set the caller's status on all devices."""

    async def typing(self, request: v1.TypingRequest, context: CallContext) -> v1.TypingReply:
        """The caller types in a room, or stopped."""

    async def watch_room(self, room: str, context: CallContext, sink: Sink[Any], after: v1.Cursor) -> Subscription:
        """Subscribe to the presence of a room."""


class ChannelReceipts(Protocol):
    """The receipts command of a channel (`receipts.service.ReceiptsService`)."""

    async def mark(self, request: v1.MarkRequest, context: CallContext) -> v1.MarkReply:
        """Move the caller's positions forward."""


class ChannelServices:
    """What all channels share: the services that carry out commands, the limits, and the cache of items."""

    def __init__(
        self,
        *,
        messages: RoomMessages,
        presence: ChannelPresence,
        receipts: ChannelReceipts,
        validator: Validator,
        background: BackgroundTasks,
        schedule: Schedule,
        report: ErrorReporter,
    ) -> None:
        self.messages = messages
        self.presence = presence
        self.receipts = receipts
        self.validator = validator
        self.background = background
        self.schedule = schedule
        self.report = report
        self.item_cache = ChannelItemCache()

    @property
    def limits(self) -> DomainLimits:
        """The limits that hold."""
        return self.validator.limits
