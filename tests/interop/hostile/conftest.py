"""A room, the way that a hostile client comes, and a bystander in every test."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from interop.hostile import raw_frames
from interop.hostile.raw_frames import PAYLOAD, setup
from interop.hostile.requests import ROOM, create, send, watch
from service_runner import RunningService
from tidings.contract import v1


@pytest.fixture(params=["tcp", "ws"])
def url(request: pytest.FixtureRequest, service: RunningService) -> str:
    """Where the hostile client connects."""
    return {"tcp": service.tcp_url, "ws": service.ws_url}[request.param]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def square(service: RunningService) -> None:
    """The room of these tests."""
    async with raw_frames.open_connection(service.tcp_url) as connection:
        await connection.send(setup(user="owner"), create(1, ROOM))
        assert (await raw_frames.receive_on_stream(connection, 1)).type == PAYLOAD


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def bystander(service: RunningService, square: None) -> AsyncIterator[None]:
    """Another client that watches the room; what it and a newcomer say afterwards still arrives."""
    async with raw_frames.open_connection(service.tcp_url) as connection:
        await connection.send(setup(user="bystander"), watch(1, n=1_000))
        live = v1.WatchItem.FromString((await raw_frames.receive_on_stream(connection, 1)).data)
        assert live.HasField("live")
        yield
        await connection.send(send(3, client_id=f"after-{live.cursor.seq}"))
        async with raw_frames.open_connection(service.ws_url) as newcomer:
            await newcomer.send(setup(user="newcomer"), send(1, client_id=f"after-{live.cursor.seq}"))
            assert (await raw_frames.receive_on_stream(newcomer, 1)).type == PAYLOAD
        heard: set[str] = set()
        while heard < {"bystander", "newcomer"}:
            heard.add(v1.WatchItem.FromString((await raw_frames.receive_on_stream(connection, 1)).data).event.actor)
