"""Attacks that ask for little and make the service send much: what is encoded and compressed costs it, not the peer."""

import random
from collections import deque
from collections.abc import Callable, Iterator

from google.protobuf.message import Message

from bench import codec
from bench.hostile.attack import CANCEL, COMPLETE, FOLLOWS, REQUEST_CHANNEL, Attack, Attacker
from tidings.contract import v1
from tidings.contract.codecs import encode_json

ROOM = "mallory.room"
TEXTS, TEXT_CHARS = 5, 64_500
READS_MAX = 3_000
PEOPLE = 1_000
LARGEST = 524_288  # bytes of one request

MessageFactory = Callable[[Attacker], Message]


def encode(attacker: Attacker, message: Message) -> bytes:
    """In the encoding of the attacker's connection."""
    return encode_json(message) if attacker.attack.data_mime == codec.JSON else message.SerializeToString()


def slow_to_compress(number: int) -> str:
    """A text on which DEFLATE finds many short repeats: 7 ms for 64 KB, ten times as long as for prose."""
    return "".join(random.Random(number).choices("abcdef", k=TEXT_CHARS))


def create_own_room(attacker: Attacker, texts: int = 0, members: int = 0) -> Iterator[bytes]:
    """A room for all connections of the attack; the first one makes and fills it, the others wait as long."""
    if not attacker.number:
        names = [f"crowd.member.with.a.long.name.{n}" for n in range(members)]
        room = v1.CreateRequest(room=ROOM, kind=v1.OPEN, members=names)
        yield attacker.wrap(attacker.request("rooms.create", encode(attacker, room)))
        for n in range(texts):
            message = v1.SendRequest(room=ROOM, client_id=attacker.client_id(n), text=slow_to_compress(n))
            yield attacker.wrap(attacker.request("chat.send", encode(attacker, message)))
    for _ in range(1_500):
        yield attacker.wrap(attacker.request("session.ping", b""))


def streams(
    route: str, make: MessageFactory, *, open_max: int, cancels: bool = True
) -> Callable[[Attacker], Iterator[bytes]]:
    """One stream after the other with unlimited credit; the oldest is cancelled when `open_max` are open."""

    def flood(attacker: Attacker) -> Iterator[bytes]:
        data = encode(attacker, make(attacker))
        opened: deque[int] = deque()
        while True:
            yield attacker.wrap(attacker.request(route, data, kind=codec.REQUEST_STREAM, n=codec.UNBOUNDED))
            opened.append(attacker.stream_id)
            if len(opened) > open_max:
                stream = opened.popleft()
                if cancels:
                    yield attacker.wrap(codec.frame(stream, CANCEL, 0))

    return flood


def then(
    prepare: Callable[[Attacker], Iterator[bytes]], then: Callable[[Attacker], Iterator[bytes]]
) -> Callable[[Attacker], Iterator[bytes]]:
    """First the one, then the other."""

    def flood(attacker: Attacker) -> Iterator[bytes]:
        yield from prepare(attacker)
        yield from then(attacker)

    return flood


def calls(route: str, make: MessageFactory) -> Callable[[Attacker], Iterator[bytes]]:
    """The same call again and again."""
    return lambda attacker: attacker.request_loop(route, lambda _: encode(attacker, make(attacker)))


def channels(attacker: Attacker) -> Iterator[bytes]:
    """Channels that open a room of many members, and are cancelled."""
    opened: deque[int] = deque()
    command = v1.ChannelCommand(ref=1, open=v1.WatchRequest(room=ROOM, after=v1.Cursor(seq=0)))
    payload = codec.with_metadata(codec.route_metadata("chat.channel"), encode(attacker, command))
    credit = codec.UNBOUNDED.to_bytes(4, "big")
    while True:
        yield attacker.wrap(
            codec.frame(attacker.next_stream_id(), REQUEST_CHANNEL, codec.METADATA | COMPLETE, credit, payload)
        )
        opened.append(attacker.stream_id)
        if len(opened) > 20:
            yield attacker.wrap(codec.frame(opened.popleft(), CANCEL, 0))


def trickle(attacker: Attacker) -> Iterator[bytes]:
    """One item at a time over many reads."""
    data = encode(attacker, read(attacker.room))
    opened = []
    for _ in range(900):
        yield attacker.wrap(attacker.request("history.read", data, kind=codec.REQUEST_STREAM, n=1))
        opened.append(attacker.stream_id)
    while True:
        for stream in opened:
            yield attacker.wrap(codec.request_n(stream, 1))


def partial_payloads(attacker: Attacker) -> Iterator[bytes]:
    """Payloads of which one byte has come, on as many streams as there may be."""
    for _ in range(4_090):
        first = codec.with_metadata(b"x", b"")
        yield attacker.wrap(
            codec.frame(attacker.next_stream_id(), codec.REQUEST_RESPONSE, FOLLOWS | codec.METADATA, first)
        )


def presence_then_broken_frame(attacker: Attacker) -> Iterator[bytes]:
    """Large presence watches, ended by a frame that breaks WebSocket; the connection comes again."""
    for watch in range(45):
        request = v1.PresenceWatchRequest(users=[f"u{watch}-{n}" for n in range(PEOPLE)])
        data = request.SerializeToString()
        yield attacker.wrap(attacker.request("presence.watch", data, kind=codec.REQUEST_STREAM, n=1))
    yield attacker.wrap(attacker.request("session.ping", b""))
    yield bytes((0x81, 0x80)) + bytes(4)


def full_sockets(attacker: Attacker) -> Iterator[bytes]:
    """Fill the socket with pages; then come the largest requests, as many as are read."""
    page = v1.PageRequest(room=ROOM, limit=1_000).SerializeToString()
    for _ in range(8):
        yield attacker.wrap(attacker.request("history.page", page))
    while True:
        yield attacker.wrap(attacker.request("session.ping", bytes(LARGEST)))


def read(room: str) -> v1.ReadRequest:
    return v1.ReadRequest(room=room)


def watch(room: str) -> v1.WatchRequest:
    return v1.WatchRequest(room=room, after=v1.Cursor(seq=0))


def people(_: Attacker) -> v1.PresenceWatchRequest:
    return v1.PresenceWatchRequest(users=[f"u{n}" for n in range(PEOPLE)])


def slow_texts(attacker: Attacker) -> Iterator[bytes]:
    return create_own_room(attacker, texts=TEXTS)


def crowd(attacker: Attacker) -> Iterator[bytes]:
    return create_own_room(attacker, members=500)


READ_OWN = streams("history.read", lambda _: read(ROOM), open_max=READS_MAX, cancels=False)
READ_SQUARE = streams("history.read", lambda attacker: read(attacker.room), open_max=READS_MAX, cancels=False)
WATCH_SQUARE = streams("chat.watch", lambda attacker: watch(attacker.room), open_max=20)

ATTACKS: dict[str, Attack] = {
    "slow-texts": Attack("history.read of texts that are slow to compress", then(slow_texts, READ_OWN), deflate=True),
    "slow-texts-json": Attack("the same in codec.JSON", then(slow_texts, READ_OWN), deflate=True, data_mime=codec.JSON),
    "slow-texts-watch": Attack(
        "chat.watch of them from the beginning, and CANCEL",
        then(slow_texts, streams("chat.watch", lambda _: watch(ROOM), open_max=10)),
        deflate=True,
    ),
    "reads": Attack("history.read with unlimited credit", READ_SQUARE),
    "reads-json": Attack("the same in codec.JSON, compressed", READ_SQUARE, deflate=True, data_mime=codec.JSON),
    "replays": Attack(
        "chat.watch from the beginning, and CANCEL, in codec.JSON", WATCH_SQUARE, deflate=True, data_mime=codec.JSON
    ),
    "trickle": Attack("REQUEST_N of 1 over 900 history.read", trickle),
    "people": Attack(
        "presence.watch of 1,000 users, and CANCEL, in codec.JSON",
        streams("presence.watch", people, open_max=2),
        data_mime=codec.JSON,
    ),
    "members": Attack(
        "rooms.members of a room of 500, in codec.JSON",
        then(crowd, calls("rooms.members", lambda _: v1.MembersRequest(room=ROOM, limit=1_000))),
        data_mime=codec.JSON,
    ),
    "channels": Attack("channels that open a room of 500, in codec.JSON", then(crowd, channels), data_mime=codec.JSON),
    "demotions": Attack(
        "the owner of a room of 500 asks to become a member",
        then(crowd, calls("rooms.join", lambda _: v1.JoinRequest(room=ROOM, role=v1.MEMBER))),
    ),
    "full-sockets": Attack(
        "requests of 512 KB behind pages that are not taken, on 64 connections",
        then(slow_texts, full_sockets),
        reads_replies=False,
        connections=64,
    ),
    "begun-payloads": Attack("4,090 payloads of one byte on 63 connections", partial_payloads, connections=63),
    "presence-broken": Attack("45 presence watches of 1,000 users, then a broken frame", presence_then_broken_frame),
}
