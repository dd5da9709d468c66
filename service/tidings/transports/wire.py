"""What a session needs of whatever carries it."""

from typing import Protocol

from tidings.rsocket import ErrorCode


class Wire(Protocol):
    """What a session asks of the transport that carries it."""

    def write(self, data: bytes, /) -> None:
        """Take bytes; may call `socket_full` before it returns."""

    def buffered_bytes(self) -> int:
        """Bytes written and not yet taken by the socket."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def admitted(self) -> None:
        """The peer is somebody known now."""

    def farewell(self, reason: tuple[ErrorCode, str] | None, /) -> None:
        """Everything is written: close so that it arrives."""

    def abort(self) -> None:
        """Close at once."""
