"""RSocket over TCP: frames behind a 24-bit length."""

from tidings.protocols.rsocket import (
    ConnectionState,
    ErrorCode,
    LengthFieldDecoder,
    RemoteProtocolError,
    tcp_length_prefix,
)
from tidings.server.connection_limiter import ConnectionSlot
from tidings.server.sockets import TLS_HANDSHAKE_PREFIX
from tidings.transports.rsocket.protocol import RSocketProtocol
from tidings.transports.rsocket.server import RSocketServer
from tidings.transports.websocket.frames import CHUNK_BYTES


class RSocketTcpProtocol(RSocketProtocol):
    """One connection. A half-closed connection is a closed one: a client that has sent EOF gets nothing more."""

    __slots__ = ("_decoder",)

    TRANSPORT_NAME = "tcp"

    def __init__(self, server: RSocketServer, slot: ConnectionSlot) -> None:
        super().__init__(server, slot, tcp_length_prefix)
        limits = server.connection_limits
        self._decoder = LengthFieldDecoder(server.limits.frame_bytes_max, limits.first_message_bytes_max, CHUNK_BYTES)

    def _process_chunk(self, data: bytes, now: float) -> bool:
        connection, decoder = self.connection, self._decoder
        engine = connection.engine
        if engine.closing:
            decoder.clear()
            self._account_incomplete(0)
            return False
        if (
            engine.state is ConnectionState.EXPECT_SETUP
            and data.startswith(TLS_HANDSHAKE_PREFIX)
            and not decoder.held_bytes
        ):
            connection.on_protocol_error("this port has no TLS; connect with tcp:// instead of tls://")
            return False
        try:
            frames = decoder.feed(data)
        except RemoteProtocolError as error:
            # A SETUP that came whole in the same piece is not looked at, but the limit is that of a frame behind it.
            before_setup = decoder.next_frame_bytes_max < self.server.limits.frame_bytes_max
            settings = "first_message_bytes_max" if before_setup else "request_bytes_max and metadata_bytes_max"
            connection.on_protocol_error(
                f"{error}; a frame has {decoder.next_frame_bytes_max} bytes at most ({settings})"
            )
            return False
        if frames and self._incomplete_bytes:  # what is complete now is not held twice
            self._account_incomplete(decoder.held_bytes + engine.reassembler.held_bytes)
        if frames or connection.deferred_frames:
            connection.on_frames(frames, now)
        if self._incomplete_bytes or decoder.partial or engine.partial_payloads:
            self._account_incomplete(decoder.held_bytes + engine.reassembler.held_bytes)
        if connection.deferred_frames and connection.has_deferred_frames:
            return True
        return decoder.has_buffered_input

    def _buffer(self, data: bytes) -> None:
        if not self.connection.engine.closing:
            self._decoder.append(data)

    def close_gracefully(self, reason: tuple[ErrorCode, str] | None, /) -> None:
        """Nothing of what came is looked at any more, so it is not held until the peer has closed its end."""
        self._decoder.clear()
        super().close_gracefully(reason)

    def _has_buffered_input(self) -> bool:
        return self._decoder.has_buffered_input or self.connection.has_deferred_frames
