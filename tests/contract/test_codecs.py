"""Protobuf and JSON say the same, and refuse what is neither."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.contract import v1
from tidings.contract.codecs import CODECS, JSON, PROTOBUF, Codec, PreparedMessage, codec_for
from tidings.contract.errors import ApiError, Code

MESSAGE = v1.SendRequest(room="general", client_id="c1", text="hello 世界 🙂", reply_to=2**53 + 1)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_a_message_survives_the_way_there_and_back(codec: Codec) -> None:
    assert codec.decode(v1.SendRequest, codec.encode(MESSAGE)) == MESSAGE


def test_json_is_the_canonical_mapping() -> None:
    text = JSON.encode(MESSAGE)
    assert json.loads(text) == {
        "room": "general",
        "clientId": "c1",
        "text": "hello 世界 🙂",
        "replyTo": str(2**53 + 1),
    }
    assert "世界".encode() in text


def test_json_is_understood_with_the_names_of_the_protos_too() -> None:
    assert JSON.decode(v1.SendRequest, b'{"client_id": "c1"}').client_id == "c1"


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_no_bytes_are_the_empty_message(codec: Codec) -> None:
    assert codec.decode(v1.PingRequest, b"") == v1.PingRequest()


def test_fields_of_a_newer_client_are_skipped() -> None:
    newer = v1.SendReply(at_ms=5).SerializeToString() + bytes.fromhex("fa0603") + b"new"  # field 111, three bytes
    assert PROTOBUF.decode(v1.SendReply, newer).at_ms == 5
    assert JSON.decode(v1.SendReply, b'{"atMs": "5", "colour": "red"}').at_ms == 5


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        (PROTOBUF, b"\x0a\xff"),  # a length that runs past the end
        (PROTOBUF, b"\x0a\x02\xff\xfe"),  # room is not UTF-8
        (JSON, b"{"),
        (JSON, b"[]"),
        (JSON, b'{"room": 3}'),
        (JSON, b'{"room": "\\ud800"}'),
        (JSON, b"\xff\xfe"),
        (JSON, b'{"replyTo": NaN}'),
        (JSON, b"[" * 100_000),
        (JSON, b'{"room": "a", "room": "b"}'),
        (JSON, b'{"room": {"a": 1}}'),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_message_is_an_invalid_argument_in_one_line(codec: Codec, data: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        codec.decode(v1.SendRequest, data)
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert "\n" not in refused.value.text


@given(st.binary(max_size=200))
def test_no_bytes_at_all_crash_a_decoder(data: bytes) -> None:
    for codec in CODECS:
        try:
            codec.decode(v1.ChannelCommand, data)
        except ApiError as refused:
            assert refused.code is Code.INVALID_ARGUMENT


def test_data_mime_types_choose_the_codec() -> None:
    assert codec_for("application/json; charset=utf-8") is JSON
    assert codec_for("application/x-protobuf") is PROTOBUF
    assert codec_for("application/octet-stream") is PROTOBUF
    assert codec_for("text/plain") is None


def test_a_prepared_item_is_encoded_once_per_codec() -> None:
    prepared = PreparedMessage.from_message(MESSAGE)
    assert prepared.encoded(JSON) is prepared.encoded(JSON)
    assert prepared.encoded(PROTOBUF) is prepared.protobuf
    assert prepared.parse() == MESSAGE
