"""Requests that are answered at once: no stream, no fact, the same bytes on the wire."""

import pytest

from rsocket_harness import begin, open_server, request_response, request_stream, sent, sent_one
from tidings.protocols.rsocket import Connection, ErrorCode, FrameType, InlineError, Limits, events
from tidings.protocols.rsocket.frames import COMPLETE, FOLLOWS, NEXT


def echo(metadata: bytes | None, data: bytes) -> bytes | None:
    """Answers all but what is asked in vain; ends nothing."""
    if data == b"wait":
        return None
    if data == b"no":
        raise InlineError(ErrorCode.REJECTED, "not this one")
    return (metadata or b"") + data


def server_with_inline_handler(limits: Limits = Limits()) -> Connection:
    server = open_server(limits)
    server.inline_handler = echo
    return server


def test_answer_leaves_as_one_frame_and_no_stream_is_begun() -> None:
    server = server_with_inline_handler()
    assert not server.receive(request_response(1, b"data", b"metadata "), 0.0)
    assert not server.streams
    answer = sent_one(server)
    assert (answer.type, answer.stream_id, answer.flags) == (FrameType.PAYLOAD, 1, NEXT | COMPLETE)
    assert answer.data == b"metadata data"


def test_answer_is_the_same_as_that_of_a_stream() -> None:
    prompt, other = server_with_inline_handler(), open_server()
    prompt.receive(request_response(1, b"data"), 0.0)
    begin(other, request_response(1, b"data")).next(b"data")
    assert prompt.outgoing() == other.outgoing()


def test_large_answer_is_cut_into_fragments() -> None:
    server = server_with_inline_handler(Limits(fragment_bytes=64))
    server.receive(request_response(1, bytes(100)), 0.0)
    frames = sent(server)
    assert [bool(frame.flags & FOLLOWS) for frame in frames] == [True, False]
    assert b"".join(frame.data for frame in frames) == bytes(100)


def test_declined_request_gets_an_error() -> None:
    server = server_with_inline_handler()
    assert not server.receive(request_response(1, b"no"), 0.0)
    error = sent_one(server)
    assert (error.type, error.stream_id) == (FrameType.ERROR, 1)
    assert (error.fields["code"], error.data) == (ErrorCode.REJECTED, b"not this one")


@pytest.mark.parametrize("request_frame", [request_response(1, b"wait"), request_stream(1, 5, b"data")])
def test_what_is_not_answered_at_once_begins_a_stream(request_frame: bytes) -> None:
    server = server_with_inline_handler()
    (event,) = server.receive(request_frame, 0.0)
    assert isinstance(event, events.RequestReceived)
    assert list(server.streams) == [1]


def test_request_in_fragments_begins_a_stream() -> None:
    server = server_with_inline_handler()
    assert not server.receive(request_response(1, b"da", flags=FOLLOWS), 0.0)
    assert not sent(server)


def test_used_stream_id_is_not_answered() -> None:
    server = server_with_inline_handler()
    begin(server, request_response(1, b"wait"))
    assert not server.receive(request_response(1, b"data"), 0.0)
    assert not sent(server)


def test_answer_that_ends_the_connection_leaves_before_its_last_words() -> None:
    server = open_server()

    def leave(metadata: bytes | None, data: bytes) -> bytes:
        server.close(ErrorCode.CONNECTION_ERROR, "enough")
        return b"bye"

    server.inline_handler = leave
    assert not server.receive(request_response(1), 0.0)
    assert server.closing
    assert [(frame.type, frame.stream_id) for frame in sent(server)] == [(FrameType.PAYLOAD, 1), (FrameType.ERROR, 0)]
