"""What costs a client little and would cost the service much: time of the loop, memory, places of others."""

import pytest

from interop.hostile import raw_frames
from interop.hostile.raw_frames import ERROR, PAYLOAD, REQUEST_RESPONSE, request, request_with, setup
from service_runner import RunningService
from tidings.server.settings import ConnectionLimits

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID_ARGUMENT = 0x301
LIMITS = ConnectionLimits()
ROUTING = raw_frames.metadata_entry(raw_frames.ROUTING_ID, raw_frames.routing_tag(b"session.ping"))
FOREIGN_ID = 0x7F
EMPTY_ENTRY = raw_frames.metadata_entry(FOREIGN_ID, b"")  # four bytes that say nothing


def json_of(size: int) -> bytes:
    """An object of this many bytes, with an unknown field."""
    return b'{"unknown":"' + b"1" * (size - 14) + b'"}'


def metadata_of(size: int) -> bytes:
    """Metadata of so many bytes that name a route and then go on with an entry of a foreign type."""
    return ROUTING + raw_frames.metadata_entry(FOREIGN_ID, bytes(size - len(ROUTING) - len(EMPTY_ENTRY)))


@pytest.mark.parametrize("scheme", ["ws", "tcp"])
async def test_a_request_is_read_up_to_a_limit_and_not_beyond_it(service: RunningService, scheme: str) -> None:
    url = {"tcp": service.tcp_url, "ws": service.ws_url}[scheme]
    async with raw_frames.open_connection(url) as connection:
        await connection.send(setup(data_mime=b"application/json"))
        for stream, size, kind in ((1, LIMITS.request_bytes_max, PAYLOAD), (3, LIMITS.request_bytes_max + 1, ERROR)):
            await connection.send(request(stream, REQUEST_RESPONSE, "session.ping", json_of(size)))
            answer = await raw_frames.receive_on_stream(connection, stream)
            assert answer.type == kind
        assert answer.code == INVALID_ARGUMENT
        assert "request_bytes_max" in answer.text


async def test_metadata_are_read_up_to_a_limit_and_not_beyond_it(service: RunningService) -> None:
    async with raw_frames.open_connection(service.tcp_url) as connection:
        await connection.send(setup())
        await connection.send(request_with(1, REQUEST_RESPONSE, metadata_of(LIMITS.metadata_bytes_max)))
        assert (await raw_frames.receive_on_stream(connection, 1)).type == PAYLOAD
        await connection.send(request_with(3, REQUEST_RESPONSE, metadata_of(LIMITS.metadata_bytes_max + 1)))
        answer = await raw_frames.receive_on_stream(connection, 3)
        assert (answer.type, answer.code) == (ERROR, INVALID_ARGUMENT)
        assert "metadata_bytes_max" in answer.text


async def test_entries_of_metadata_are_read_up_to_a_limit_and_not_beyond_it(service: RunningService) -> None:
    async with raw_frames.open_connection(service.tcp_url) as connection:
        await connection.send(setup())
        most = LIMITS.metadata_entries_max - 1
        await connection.send(request_with(1, REQUEST_RESPONSE, ROUTING + EMPTY_ENTRY * most))
        assert (await raw_frames.receive_on_stream(connection, 1)).type == PAYLOAD
        await connection.send(request_with(3, REQUEST_RESPONSE, ROUTING + EMPTY_ENTRY * (most + 1)))
        answer = await raw_frames.receive_on_stream(connection, 3)
        assert (answer.type, answer.code) == (ERROR, INVALID_ARGUMENT)
        assert str(LIMITS.metadata_entries_max) in answer.text
