"""Items 90 to 95: composite metadata, routes, credentials, MIME types per stream, tracing, well-known ids."""

import pytest

from tidings.protocols.rsocket import metadata
from tidings.protocols.rsocket.metadata import (
    ACCEPT_MIME_TYPES,
    AUTHENTICATION,
    BEARER_LEGACY,
    COMPOSITE,
    MIME_TYPE,
    ROUTING,
    Credentials,
    Entry,
    MetadataError,
)
from tidings.protocols.rsocket.mime import TRACING_ZIPKIN

JSON = "application/json"


def test_item_90_entry_with_a_well_known_type_is_id_length_bytes() -> None:
    raw = bytes.fromhex(
        "fe"  # well-known id 0x7E: routing
        "00000a"  # ten bytes
        "09636861742e73656e64"  # one tag of nine: chat.send
    )
    assert metadata.read_composite(raw) == [Entry(ROUTING, b"\x09chat.send")]
    assert metadata.write_composite([Entry(ROUTING, b"\x09chat.send")]) == raw


def test_item_90_entry_with_a_named_type_has_its_length_less_one() -> None:
    raw = bytes.fromhex("02") + b"a/b" + bytes.fromhex("000001") + b"x"
    assert metadata.read_composite(raw) == [Entry("a/b", b"x")]
    assert metadata.write_composite([("a/b", b"x")]) == raw
    longest = "a/" + "b" * 126
    assert metadata.read_composite(metadata.write_composite([(longest, b"")])) == [Entry(longest, b"")]


def test_item_90_well_known_type_by_its_name_is_the_same_entry() -> None:
    raw = bytes([len(ROUTING) - 1]) + ROUTING.encode() + b"\0\0\2" + b"\1r"
    assert metadata.read_composite(raw) == [Entry(ROUTING, b"\1r")]
    assert metadata.read_request(raw, COMPOSITE).route == "r"


def test_item_90_order_is_kept_and_duplicates_are_allowed() -> None:
    entries = [Entry("a/b", b"1"), Entry(JSON, b"2"), Entry("a/b", b"3"), Entry(JSON, b"")]
    assert metadata.read_composite(metadata.write_composite(entries)) == entries


def test_item_90_unknown_id_is_skipped() -> None:
    raw = b"\xe0\0\0\3???" + metadata.write_composite([(ROUTING, b"\1r")])  # 0x60 is nobody's
    assert metadata.read_composite(raw) == [Entry(ROUTING, b"\1r")]
    assert metadata.read_request(raw, COMPOSITE).route == "r"


@pytest.mark.parametrize("size", range(1, 14))
def test_item_90_entry_cut_short_is_an_error(size: int) -> None:
    whole = metadata.write_composite([(ROUTING, b"\x09chat.send")])
    assert len(whole) == 14
    with pytest.raises(MetadataError):
        metadata.read_composite(whole[:size])


@pytest.mark.parametrize("mime", ["", "x" * 129, "text/ümlaut"])
def test_item_90_name_that_does_not_fit_is_refused(mime: str) -> None:
    with pytest.raises(MetadataError):
        metadata.write_composite([(mime, b"")])


def test_item_90_name_that_is_not_ascii_is_an_error() -> None:
    with pytest.raises(MetadataError):
        metadata.read_composite(b"\0\xff\0\0\0")


def test_item_91_route_is_a_sequence_of_tags_with_8_bit_lengths() -> None:
    assert metadata.write_route("chat.send") == b"\x09chat.send"
    assert metadata.read_route(b"\x02ab\x00\x03\xe2\x82\xac") == ["ab", "", "€"]
    assert metadata.read_route(metadata.write_route("a", "b" * 255)) == ["a", "b" * 255]
    assert metadata.read_route(b"") == []


def test_item_91_first_tag_is_the_route() -> None:
    raw = metadata.write_route("chat.send", "tag", "other")
    assert metadata.read_request(raw, ROUTING).route == "chat.send"
    assert metadata.read_request(metadata.write_composite([(ROUTING, raw)]), COMPOSITE).route == "chat.send"


@pytest.mark.parametrize("raw", [b"\x05abc", b"\x01\xff", b"\x01a\x01"])
def test_item_91_broken_tag_is_an_error(raw: bytes) -> None:
    with pytest.raises(MetadataError):
        metadata.read_route(raw)


def test_item_91_tag_above_255_bytes_is_refused() -> None:
    with pytest.raises(MetadataError):
        metadata.write_route("€" * 86)


def test_item_92_simple_is_a_16_bit_user_length_user_and_password() -> None:
    raw = b"\x80\0\5alicesecret"
    assert metadata.write_simple_auth("alice", "secret") == raw
    assert metadata.read_auth(raw) == Credentials("simple", user="alice", password="secret")
    long = "u" * 65_535
    assert metadata.read_auth(metadata.write_simple_auth(long, "")) == Credentials("simple", user=long)


def test_item_92_bearer_is_the_raw_token() -> None:
    raw = b"\x81eyJ.token"
    assert metadata.write_bearer_auth("eyJ.token") == raw
    assert metadata.read_auth(raw) == Credentials("bearer", token="eyJ.token")


def test_item_92_scheme_may_be_named() -> None:
    assert metadata.read_auth(b"\x05simple\0\1ab") == Credentials("simple", user="a", password="b")
    assert metadata.read_auth(b"\x05bearertoken") == Credentials("bearer", token="token")


def test_item_92_unknown_scheme_is_nobody() -> None:
    assert metadata.read_auth(b"\x82whatever") is None
    assert metadata.read_auth(b"\x03saml<xml>") is None
    entry = metadata.write_composite([(AUTHENTICATION, b"\xff?"), (ROUTING, b"\1r")])
    assert metadata.read_request(entry, COMPOSITE)[:2] == ("r", None)


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\x80\0", b"\x80\0\5ab", b"\x05sim", b"\x81\xff\xfe", b"\x80\0\1\xff"])
def test_item_92_broken_credentials_are_an_error(raw: bytes) -> None:
    with pytest.raises(MetadataError):
        metadata.read_auth(raw)


def test_item_92_older_bearer_type_is_the_raw_token() -> None:
    entry = metadata.write_composite([(BEARER_LEGACY, b"eyJ.token")])
    token = Credentials("bearer", token="eyJ.token")
    assert metadata.read_request(entry, COMPOSITE).credentials == token
    assert metadata.read_request(b"eyJ.token", BEARER_LEGACY).credentials == token


def test_item_92_credentials_do_not_show_their_secret() -> None:
    shown = repr(Credentials("simple", user="alice", password="hunter2", token="eyJ"))
    assert "alice" in shown
    assert "hunter2" not in shown
    assert "eyJ" not in shown


def test_item_93_mime_type_of_a_stream_is_one_entry_by_id_or_name() -> None:
    assert metadata.write_mime_type(JSON) == b"\x85"
    assert metadata.read_mime_type(b"\x85") == JSON
    assert metadata.read_mime_type(metadata.write_mime_type("x/y")) == "x/y"
    assert metadata.read_mime_type(b"\xe0") is None
    for broken in (b"", b"\x85\x85", b"\x05x/y"):
        with pytest.raises(MetadataError):
            metadata.read_mime_type(broken)


def test_item_93_accepted_types_are_a_list_best_first() -> None:
    raw = metadata.write_accept_mime_types([JSON, "x/y", "application/cbor"])
    assert raw == b"\x85\x02x/y\x81"
    assert metadata.read_accept_mime_types(raw) == (JSON, "x/y", "application/cbor")
    assert metadata.read_accept_mime_types(b"\xe0" + raw) == (JSON, "x/y", "application/cbor")
    with pytest.raises(MetadataError):
        metadata.read_accept_mime_types(b"\x05x/y")


def test_item_93_request_says_both_and_absent_means_the_type_of_setup() -> None:
    said = metadata.write_composite([
        (ROUTING, b"\1r"), (MIME_TYPE, b"\x85"), (ACCEPT_MIME_TYPES, metadata.write_accept_mime_types(["x/y", JSON])),
    ])  # fmt: skip
    read = metadata.read_request(said, COMPOSITE)
    assert (read.data_mime, read.accept_mimes) == (JSON, ("x/y", JSON))
    plain = metadata.read_request(metadata.write_composite([(ROUTING, b"\1r")]), COMPOSITE)
    assert (plain.data_mime, plain.accept_mimes) == (None, ())


def test_item_94_trace_is_an_entry_like_any_other() -> None:
    said = metadata.write_composite([(TRACING_ZIPKIN, b"\x10"), (ROUTING, b"\1r")])
    read = metadata.read_request(said, COMPOSITE)
    assert read.route == "r"
    assert dict(read.entries)[TRACING_ZIPKIN] == b"\x10"


def test_item_95_well_known_ids() -> None:
    known = metadata.WELL_KNOWN
    assert list(known) == [*range(0x2B), *range(0x7A, 0x80)]
    some = {
        0x00: "application/avro", 0x05: JSON, 0x06: "application/octet-stream",
        0x08: "application/vnd.apache.thrift.binary",
        0x09: "application/vnd.google.protobuf", 0x0C: "audio/aac", 0x13: "audio/vorbis", 0x14: "image/bmp",
        0x16: "image/heic-sequence", 0x18: "image/heif-sequence", 0x1D: "multipart/mixed", 0x20: "text/html",
        0x21: "text/plain", 0x23: "video/H264", 0x25: "video/VP8", 0x26: "application/x-hessian",
        0x28: "application/cloudevents+json", 0x29: "application/x-capnp", 0x2A: "application/x-flatbuffers",
        0x7A: MIME_TYPE, 0x7B: ACCEPT_MIME_TYPES, 0x7C: AUTHENTICATION, 0x7D: TRACING_ZIPKIN, 0x7E: ROUTING,
        0x7F: COMPOSITE,
    }  # fmt: skip
    assert {number: known[number] for number in some} == some
    assert len(set(known.values())) == len(known)
