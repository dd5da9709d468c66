"""What a request's metadata asks for, and what of it is remembered."""

from typing import Any

import pytest

from tidings.contract import v1
from tidings.contract.codecs import JSON, PROTOBUF
from tidings.contract.errors import ApiError, Code
from tidings.contract.methods import Method, MethodKind, MethodTable, Permission
from tidings.metrics.registry import Metrics
from tidings.protocols.rsocket import metadata
from tidings.server.settings import ConnectionLimits
from tidings.transports.rsocket.method_resolver import CACHE_KEY_BYTES_MAX, CACHED_BINDINGS_MAX, MethodResolver

TRACE = "message/x.rsocket.tracing-zipkin.v0"


def ping(request: v1.PingRequest, context: Any) -> v1.PingReply:
    return v1.PingReply()


METHODS = {
    route: Method(
        route,
        MethodKind.CALL,
        Permission.ANYONE,
        v1.PingRequest,
        v1.PingReply,
        ping,
        is_async=False,
        is_idempotent=True,
    )
    for route in ("session.ping", "session.pong")
}


@pytest.fixture
def resolver() -> MethodResolver:
    return MethodResolver(MethodTable(METHODS), Metrics(), metadata.COMPOSITE, PROTOBUF, ConnectionLimits())


def routing_metadata(*entries: tuple[str, bytes], route: str = "session.ping") -> bytes:
    return metadata.write_composite([(metadata.ROUTING, metadata.write_route(route)), *entries])


def accept_metadata(*mimes: str) -> bytes:
    return routing_metadata((metadata.ACCEPT_MIME_TYPES, metadata.write_accept_mime_types(mimes)))


def resolve_error(resolver: MethodResolver, asked: bytes | None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        resolver.resolve(asked)
    return caught.value


def test_what_was_found_once_is_found_again_without_reading(resolver: MethodResolver) -> None:
    route, credentials = resolver.resolve(routing_metadata())
    assert (route.method.route, credentials) == ("session.ping", None)
    assert resolver.cache[bytes(bytearray(routing_metadata()))] is route


@pytest.mark.parametrize(
    "entry",
    [
        (metadata.AUTHENTICATION, metadata.write_bearer_auth("a secret")),
        (metadata.BEARER_LEGACY, b"a secret"),
        # Of a scheme that is not understood, so it is nobody's credentials here; a secret it is all the same.
        (metadata.AUTHENTICATION, b"\x85a secret"),
        (TRACE, b"\xa0" + (1).to_bytes(8, "big") + (2).to_bytes(8, "big")),
        ("application/x-something", b"of tomorrow"),
    ],
)
def test_what_is_secret_or_new_in_each_request_is_not_remembered(
    resolver: MethodResolver, entry: tuple[str, bytes]
) -> None:
    route, _ = resolver.resolve(routing_metadata(entry))
    assert route.method.route == "session.ping"
    assert not resolver.cache


def test_the_memory_is_bounded_in_routes_and_forgets_the_oldest(resolver: MethodResolver) -> None:
    # The same method in ever another spelling of its metadata.
    for number in range(CACHED_BINDINGS_MAX + 1):
        resolver.resolve(
            metadata.write_composite([(metadata.ROUTING, metadata.write_route("session.ping", str(number)))])
        )
    assert len(resolver.cache) == CACHED_BINDINGS_MAX
    assert (
        metadata.write_composite([(metadata.ROUTING, metadata.write_route("session.ping", "0"))]) not in resolver.cache
    )


def test_metadata_that_would_fill_the_memory_are_not_remembered(resolver: MethodResolver) -> None:
    tags = metadata.write_route("session.ping", "x" * 250, "y" * 250)
    asked = metadata.write_composite([(metadata.ROUTING, tags)])
    assert len(asked) > CACHE_KEY_BYTES_MAX
    assert resolver.resolve(asked)[0].method.route == "session.ping"
    assert not resolver.cache


@pytest.mark.parametrize("asked", [None, b"", routing_metadata(route="no.such"), b"\xfe\0\0\x09"])
def test_refusals_are_not_remembered(resolver: MethodResolver, asked: bytes | None) -> None:
    for _ in range(2):
        assert resolve_error(resolver, asked).code in (Code.UNIMPLEMENTED, Code.INVALID_ARGUMENT)
    assert not resolver.cache


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (routing_metadata(route="no.such"), "'no.such'"),
        (routing_metadata(route="a\x1b[2Jb\r\nc\0"), r"'a\x1b[2Jb\r\nc\x00'"),
        (routing_metadata(route="\u202eevil"), r"'\u202eevil'"),
        (routing_metadata(route="a" * 255), repr("a" * 100)),
        (routing_metadata((metadata.MIME_TYPE, metadata.write_mime_type("x/\x1b\n"))), r"'x/\x1b\n'"),
    ],
)
def test_an_error_quotes_what_was_asked_in_one_short_line_of_ascii(
    resolver: MethodResolver, asked: bytes, shown: str
) -> None:
    text = resolve_error(resolver, asked).text
    assert shown in text
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 300


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (metadata.write_composite([("text/plain", b"")] * 65), "entries of composite metadata"),
        (metadata.write_composite([(metadata.ROUTING, metadata.write_route(*"a" * 65))]), "routing tags"),
        (accept_metadata(*["text/plain"] * 65), "accepted MIME types"),
    ],
)
def test_too_many_entries_are_told_the_setting_of_their_limit(
    resolver: MethodResolver, asked: bytes, what: str
) -> None:
    failure = resolve_error(resolver, asked)
    assert failure.code is Code.INVALID_ARGUMENT
    assert failure.text == f"the metadata has more than 64 {what} (metadata_entries_max); send fewer"


def test_more_metadata_than_anybody_needs_are_not_read() -> None:
    limits = ConnectionLimits(metadata_bytes_max=len(routing_metadata()) - 1)
    resolver = MethodResolver(MethodTable(METHODS), Metrics(), metadata.COMPOSITE, PROTOBUF, limits)
    failure = resolve_error(resolver, routing_metadata())
    assert failure.code is Code.INVALID_ARGUMENT
    assert "metadata_bytes_max" in failure.text


def test_the_answer_is_in_the_first_encoding_that_the_client_accepts_and_the_service_speaks(
    resolver: MethodResolver,
) -> None:
    route, _ = resolver.resolve(accept_metadata("application/cbor", "application/json"))
    assert route.reply_codec is JSON
    (mime,) = metadata.read_composite(route.response_metadata or b"")
    assert metadata.read_mime_type(mime.content) == "application/json"


def test_an_answer_in_the_encoding_that_was_asked_for_first_needs_no_word_about_it(resolver: MethodResolver) -> None:
    route, _ = resolver.resolve(accept_metadata("application/json", "application/cbor"))
    assert (route.reply_codec, route.response_metadata) == (JSON, None)


def test_a_client_that_accepts_nothing_that_is_spoken_is_told_what_is(resolver: MethodResolver) -> None:
    failure = resolve_error(resolver, accept_metadata("application/cbor"))
    assert failure.code is Code.INVALID_ARGUMENT
    assert PROTOBUF.mime_type in failure.text
    assert JSON.mime_type in failure.text
