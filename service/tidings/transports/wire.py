"""What a session needs of whatever carries it."""

from typing import Protocol

from tidings.contract.memory import Account
from tidings.rsocket import ErrorCode
from tidings.transports.read_scheduler import ReadBudget


class Wire(Protocol):
    """What a session asks of the transport that carries it."""

    @property
    def budget(self) -> ReadBudget:
        """What the peer's user, or address, may take of the loop."""

    @property
    def waits(self) -> bool:
        """Whether bytes of the peer wait for their turn to be read."""

    def write(self, data: bytes, /) -> None:
        """Take bytes; may call `socket_full` before it returns."""

    def buffered_bytes(self) -> int:
        """Bytes written and not yet taken by the socket."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def admitted(self, user: str, account: Account, /) -> None:
        """The peer is known to be this user, whose account this is."""

    def farewell(self, reason: tuple[ErrorCode, str] | None, /) -> None:
        """Everything is written: close so that it arrives."""

    def abort(self) -> None:
        """Close at once."""
