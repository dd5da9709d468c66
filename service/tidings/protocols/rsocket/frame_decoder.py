"""A TCP byte stream → whole frames."""

from typing import Final

from tidings.protocols.rsocket.errors import RemoteProtocolError
from tidings.protocols.rsocket.frames import FRAME_BYTES_MAX, HEADER_BYTES

_LENGTH_BYTES: Final = 3


class InputBuffer:
    """Bytes that were received and not yet decoded into frames.

    Either the beginning of one incomplete frame (`partial`, read-only for callers), or the rest of a chunk
    (`has_buffered_input`), which may have whole frames and which `feed(b"")` continues with. An incomplete frame is in
    one growing buffer and is decoded when it is complete: single bytes cost no more than large chunks.
    """

    __slots__ = ("_bytes_needed", "_data", "_offset", "has_buffered_input", "partial")

    def __init__(self) -> None:
        self.partial = bytearray()
        self._bytes_needed = 0  # bytes that `partial` must have before it can be a whole frame
        self._data = b""
        self._offset = 0  # start of the remaining bytes in `_data`
        self.has_buffered_input = False

    def append(self, data: bytes) -> None:
        """Store bytes; a later `feed(b"")` decodes them."""
        self._data = b"".join((self.partial, memoryview(self._data)[self._offset :], data))
        self._offset = 0
        self.partial.clear()
        self.has_buffered_input = True

    def clear(self) -> None:
        """Release all bytes: the connection is closed."""
        self._data, self._offset = b"", 0
        self.partial.clear()
        self.has_buffered_input = False

    def _take_input(self, data: bytes) -> bytes | None:
        """The bytes to decode, from `_offset` on; None if they cannot have a whole frame."""
        if self.has_buffered_input:
            if data:
                self.append(data)
            return self._data
        partial = self.partial
        if partial:
            partial += data
            if len(partial) < self._bytes_needed:
                return None
            data = bytes(partial)
            partial.clear()
        return data

    def _keep_remainder(self, data: bytes, offset: int, bytes_needed: int, has_buffered_input: bool) -> None:
        """Store the bytes from `offset` on."""
        self.has_buffered_input = has_buffered_input
        if has_buffered_input:
            self._data, self._offset = data, offset
            return
        self._data, self._offset = b"", 0
        self._bytes_needed = bytes_needed
        if offset < len(data):
            self.partial += data[offset:] if offset else data


class LengthFieldDecoder(InputBuffer):
    """Decodes frames with a 24-bit length. Holds at most one incomplete frame, and the rest of a chunk.

    `first_bytes_max` limits the first frame, which comes from an unauthenticated peer. With `chunk_bytes`, `feed` stops
    after the frame in which that many bytes are reached.
    """

    __slots__ = ("_chunk_bytes", "_frame_bytes_max", "_next_frame_bytes_max")

    def __init__(
        self,
        frame_bytes_max: int = FRAME_BYTES_MAX,
        first_bytes_max: int = FRAME_BYTES_MAX,
        chunk_bytes: int | None = None,
    ) -> None:
        super().__init__()
        self._next_frame_bytes_max = min(first_bytes_max, frame_bytes_max)
        self._frame_bytes_max = frame_bytes_max
        self._chunk_bytes = chunk_bytes

    @property
    def held_bytes(self) -> int:
        """Bytes held of an incomplete frame."""
        return len(self.partial)

    @property
    def next_frame_bytes_max(self) -> int:
        """The limit of the next frame."""
        return self._next_frame_bytes_max

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete, without their lengths.

        Raises RemoteProtocolError for a length below a header's size or above the limit. Then the stream cannot be
        read any further, and whole frames of the same chunk are lost with it: close the connection.
        """
        if self.has_buffered_input or self.partial:
            pending = self._take_input(data)
            if pending is None:
                return []
            data = pending
        offset = self._offset
        frames: list[bytes] = []
        size = len(data)
        last_start = size - _LENGTH_BYTES + 1
        stop = last_start if self._chunk_bytes is None else min(last_start, offset + self._chunk_bytes)
        bytes_needed = _LENGTH_BYTES
        while offset < stop:
            begin = offset + _LENGTH_BYTES
            length = int.from_bytes(data[offset:begin], "big")
            if not HEADER_BYTES <= length <= self._next_frame_bytes_max:
                raise RemoteProtocolError(
                    f"frame length {length} is not {HEADER_BYTES} to {self._next_frame_bytes_max}"
                )
            end = begin + length
            if end > size:
                bytes_needed = _LENGTH_BYTES + length
                stop = last_start
                break
            frames.append(data[begin:end])
            self._next_frame_bytes_max = self._frame_bytes_max
            offset = end
        if offset < size or self.has_buffered_input:
            self._keep_remainder(data, offset, bytes_needed, stop < last_start and offset < last_start)
        return frames
