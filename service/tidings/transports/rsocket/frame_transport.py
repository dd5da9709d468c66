"""What a session needs of whatever carries it."""

from typing import Protocol

from tidings.contract.memory_account import MemoryAccount
from tidings.dispatch.read_scheduler import ReadBudget
from tidings.protocols.rsocket import ErrorCode


class FrameTransport(Protocol):
    """What a session asks of the transport that carries it."""

    @property
    def budget(self) -> ReadBudget:
        """What the peer's user, or address, may take of the loop."""

    @property
    def address(self) -> str:
        """The peer's, for limits."""

    @property
    def is_waiting(self) -> bool:
        """Whether bytes of the peer wait for their turn to be read."""

    def write(self, data: bytes, /) -> None:
        """Take bytes; may call `pause_writing` before it returns."""

    def buffered_bytes(self) -> int:
        """Bytes written and not yet taken by the socket."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def on_authenticated(self, user: str, account: MemoryAccount, /) -> None:
        """The peer is known to be this user, whose account this is."""

    def close_gracefully(self, reason: tuple[ErrorCode, str] | None, /) -> None:
        """Everything is written: close so that it arrives."""

    def abort(self) -> None:
        """Close at once."""
