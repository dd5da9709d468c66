"""Requests of the contract in raw frames, and what their answers are compared with."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest

from interop.hostile import raw_frames
from interop.hostile.raw_frames import (
    JSON_ID,
    MIME_TYPE_ID,
    PAYLOAD,
    REQUEST_RESPONSE,
    REQUEST_STREAM,
    ROUTING_ID,
    RawConnection,
    metadata_entry,
    request,
    request_with,
    routing_tag,
    setup,
)
from tidings.contract import v1

INVALID_SETUP, UNSUPPORTED_SETUP, REJECTED_SETUP, REJECTED_RESUME = 0x001, 0x002, 0x003, 0x004
CONNECTION_ERROR = 0x101
REJECTED, INVALID = 0x202, 0x204
INVALID_ARGUMENT, NOT_FOUND, CONFLICT, RESOURCE_EXHAUSTED = 0x301, 0x304, 0x305, 0x306
CURSOR_LOST, UNIMPLEMENTED = 0x307, 0x30B

# The room that the bystander watches.
ROOM = "square"
LAST_STREAM = 0x7FFF_FFFF


def ping(stream: int) -> bytes:
    """Nothing, there and back."""
    return request(stream, REQUEST_RESPONSE, "session.ping")


def send(stream: int, *, kind: int = REQUEST_RESPONSE, **fields: object) -> bytes:
    """A message."""
    wanted = {"room": ROOM, "client_id": "a", "text": "hello", **fields}
    return request(stream, kind, "chat.send", v1.SendRequest(**wanted).SerializeToString())  # type: ignore[arg-type]


def watch(stream: int, *, n: int = 1, room: str = ROOM, **cursor: object) -> bytes:
    """A watch; `cursor` are the fields of its `after`."""
    wanted = v1.WatchRequest(room=room, after=v1.Cursor(**cursor) if cursor else None)  # type: ignore[arg-type]
    return request(stream, REQUEST_STREAM, "chat.watch", wanted.SerializeToString(), n=n)


def page(stream: int, *, room: str = ROOM, limit: int = 0) -> bytes:
    """A page of history."""
    return request(stream, REQUEST_RESPONSE, "history.page", v1.PageRequest(room=room, limit=limit).SerializeToString())


def create(stream: int, room: str, kind: v1.RoomKind.ValueType = v1.OPEN) -> bytes:
    """A new room."""
    return request(stream, REQUEST_RESPONSE, "rooms.create", v1.CreateRequest(room=room, kind=kind).SerializeToString())


def send_json(stream: int, data: bytes) -> bytes:
    """A message whose payload is said to be JSON."""
    route, mime = (
        metadata_entry(ROUTING_ID, routing_tag(b"chat.send")),
        metadata_entry(MIME_TYPE_ID, bytes([0x80 | JSON_ID])),
    )
    return request_with(stream, REQUEST_RESPONSE, route + mime, data)


async def authenticate(connection: RawConnection) -> None:
    """SETUP, and wait until it was accepted: what comes in bulk behind it would be refused."""
    await connection.send(setup())
    await assert_alive(connection)


async def assert_alive(connection: RawConnection) -> None:
    """This connection still answers."""
    await connection.send(ping(LAST_STREAM))
    assert (await raw_frames.receive_on_stream(connection, LAST_STREAM)).type == PAYLOAD


class RejectedCase(NamedTuple):
    """What is sent, and the code of the ERROR that answers it."""

    frames: list[bytes]
    code: int


def parametrize_cases(table: Mapping[str, object]) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Runs a test for each line of a table, by the line's name."""
    return pytest.mark.parametrize("case", table.values(), ids=table.keys())
