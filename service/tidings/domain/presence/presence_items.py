"""The items of `presence.watch`, and the compacted log of a room's presence made of them."""

from collections.abc import Callable
from typing import TypeAlias

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.contract.protobuf_wire import encode_field
from tidings.domain.common.items import LIVE_FIELD, encode_cursor
from tidings.hub.latest.compacted_log import CompactedLog
from tidings.hub.scheduling import FlushScheduler

PresenceItem: TypeAlias = PreparedMessage[v1.PresenceItem]
PresenceLog: TypeAlias = CompactedLog[PresenceItem]


def presence_item(epoch: str, version: int, body: bytes) -> PresenceItem:
    """A PresenceItem: its cursor, then `body`, the encoded fields of the state."""
    return PreparedMessage(v1.PresenceItem, encode_cursor(epoch, version) + body)


def live_marker(epoch: str, version: int) -> PresenceItem:
    """The marker that the snapshot is complete."""
    return presence_item(epoch, version, encode_field(LIVE_FIELD, b""))


def new_presence_log(
    *, epoch: str, next_version: Callable[[], int], scheduler: FlushScheduler, on_empty: Callable[[], None]
) -> PresenceLog:
    """An empty log of a room's presence."""
    return CompactedLog(
        epoch=epoch,
        next_version=next_version,
        scheduler=scheduler,
        make_item=presence_item,
        make_live_marker=live_marker,
        on_empty=on_empty,
    )
