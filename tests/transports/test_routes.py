"""What a request's metadata asks for, and what of it is remembered."""

from typing import Any

import pytest

from tidings.contract import v1
from tidings.contract.codecs import JSON, PROTOBUF
from tidings.contract.errors import Code, Failure
from tidings.contract.table import Permission, Row, Table, Verb
from tidings.metrics import Metrics
from tidings.rsocket import metadata
from tidings.transports.routes import MEMO_KEY_BYTES_MAX, MEMO_ROUTES_MAX, Routes
from tidings.transports.settings import ConnectionLimits

TRACE = "message/x.rsocket.tracing-zipkin.v0"


def ping(request: v1.PingRequest, call: Any) -> v1.PingReply:
    return v1.PingReply()


ROWS = {
    route: Row(route, Verb.CALL, Permission.ANYONE, v1.PingRequest, v1.PingReply, ping, waits=False, idempotent=True)
    for route in ("session.ping", "session.pong")
}


@pytest.fixture
def routes() -> Routes:
    return Routes(Table(ROWS), Metrics(), metadata.COMPOSITE, PROTOBUF, ConnectionLimits())


def said(*entries: tuple[str, bytes], route: str = "session.ping") -> bytes:
    return metadata.write_composite([(metadata.ROUTING, metadata.write_route(route)), *entries])


def accepting(*mimes: str) -> bytes:
    return said((metadata.ACCEPT_MIME_TYPES, metadata.write_accept_mime_types(mimes)))


def refused(routes: Routes, asked: bytes | None) -> Failure:
    with pytest.raises(Failure) as caught:
        routes.find(asked)
    return caught.value


def test_what_was_found_once_is_found_again_without_reading(routes: Routes) -> None:
    route, credentials = routes.find(said())
    assert (route.row.route, credentials) == ("session.ping", None)
    assert routes.known[bytes(bytearray(said()))] is route


@pytest.mark.parametrize(
    "entry",
    [
        (metadata.AUTHENTICATION, metadata.write_bearer_auth("a secret")),
        (metadata.BEARER_LEGACY, b"a secret"),
        # Of a scheme that is not understood, so it is nobody's credentials here; a secret it is all the same.
        (metadata.AUTHENTICATION, b"\x85a secret"),
        (TRACE, metadata.write_trace(metadata.Trace(sampled=True, trace_id=1, span_id=2))),
        ("application/x-something", b"of tomorrow"),
    ],
)
def test_what_is_secret_or_new_in_each_request_is_not_remembered(routes: Routes, entry: tuple[str, bytes]) -> None:
    route, _ = routes.find(said(entry))
    assert route.row.route == "session.ping"
    assert not routes.known


def test_the_memory_is_bounded_in_routes_and_forgets_the_oldest(routes: Routes) -> None:
    # The same method in ever another spelling of its metadata.
    for number in range(MEMO_ROUTES_MAX + 1):
        routes.find(metadata.write_composite([(metadata.ROUTING, metadata.write_route("session.ping", str(number)))]))
    assert len(routes.known) == MEMO_ROUTES_MAX
    assert metadata.write_composite([(metadata.ROUTING, metadata.write_route("session.ping", "0"))]) not in routes.known


def test_metadata_that_would_fill_the_memory_are_not_remembered(routes: Routes) -> None:
    tags = metadata.write_route("session.ping", "x" * 250, "y" * 250)
    asked = metadata.write_composite([(metadata.ROUTING, tags)])
    assert len(asked) > MEMO_KEY_BYTES_MAX
    assert routes.find(asked)[0].row.route == "session.ping"
    assert not routes.known


@pytest.mark.parametrize("asked", [None, b"", said(route="no.such"), b"\xfe\0\0\x09"])
def test_refusals_are_not_remembered(routes: Routes, asked: bytes | None) -> None:
    for _ in range(2):
        assert refused(routes, asked).code in (Code.UNIMPLEMENTED, Code.INVALID_ARGUMENT)
    assert not routes.known


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (said(route="no.such"), "'no.such'"),
        (said(route="a\x1b[2Jb\r\nc\0"), r"'a\x1b[2Jb\r\nc\x00'"),
        (said(route="\u202eevil"), r"'\u202eevil'"),
        (said(route="a" * 255), repr("a" * 100)),
        (said((metadata.MIME_TYPE, metadata.write_mime_type("x/\x1b\n"))), r"'x/\x1b\n'"),
    ],
)
def test_an_error_quotes_what_was_asked_in_one_short_line_of_ascii(routes: Routes, asked: bytes, shown: str) -> None:
    text = refused(routes, asked).text
    assert shown in text
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 300


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (metadata.write_composite([("text/plain", b"")] * 65), "entries of composite metadata"),
        (metadata.write_composite([(metadata.ROUTING, metadata.write_route(*"a" * 65))]), "routing tags"),
        (accepting(*["text/plain"] * 65), "accepted MIME types"),
    ],
)
def test_too_many_entries_are_told_the_setting_of_their_limit(routes: Routes, asked: bytes, what: str) -> None:
    failure = refused(routes, asked)
    assert failure.code is Code.INVALID_ARGUMENT
    assert failure.text == f"the metadata have more than 64 {what} (metadata_entries_max); send fewer"


def test_more_metadata_than_anybody_needs_are_not_read() -> None:
    limits = ConnectionLimits(metadata_bytes_max=len(said()) - 1)
    routes = Routes(Table(ROWS), Metrics(), metadata.COMPOSITE, PROTOBUF, limits)
    failure = refused(routes, said())
    assert failure.code is Code.INVALID_ARGUMENT
    assert "metadata_bytes_max" in failure.text


def test_the_answer_is_in_the_first_encoding_that_the_client_accepts_and_the_service_speaks(routes: Routes) -> None:
    route, _ = routes.find(accepting("application/cbor", "application/json"))
    assert route.writes is JSON
    (mime,) = metadata.read_composite(route.said or b"")
    assert metadata.read_mime_type(mime.content) == "application/json"


def test_an_answer_in_the_encoding_that_was_asked_for_first_needs_no_word_about_it(routes: Routes) -> None:
    route, _ = routes.find(accepting("application/json", "application/cbor"))
    assert (route.writes, route.said) == (JSON, None)


def test_a_client_that_accepts_nothing_that_is_spoken_is_told_what_is(routes: Routes) -> None:
    failure = refused(routes, accepting("application/cbor"))
    assert failure.code is Code.INVALID_ARGUMENT
    assert PROTOBUF.mime in failure.text
    assert JSON.mime in failure.text
