"""What an attack is, and the peer that carries it out."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench import codec

KEEPALIVE, REQUEST_FNF, REQUEST_CHANNEL, CANCEL, METADATA_PUSH = 0x03, 0x05, 0x07, 0x09, 0x0C
FOLLOWS, RESPOND, COMPLETE = 0x80, 0x80, 0x40


@dataclass(frozen=True, slots=True)
class Attack:
    """One row. `connections` 0: as many as are asked for (`CONNECTIONS=4`); `users`: whom they belong to."""

    description: str
    flood: "Callable[[Attacker], Iterator[bytes]]"
    transport: str = "ws"  # or tcp, http
    is_signed_in: bool = True
    data_mime: bytes = codec.PROTOBUF
    users: int = 1
    connections: int = 0
    reads_replies: bool = True  # takes what the service sends
    deflate: bool = False
    shares_address: bool = False  # as the honest clients


class Attacker:
    """What a connection sends frames with: the next stream id, and who it is."""

    def __init__(self, attack: Attack, number: int, token: str, room: str) -> None:
        self.attack = attack
        self.number = number
        self.token = token
        self.room = room
        self.stream_id = -1
        self.wrap = codec.tcp_message if attack.transport == "tcp" else codec.websocket_message

    def setup(self) -> bytes:
        """SETUP with the token."""
        self.stream_id = -1
        return codec.setup_bearer(self.token, self.attack.data_mime)

    def next_stream_id(self) -> int:
        """A stream id of a client."""
        self.stream_id += 2
        return self.stream_id

    def request(
        self, route: str, data: bytes, *, kind: int = codec.REQUEST_RESPONSE, extra: bytes = b"", n: int | None = None
    ) -> bytes:
        """A request on the next stream."""
        credit = b"" if n is None else n.to_bytes(4, "big")
        metadata = codec.route_metadata(route) + extra
        return codec.frame(self.next_stream_id(), kind, codec.METADATA, credit, codec.with_metadata(metadata, data))

    def request_loop(self, route: str, data: Callable[[int], bytes], **options: object) -> Iterator[bytes]:
        """One request after the other; `data` makes the n-th one's."""
        for number in itertools.count():
            yield self.wrap(self.request(route, data(number), **options))  # type: ignore[arg-type]

    def client_id(self, number: int) -> str:
        """A client_id that no other request has."""
        return f"{id(self):x}-{self.number}-{number}"
