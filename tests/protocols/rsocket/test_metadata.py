"""Metadata as a whole: what a request says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.protocols.rsocket import metadata
from tidings.protocols.rsocket.metadata import (
    AUTHENTICATION,
    COMPOSITE,
    ROUTING,
    Credentials,
    MetadataError,
    RequestMetadata,
)


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


@given(st.binary(max_size=60), st.sampled_from([*metadata.WELL_KNOWN.values(), metadata.BEARER_LEGACY]))
def test_any_bytes_are_read_or_refused_but_never_break(raw: bytes, mime: str) -> None:
    try:
        metadata.read_request(raw, mime)
    except MetadataError as error:
        assert str(error)


@given(st.lists(st.tuples(st.sampled_from(sorted(metadata.WELL_KNOWN.values())), st.binary(max_size=50))))
def test_composite_metadata_survives_the_way(entries: list[tuple[str, bytes]]) -> None:
    assert metadata.read_composite(metadata.write_composite(entries)) == entries


@given(st.text(max_size=60), st.text(max_size=200))
def test_credentials_survive_the_way(user: str, secret: str) -> None:
    assert metadata.read_auth(metadata.write_simple_auth(user, secret)) == Credentials("simple", user, secret)
    assert metadata.read_auth(metadata.write_bearer_auth(secret)) == Credentials("bearer", token=secret)
