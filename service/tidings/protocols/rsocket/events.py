"""Protocol events, in the order they happened. Small immutable values, named in the past tense.

NamedTuples and not frozen dataclasses: nearly every frame received makes one, at a third of the cost. Events carry
their `Stream`, so this module, `stream` and `connection_base` refer to one another, in type annotations only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from tidings.protocols.rsocket.setup import Setup
    from tidings.protocols.rsocket.stream import Stream


class SetupReceived(NamedTuple):
    """Server: the client's SETUP. Call `Connection.accept` or `Connection.reject`."""

    setup: Setup


class RequestReceived(NamedTuple):
    """A request of the peer. `stream.interaction` is its kind, `stream.credit` its initial n.

    `complete`: the requester sends nothing more on this stream (always, except for an open channel).
    The stream of a FIRE_AND_FORGET is closed already and in no table: it is only a name.
    """

    stream: Stream
    metadata: bytes | None
    data: bytes
    complete: bool


class PayloadReceived(NamedTuple):
    """One item. `complete`: the peer's half ended with it; always so for the reply of a REQUEST_RESPONSE."""

    stream: Stream
    metadata: bytes | None
    data: bytes
    complete: bool


class Completed(NamedTuple):
    """The peer's half ended, without an item."""

    stream: Stream


class Failed(NamedTuple):
    """The stream is closed in both directions: ERROR or a protocol error of the peer, or the connection ended."""

    stream: Stream
    code: int
    text: str


class Cancelled(NamedTuple):
    """CANCEL from the peer, or the connection ended. Closes a responder's stream, or a channel requester's half."""

    stream: Stream


class CreditGranted(NamedTuple):
    """`stream.credit` grew by `n` (it stays at UNBOUNDED once it got there)."""

    stream: Stream
    n: int


class MetadataPushed(NamedTuple):
    """METADATA_PUSH from the peer, within the rate that is allowed."""

    metadata: bytes


class LeaseReceived(NamedTuple):
    """The peer allows `requests` requests within `ttl_ms`; requests that waited for it have been sent."""

    ttl_ms: int
    requests: int


class KeepaliveReceived(NamedTuple):
    """The reply to a keepalive of ours. (Keepalives that require a reply have got it already.)"""

    data: bytes


class ConnectionTerminated(NamedTuple):
    """The last event of a connection. `remote`: the peer closed it, broke the protocol, or is lost."""

    code: int
    text: str
    remote: bool


ProtocolEvent: TypeAlias = (
    SetupReceived
    | RequestReceived
    | PayloadReceived
    | Completed
    | Failed
    | Cancelled
    | CreditGranted
    | MetadataPushed
    | LeaseReceived
    | KeepaliveReceived
    | ConnectionTerminated
)
