"""What happened on a connection, in the order it happened. Immutable, small, in the past tense.

NamedTuples and not frozen dataclasses: one is made for nearly every frame received, at a third of the cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from tidings.protocols.rsocket.setup import Setup
    from tidings.protocols.rsocket.stream import Stream


class SetupReceived(NamedTuple):
    """Server: somebody introduced themselves. Answer with `Connection.accept` or `Connection.reject`."""

    setup: Setup


class RequestReceived(NamedTuple):
    """The peer asked for something. `stream.interaction` says what kind; `stream.credit` is its initial n.

    `complete`: the requester sends nothing more on this stream (always, except for an open channel).
    A FIRE_AND_FORGET stream is closed already and in nobody's table: it is only a name.
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
    """The stream is over in both directions: ERROR from the peer, a rule it broke, or the connection ended."""

    stream: Stream
    code: int
    text: str


class Cancelled(NamedTuple):
    """CANCEL from the peer, or it is gone. A responder's stream is over; a channel's requester only stops sending."""

    stream: Stream


class CreditGranted(NamedTuple):
    """`stream.credit` grew by `n` (it stays at UNBOUNDED once it got there)."""

    stream: Stream
    n: int


class MetadataPushed(NamedTuple):
    """METADATA_PUSH from the peer, within the rate that is allowed."""

    metadata: bytes


class LeaseReceived(NamedTuple):
    """The peer allows `requests` requests within `ttl_ms`; what waited for it has been sent."""

    ttl_ms: int
    requests: int


class KeepaliveReceived(NamedTuple):
    """The answer to a keepalive of ours. (Those that want an answer have got it.)"""

    data: bytes


class ConnectionTerminated(NamedTuple):
    """The last event of a connection. `remote`: the peer ended it, broke it, or vanished."""

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
