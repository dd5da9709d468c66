"""A TCP byte stream → whole frames."""

from tidings.rsocket.errors import ProtocolError
from tidings.rsocket.frames import FRAME_LIMIT, HEADER_BYTES

_LENGTH_BYTES = 3


class FrameSplitter:
    """Cuts at the 24-bit lengths. Holds at most one unfinished frame.

    Frames that arrive whole are sliced out of what was fed: one copy each. Only the unfinished rest is kept, in
    one growing buffer, and looked at again when the frame it begins is complete: bytes that trickle in singly
    cost no more than bytes in bulk.
    """

    __slots__ = ("_frame_bytes_max", "_rest", "_wanted")

    def __init__(self, frame_bytes_max: int = FRAME_LIMIT) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._rest = bytearray()
        self._wanted = _LENGTH_BYTES  # so many bytes must be in the rest before a look at it is worth while

    @property
    def held_bytes(self) -> int:
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now, without their lengths.

        Raises ProtocolError when a length is below a header's size or above `frame_bytes_max`. The stream cannot
        be read any further then (and frames that came whole in the same piece are gone with it): end the connection.
        """
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._wanted:
                return []
            data = bytes(rest)
            rest.clear()
        frames: list[bytes] = []
        at, size = 0, len(data)
        wanted = _LENGTH_BYTES
        while size - at >= _LENGTH_BYTES:
            begin = at + _LENGTH_BYTES
            length = int.from_bytes(data[at:begin], "big")
            if not HEADER_BYTES <= length <= self._frame_bytes_max:
                raise ProtocolError(f"frame length {length} is not {HEADER_BYTES} to {self._frame_bytes_max}")
            end = begin + length
            if end > size:
                wanted = _LENGTH_BYTES + length
                break
            frames.append(data[begin:end])
            at = end
        self._wanted = wanted
        if at < size:
            rest += data[at:] if at else data
        return frames
