"""What the client's tests share: a small service, and a client of it that reconnects without long pauses."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

import tidings_client
from client.fake_service import FAST_BACKOFF, FakeService, run_fake_service
from tidings_client import Client


@pytest_asyncio.fixture
async def service() -> AsyncIterator[FakeService]:
    """A small service on free ports."""
    async with run_fake_service() as running:
        yield running


@pytest.fixture(params=["tcp", "ws"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Both wires."""
    transport: str = request.param
    return transport


@pytest.fixture
def client(service: FakeService, scheme: str) -> Callable[..., Client]:
    """A client of the service, over each wire; takes the options of `connect`."""

    def make(**options: object) -> Client:
        return tidings_client.connect(service.url(scheme), **{"backoff": FAST_BACKOFF, **options})  # type: ignore[arg-type]

    return make
