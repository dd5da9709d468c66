"""The attacks: cheap for the peer, meant to be expensive for the service.

An attack is one row: what its connections are, and an endless iterator of the bytes that one of them sends. Where the
iterator ends, the connection is kept open. To add one, write its iterator and its row in `ATTACKS`.
"""

import itertools
import struct
import zlib
from collections.abc import Callable, Iterator

from bench import codec
from bench.hostile import read_attacks
from bench.hostile.attack import CANCEL, FOLLOWS, KEEPALIVE, METADATA_PUSH, REQUEST_FNF, RESPOND, Attack, Attacker
from tidings.contract import v1

OPAQUE_ID = 0x01  # a well-known MIME type that means nothing to the service
PROBES = "abcdefghijklmnopqrstuvwxyz0123456789"


def combining_text(count: int) -> str:
    """A letter with two classes of combining marks, which sorting by class has to mix."""
    return "a" + "\u0301" * count + "\u0323" * count


def send_request(attacker: Attacker, number: int, text: str) -> bytes:
    return v1.SendRequest(room=attacker.room, client_id=attacker.client_id(number), text=text).SerializeToString()


# --- texts ------------------------------------------------------------------------------------------------------


def combining_marks(size: int, route: str = "chat.send", kind: int = codec.REQUEST_RESPONSE) -> Callable[..., Iterator]:
    def flood(attacker: Attacker) -> Iterator[bytes]:
        text = combining_text(size)

        def data(number: int) -> bytes:
            if route == "chat.edit":
                return v1.EditRequest(
                    room=attacker.room, client_id=attacker.client_id(number), target=1, text=text
                ).SerializeToString()
            if route == "history.search":
                return v1.SearchRequest(query=text).SerializeToString()
            if route == "presence.set":
                return v1.SetPresenceRequest(status=v1.ONLINE, text=text).SerializeToString()
            if route == "rooms.create":
                return v1.CreateRequest(kind=v1.GROUP, title=text).SerializeToString()
            return send_request(attacker, number, text)

        return attacker.request_loop(route, data, kind=kind)

    return flood


# --- frames of WebSocket and RSocket that ask for nothing -----------------------------------------------------------


def repeat_frames(*frames: bytes, first: bytes = b"") -> Callable[..., Iterator[bytes]]:
    """The same bytes again and again."""

    def flood(attacker: Attacker) -> Iterator[bytes]:
        if first:
            yield first
        block = b"".join(frames) * 512
        while True:
            yield block

    return flood


def control_frame(opcode: int, payload: bytes = b"") -> bytes:
    """A masked control or continuation frame."""
    return bytes((opcode, 0x80 | len(payload))) + bytes(4) + payload


def frames_of_stream_0(kind: int, flags: int, body: bytes) -> Callable[..., Iterator[bytes]]:
    def flood(attacker: Attacker) -> Iterator[bytes]:
        block = attacker.wrap(codec.frame(0, kind, flags, body)) * 512
        while True:
            yield block

    return flood


def frames_of_an_open_stream(kind: int, body: bytes, flags: int = 0) -> Callable[..., Iterator[bytes]]:
    """On a watch that is open, or on a stream that never was (`CANCEL`)."""

    def flood(attacker: Attacker) -> Iterator[bytes]:
        watch = v1.WatchRequest(room=attacker.room).SerializeToString()
        yield attacker.wrap(attacker.request("chat.watch", watch, kind=codec.REQUEST_STREAM, n=1))
        block = attacker.wrap(codec.frame(attacker.stream_id, kind, flags, body)) * 512
        while True:
            yield block

    return flood


def fragments(attacker: Attacker) -> Iterator[bytes]:
    """Empty pieces of one request."""
    yield attacker.wrap(
        codec.frame(
            attacker.next_stream_id(), codec.REQUEST_RESPONSE, FOLLOWS | codec.METADATA, codec.with_metadata(b"", b"")
        )
    )
    block = attacker.wrap(codec.frame(attacker.stream_id, codec.PAYLOAD, FOLLOWS | codec.NEXT)) * 512
    while True:
        yield block


# --- cheap to send, expensive to read ---------------------------------------------------------------------------


def metadata_entries(attacker: Attacker) -> Iterator[bytes]:
    return attacker.request_loop("session.ping", lambda _: b"", extra=codec.metadata_entry(OPAQUE_ID, b"1234") * 5_000)


def json_values(attacker: Attacker) -> Iterator[bytes]:
    data = b'{"a":[' + b",".join([b"1"] * 4_000) + b"]}"
    return attacker.request_loop("session.ping", lambda _: data)


def json_members(attacker: Attacker) -> Iterator[bytes]:
    data = b'{"members":[' + b",".join(b'"u%d"' % n for n in range(4_000)) + b"]}"
    return attacker.request_loop("rooms.create", lambda _: data)


def json_escapes(attacker: Attacker) -> Iterator[bytes]:
    data = b'{"a":"' + b"\\u00e9" * 87_000 + b'"}'
    return attacker.request_loop("session.ping", lambda _: data)


def json_nesting(attacker: Attacker) -> Iterator[bytes]:
    data = b'{"a":' + b"[" * 900 + b"]" * 900 + b"}"
    return attacker.request_loop("session.ping", lambda _: data)


def json_digits(attacker: Attacker) -> Iterator[bytes]:
    data = b'{"room":"' + attacker.room.encode() + b'","after":' + b"9" * 4_000 + b"}"
    return attacker.request_loop("history.page", lambda _: data)


def new_tokens(attacker: Attacker) -> Iterator[bytes]:
    """A request with a token that was never seen, each."""
    for number in itertools.count():
        token = f"{attacker.token[:-12]}{number:012d}".encode()
        extra = codec.metadata_entry(codec.AUTHENTICATION_ID, b"\x81" + token)
        yield attacker.wrap(attacker.request("session.ping", b"", extra=extra))


def watch_and_cancel(attacker: Attacker) -> Iterator[bytes]:
    watch = v1.WatchRequest(room=attacker.room).SerializeToString()
    while True:
        yield attacker.wrap(attacker.request("chat.watch", watch, kind=codec.REQUEST_STREAM, n=1))
        yield attacker.wrap(codec.frame(attacker.stream_id, CANCEL, 0))


def pings(attacker: Attacker) -> Iterator[bytes]:
    return attacker.request_loop("session.ping", lambda _: b"")


def unknown_routes(attacker: Attacker) -> Iterator[bytes]:
    for number in itertools.count():
        yield attacker.wrap(attacker.request(f"no.such{number}", b""))


def compression_bombs(attacker: Attacker) -> Iterator[bytes]:
    """Compressed messages that inflate to the limit."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = codec.request_response(1, "session.ping", bytes(500_000))
    block = (deflate.compress(body) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    head = codec.websocket_message(block)
    while True:
        yield bytes((head[0] | 0x40,)) + head[1:]


def searches(attacker: Attacker) -> Iterator[bytes]:
    return attacker.request_loop(
        "history.search",
        lambda n: v1.SearchRequest(
            query="qw" + PROBES[n % len(PROBES)] + PROBES[n // len(PROBES) % len(PROBES)]
        ).SerializeToString(),
    )


# --- one call, much work ----------------------------------------------------------------------------------------


def crowded_rooms(attacker: Attacker) -> Iterator[bytes]:
    members = [f"member{n}" for n in range(500)]
    return attacker.request_loop(
        "rooms.create",
        lambda n: v1.CreateRequest(kind=v1.GROUP, title=f"room {n}", members=members).SerializeToString(),
    )


def presence_watches(attacker: Attacker) -> Iterator[bytes]:
    for watch in range(50):
        users = [f"{attacker.number}-{watch}-{n}" for n in range(1_000)]
        data = v1.PresenceWatchRequest(users=users).SerializeToString()
        yield attacker.wrap(attacker.request("presence.watch", data, kind=codec.REQUEST_STREAM, n=1))


def typing(attacker: Attacker) -> Iterator[bytes]:
    return attacker.request_loop(
        "presence.typing", lambda n: v1.TypingRequest(room=attacker.room, stopped=bool(n % 2)).SerializeToString()
    )


def reactions(attacker: Attacker) -> Iterator[bytes]:
    return attacker.request_loop(
        "chat.react",
        lambda n: v1.ReactRequest(
            room=attacker.room, client_id=attacker.client_id(n), target=1, emoji="👍", remove=bool(n % 2)
        ).SerializeToString(),
    )


def long_texts(attacker: Attacker) -> Iterator[bytes]:
    text = "long text " * 6_000
    return attacker.request_loop("chat.send", lambda n: send_request(attacker, n, text), kind=REQUEST_FNF)


# --- what is held -----------------------------------------------------------------------------------------------


def open_streams(route: str, data: Callable[[Attacker], bytes], count: int) -> Callable[..., Iterator[bytes]]:
    def flood(attacker: Attacker) -> Iterator[bytes]:
        for _ in range(count):
            yield attacker.wrap(attacker.request(route, data(attacker), kind=codec.REQUEST_STREAM, n=1))

    return flood


def history_reads(attacker: Attacker) -> bytes:
    return v1.ReadRequest(room=attacker.room).SerializeToString()


def room_watches(attacker: Attacker) -> bytes:
    return v1.WatchRequest(room=attacker.room).SerializeToString()


def unfinished_payloads(attacker: Attacker) -> Iterator[bytes]:
    """Payloads in pieces whose last one never comes."""
    piece = bytes(60_000)
    for _ in range(64):
        yield attacker.wrap(
            codec.frame(
                attacker.next_stream_id(),
                codec.REQUEST_RESPONSE,
                FOLLOWS | codec.METADATA,
                codec.with_metadata(b"", piece),
            )
        )
        for _ in range(16):
            yield attacker.wrap(codec.frame(attacker.stream_id, codec.PAYLOAD, FOLLOWS | codec.NEXT, piece))


def unread_pages(attacker: Attacker) -> Iterator[bytes]:
    page = v1.PageRequest(room=attacker.room, limit=1_000).SerializeToString()
    for _ in range(4_000):
        yield attacker.wrap(attacker.request("history.page", page))


# --- before authentication ------------------------------------------------------------------------------------


def send_once(data: bytes) -> Callable[..., Iterator[bytes]]:
    """These bytes, then nothing."""
    return lambda attacker: iter((data,))


def wrong_tokens(attacker: Attacker) -> Iterator[bytes]:
    """A sign-in that is refused; the connection is closed by the service and opened again."""
    yield attacker.wrap(codec.setup_bearer("e30.e30.e30", codec.PROTOBUF))


def requests_before_setup(attacker: Attacker) -> Iterator[bytes]:
    yield attacker.wrap(codec.request_response(1, "session.ping", b""))


def page_requests(attacker: Attacker) -> Iterator[bytes]:
    block = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 64
    while True:
        yield block


def bad_requests(attacker: Attacker) -> Iterator[bytes]:
    yield b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    junk = bytes(65_536)
    while True:
        yield junk


PONG, PING, CONTINUATION = control_frame(0x8A), control_frame(0x89), control_frame(0x00)
ONE_ITEM = struct.pack(">I", 1)
HALF_OPEN = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
BODY = b"POST /health HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"

ATTACKS: dict[str, Attack] = {
    "marks-8k": Attack("chat.send of 16,000 combining marks", combining_marks(8_000)),
    "marks-16k": Attack("chat.send of 32,000 combining marks", combining_marks(16_000)),
    "marks-32k": Attack("chat.send of 64,000 combining marks, above the limit", combining_marks(32_000)),
    "marks-edit": Attack("chat.edit of 16,000 combining marks", combining_marks(8_000, "chat.edit")),
    "marks-forget": Attack("the same without an answer", combining_marks(8_000, kind=REQUEST_FNF)),
    "marks-query": Attack("a query of combining marks", combining_marks(32_000, "history.search")),
    "marks-status": Attack("a status of combining marks", combining_marks(32_000, "presence.set")),
    "marks-title": Attack("a title of combining marks", combining_marks(32_000, "rooms.create")),
    "pongs": Attack("empty PONG frames before SETUP", repeat_frames(PONG), is_signed_in=False),
    "pings": Attack("empty PING frames before SETUP", repeat_frames(PING), is_signed_in=False),
    "continuations": Attack(
        "empty continuation frames before SETUP",
        repeat_frames(CONTINUATION, first=bytes((0x02, 0x80)) + bytes(4)),
        is_signed_in=False,
    ),
    "pongs-in": Attack("empty PONG frames after SETUP", repeat_frames(PONG)),
    "keepalives": Attack("KEEPALIVE frames", frames_of_stream_0(KEEPALIVE, RESPOND, bytes(8))),
    "keepalives-tcp": Attack("the same over TCP", frames_of_stream_0(KEEPALIVE, RESPOND, bytes(8)), "tcp"),
    "pushes": Attack("METADATA_PUSH frames", frames_of_stream_0(METADATA_PUSH, codec.METADATA, b"x")),
    "credits": Attack("REQUEST_N frames of one watch", frames_of_an_open_stream(codec.REQUEST_N, ONE_ITEM)),
    "cancels": Attack("CANCEL frames of a stream that is over", frames_of_an_open_stream(CANCEL, b"")),
    "payloads": Attack(
        "PAYLOAD frames without a request for them", frames_of_an_open_stream(codec.PAYLOAD, b"", codec.NEXT)
    ),
    "fragments": Attack("empty fragments of one request", fragments),
    "fragments-tcp": Attack("the same over TCP", fragments, "tcp"),
    "metadata": Attack("session.ping with 5,000 metadata entries", metadata_entries),
    "json-values": Attack("codec.JSON of 4,000 values", json_values, data_mime=codec.JSON),
    "json-members": Attack("codec.JSON of 4,000 names", json_members, data_mime=codec.JSON),
    "json-escapes": Attack("codec.JSON of 512 KB of escapes", json_escapes, data_mime=codec.JSON),
    "json-nesting": Attack("codec.JSON of 900 levels", json_nesting, data_mime=codec.JSON),
    "json-digits": Attack("a codec.JSON number of 4,000 digits", json_digits, data_mime=codec.JSON),
    "tokens": Attack("a new token in each request", new_tokens),
    "watch-cancel": Attack("chat.watch and CANCEL", watch_and_cancel),
    "session-pings": Attack("session.ping", pings),
    "session-pings-tcp": Attack("session.ping over TCP", pings, "tcp"),
    "unknown-routes": Attack("routes that do not exist", unknown_routes),
    "bombs": Attack("compressed messages of 500 KB", compression_bombs, deflate=True),
    "searches": Attack("history.search by guesses", searches),
    "crowded-rooms": Attack("rooms.create with 500 members", crowded_rooms),
    "presence": Attack(
        "50 presence watches of 1,000 names for each of 10 users", presence_watches, users=10, connections=10
    ),
    "typing": Attack("presence.typing, on and off", typing),
    "reactions": Attack("chat.react, on and off", reactions),
    "long-texts": Attack("texts of 60 KB without an answer", long_texts),
    "history-readers": Attack(
        "3,000 history.read with credit 1 on each connection", open_streams("history.read", history_reads, 3_000)
    ),
    "room-watches": Attack(
        "2,500 watches of one room on each connection", open_streams("chat.watch", room_watches, 2_500)
    ),
    "unfinished": Attack("64 payloads of 1 MB that never end, on 20 connections", unfinished_payloads, connections=20),
    "unread": Attack("4,000 pages of history that are not taken", unread_pages, reads_replies=False),
    "wrong-tokens": Attack("sign-ins with a wrong token", wrong_tokens, is_signed_in=False),
    "early-requests": Attack("requests before SETUP", requests_before_setup, "tcp", is_signed_in=False),
    "half-open": Attack(
        "1,030 HTTP requests that never end, from the honest clients' address",
        send_once(HALF_OPEN),
        "http",
        is_signed_in=False,
        connections=1_030,
        shares_address=True,
    ),
    "half-bodies": Attack(
        "1,030 HTTP bodies that never come, from the honest clients' address",
        send_once(BODY),
        "http",
        is_signed_in=False,
        connections=1_030,
        shares_address=True,
    ),
    "silent": Attack(
        "1,030 connections that say nothing, from the honest clients' address",
        send_once(b""),
        "http",
        is_signed_in=False,
        connections=1_030,
        shares_address=True,
    ),
    "http-requests": Attack("GET / in a pipeline", page_requests, "http", is_signed_in=False),
    "bad-requests": Attack("a malformed request, then junk", bad_requests, "http", is_signed_in=False, connections=64),
    **read_attacks.ATTACKS,
}
