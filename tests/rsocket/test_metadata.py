"""Metadata as a whole: what a request says, and the memo of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rsocket import metadata
from tidings.rsocket.metadata import (
    AUTHENTICATION,
    COMPOSITE,
    ROUTING,
    Credentials,
    MetadataError,
    RequestMetadata,
    RequestMetadataMemo,
)


def composite(route: str, token: str = "") -> bytes:
    entries = [(ROUTING, metadata.write_route(route))]
    if token:
        entries.append((AUTHENTICATION, metadata.write_bearer_auth(token)))
    return metadata.write_composite(entries)


def test_request_without_metadata_says_nothing() -> None:
    assert metadata.read_request(None, COMPOSITE) == RequestMetadata()
    assert metadata.read_request(b"", COMPOSITE) == RequestMetadata()


def test_plain_text_is_the_route() -> None:
    assert metadata.read_request(b"chat.send", "text/plain").route == "chat.send"
    with pytest.raises(MetadataError):
        metadata.read_request(b"\xff", "text/plain")


def test_bare_authentication_is_understood() -> None:
    said = metadata.read_request(metadata.write_simple_auth("alice", "x"), AUTHENTICATION)
    assert said.credentials == Credentials("simple", user="alice", password="x")


def test_another_mime_type_says_nothing() -> None:
    assert metadata.read_request(b"\xff\xff", "application/octet-stream") == RequestMetadata()


def test_first_entry_of_a_kind_counts() -> None:
    said = metadata.write_composite([(ROUTING, b"\1a"), (ROUTING, b"\1b")])
    assert metadata.read_request(said, COMPOSITE).route == "a"


def test_memo_says_what_reading_says_and_makes_it_once() -> None:
    memo = RequestMetadataMemo(COMPOSITE)
    said = composite("chat.send")
    first = memo.read(said)
    assert first == metadata.read_request(said, COMPOSITE)
    assert memo.read(bytes(bytearray(said))) is first
    assert memo.read(None) == RequestMetadata()


def test_memo_does_not_remember_errors() -> None:
    memo = RequestMetadataMemo(COMPOSITE)
    for _ in range(2):
        with pytest.raises(MetadataError):
            memo.read(b"\xfe\0\0\x09")


def test_memo_is_bounded_in_entries_and_forgets_the_oldest() -> None:
    memo = RequestMetadataMemo(COMPOSITE, entries_max=10)
    first = memo.read(composite("route.0"))
    for number in range(10):
        memo.read(composite(f"route.{number}"))
    assert memo.remembered == (10, 0)
    assert memo.read(composite("route.0")) is first
    memo.read(composite("route.10"))
    assert memo.remembered == (10, 0)
    assert memo.read(composite("route.0")) is not first


def test_memo_keeps_few_credentials_and_lets_them_push_nothing_else_out() -> None:
    memo = RequestMetadataMemo(COMPOSITE, entries_max=10, credentials_max=3)
    plain = memo.read(composite("chat.send"))
    for number in range(100):
        assert memo.read(composite("chat.send", f"token {number}")).credentials is not None
    assert memo.remembered == (1, 3)
    assert memo.read(composite("chat.send")) is plain


def test_memo_does_not_keep_big_metadata() -> None:
    memo = RequestMetadataMemo(COMPOSITE, key_bytes_max=100)
    assert memo.read(composite("r" * 200)).route == "r" * 200
    assert memo.remembered == (0, 0)


@given(st.binary(max_size=60), st.sampled_from([*metadata.WELL_KNOWN.values(), metadata.BEARER_LEGACY]))
def test_any_bytes_are_read_or_refused_but_never_break(raw: bytes, mime: str) -> None:
    try:
        metadata.read_request(raw, mime)
        metadata.read_trace(raw)
    except MetadataError as error:
        assert str(error)


@given(st.lists(st.tuples(st.sampled_from(sorted(metadata.WELL_KNOWN.values())), st.binary(max_size=50))))
def test_composite_metadata_survives_the_way(entries: list[tuple[str, bytes]]) -> None:
    assert metadata.read_composite(metadata.write_composite(entries)) == entries


@given(st.text(max_size=60), st.text(max_size=200))
def test_credentials_survive_the_way(user: str, secret: str) -> None:
    assert metadata.read_auth(metadata.write_simple_auth(user, secret)) == Credentials("simple", user, secret)
    assert metadata.read_auth(metadata.write_bearer_auth(secret)) == Credentials("bearer", token=secret)
