"""A TCP byte stream → whole frames."""

from typing import Final

from tidings.rsocket.errors import ProtocolError
from tidings.rsocket.frames import FRAME_LIMIT, HEADER_BYTES

_LENGTH_BYTES: Final = 3


class Backlog:
    """Bytes that were received and not yet cut into frames.

    Either the beginning of one frame that is not complete (`rest`, for others to read only), or what a chunk left
    (`behind`): whole frames may be in that, and `feed(b"")` goes on with it. Unfinished frames lie in one growing
    buffer, and are looked at again when they are complete: bytes that trickle in singly cost no more than in bulk.
    """

    __slots__ = ("_at", "_data", "_wanted", "behind", "rest")

    def __init__(self) -> None:
        self.rest = bytearray()
        self._wanted = 0  # so many bytes must be in the rest before a look at it is worth while
        self._data = b""
        self._at = 0  # where to go on in `_data`
        self.behind = False

    def keep(self, data: bytes) -> None:
        """Take bytes without looking at them; `feed(b"")` does later."""
        self._data = b"".join((self.rest, memoryview(self._data)[self._at :], data))
        self._at = 0
        self.rest.clear()
        self.behind = True

    def drop(self) -> None:
        """Forget everything: the connection is over."""
        self._data, self._at = b"", 0
        self.rest.clear()
        self.behind = False

    def _begin(self, data: bytes) -> bytes | None:
        """The bytes to look at, from `_at` on; None where no whole frame can be in them."""
        if self.behind:
            if data:
                self.keep(data)
            return self._data
        rest = self.rest
        if rest:
            rest += data
            if len(rest) < self._wanted:
                return None
            data = bytes(rest)
            rest.clear()
        return data

    def _leave(self, data: bytes, at: int, wanted: int, behind: bool) -> None:
        """What is left of the bytes: from `at` on."""
        self.behind = behind
        if behind:
            self._data, self._at = data, at
            return
        self._data, self._at = b"", 0
        self._wanted = wanted
        if at < len(data):
            self.rest += data[at:] if at else data


class FrameSplitter(Backlog):
    """Cuts at the 24-bit lengths. Holds at most one unfinished frame, and what is `behind`.

    `first_bytes_max` holds for the first frame, which comes from an unknown peer. With `chunk_bytes`, `feed` stops
    after the frame in which so many bytes are used up.
    """

    __slots__ = ("_bytes_max", "_chunk_bytes", "_frame_bytes_max")

    def __init__(
        self,
        frame_bytes_max: int = FRAME_LIMIT,
        first_bytes_max: int = FRAME_LIMIT,
        chunk_bytes: int | None = None,
    ) -> None:
        super().__init__()
        self._bytes_max = min(first_bytes_max, frame_bytes_max)
        self._frame_bytes_max = frame_bytes_max
        self._chunk_bytes = chunk_bytes

    @property
    def held_bytes(self) -> int:
        """What is kept of an unfinished frame."""
        return len(self.rest)

    @property
    def bytes_max(self) -> int:
        """What the next frame may have."""
        return self._bytes_max

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now, without their lengths.

        Raises ProtocolError when a length is below a header's size or above what is allowed. The stream cannot
        be read any further then (and frames that came whole in the same piece are gone with it): end the connection.
        """
        if self.behind or self.rest:
            begun = self._begin(data)
            if begun is None:
                return []
            data = begun
        at = self._at
        frames: list[bytes] = []
        size = len(data)
        most = size - _LENGTH_BYTES + 1
        stop = most if self._chunk_bytes is None else min(most, at + self._chunk_bytes)
        wanted = _LENGTH_BYTES
        while at < stop:
            begin = at + _LENGTH_BYTES
            length = int.from_bytes(data[at:begin], "big")
            if not HEADER_BYTES <= length <= self._bytes_max:
                raise ProtocolError(f"frame length {length} is not {HEADER_BYTES} to {self._bytes_max}")
            end = begin + length
            if end > size:
                wanted = _LENGTH_BYTES + length
                stop = most
                break
            frames.append(data[begin:end])
            self._bytes_max = self._frame_bytes_max
            at = end
        if at < size or self.behind:
            self._leave(data, at, wanted, stop < most and at < most)
        return frames
