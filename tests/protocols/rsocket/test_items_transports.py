"""Items 87 and 89, as far as the engine goes: empty messages, and the lengths on TCP.

86 and 88 (binary messages, subprotocol, message size) are the transports' own and tested there.
"""

import pytest

from rsocket_harness import assert_ended, fresh_server, keepalive, open_client, open_server, request_response
from tidings.protocols.rsocket import (
    Connection,
    ErrorCode,
    LengthFieldDecoder,
    RemoteProtocolError,
    Setup,
    tcp_length_prefix,
)


def test_item_87_empty_message_is_a_protocol_error() -> None:
    server = open_server()
    assert_ended(server, server.receive(b"", 0.0), ErrorCode.CONNECTION_ERROR)
    first = fresh_server()
    assert_ended(first, first.receive(b"", 0.0), ErrorCode.INVALID_SETUP)
    client = open_client()
    assert_ended(client, client.receive(b"", 0.0), ErrorCode.CONNECTION_ERROR)


@pytest.mark.parametrize("length", range(6))
def test_item_89_length_below_a_header_is_refused(length: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"length {length} "):
        LengthFieldDecoder().feed(length.to_bytes(3, "big"))


def test_item_89_length_above_the_cap_is_refused_before_its_bytes_have_come() -> None:
    with pytest.raises(RemoteProtocolError, match="length 1001 "):
        LengthFieldDecoder(1000).feed((1001).to_bytes(3, "big"))
    assert LengthFieldDecoder(1000).feed((1000).to_bytes(3, "big")) == []


def test_item_89_frames_come_out_whole_from_single_bytes() -> None:
    frames = [request_response(1, bytes(300)), keepalive(), request_response(3)]
    stream = b"".join(tcp_length_prefix(len(each)) + each for each in frames)
    splitter = LengthFieldDecoder()
    assert [found for byte in stream for found in splitter.feed(bytes([byte]))] == frames
    assert splitter.held_bytes == 0


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 64, 1000])
def test_item_89_frames_come_out_whole_from_pieces_of_any_size(size: int) -> None:
    frames = [request_response(1 + 2 * number, bytes(number)) for number in range(50)]
    stream = b"".join(tcp_length_prefix(len(each)) + each for each in frames)
    splitter = LengthFieldDecoder()
    found = [each for at in range(0, len(stream), size) for each in splitter.feed(stream[at : at + size])]
    assert found == frames


def test_item_89_two_engines_over_a_wire_of_single_bytes() -> None:
    client = Connection(
        server=False, now=0.0, setup=Setup(1000, 3000, "a/b", "c/d"), transport_header=tcp_length_prefix
    )
    server = Connection(server=True, now=0.0, transport_header=tcp_length_prefix)
    to_server, to_client = LengthFieldDecoder(), LengthFieldDecoder()
    stream = client.request_response(b"?" * 1000)
    told = [
        event
        for byte in b"".join(client.outgoing())
        for each in to_server.feed(bytes([byte]))
        for event in server.receive(each, 0.0)
    ]
    told += server.accept(0.0)
    told[-1].stream.next(b"!" * 1000)  # type: ignore[union-attr]
    (answer,) = [
        event
        for byte in b"".join(server.outgoing())
        for each in to_client.feed(bytes([byte]))
        for event in client.receive(each, 0.0)
    ]
    assert (answer.stream, answer.data) == (stream, b"!" * 1000)  # type: ignore[union-attr]


def test_empty_feed_is_nothing() -> None:
    splitter = LengthFieldDecoder()
    assert splitter.feed(b"") == []
    assert splitter.feed(b"\0") == []
    assert splitter.feed(b"") == []
    assert splitter.held_bytes == 1
