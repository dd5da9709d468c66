"""What a client session asks of the transport that carries it."""

from collections.abc import Awaitable
from enum import Enum
from typing import Protocol

from tidings.contract.errors import ApiError


class Presence(Enum):
    """Whether a session makes its user online."""

    NONE = "none"  # a single request: authenticated, but not online
    CONNECTED = "connected"  # online from its start to its close
    LEASED = "leased"  # as CONNECTED, but closed by itself a while after its last request (`limits.LEASE_SECONDS`)


class PeerControl(Protocol):
    """One connection of a transport, before and after its peer has signed in."""

    @property
    def transport_name(self) -> str:
        """The label of its metrics: `tcp`, `websocket`."""

    @property
    def is_closed(self) -> bool:
        """Whether the peer can no longer sign in: it left, or the connection was closed."""

    def close(self, error: ApiError, /) -> None:
        """Close the connection with this error."""

    def until_writable(self) -> Awaitable[None] | None:
        """None while the peer takes replies; else what to await before asking again."""

    def schedule_timeout(self) -> None:
        """`ClientSession.next_expiry_ms` may have come nearer."""

    def abort(self) -> None:
        """Close the transport at once."""

    def drain(self) -> None:
        """The service is stopping: finish pending requests, end streams, then close."""

    def close_now(self) -> None:
        """The service stops now: close whatever is pending."""

    def stream_count(self) -> int:
        """Requests of the peer that are open on the transport."""

    def outbound_bytes(self) -> int:
        """Bytes queued for a full socket."""

    def outstanding_credit(self) -> int:
        """Items requested by the peer and not sent yet; streams without a limit do not count."""
