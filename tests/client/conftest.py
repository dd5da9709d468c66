"""What the client's tests share: a small service, and a client of it that reconnects without long pauses."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

import tidings_client
from client.service import QUICK, Service, serving
from tidings_client import Client


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Service]:
    """A small service on free ports."""
    async with serving() as running:
        yield running


@pytest.fixture(params=["tcp", "ws"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Both wires."""
    wire: str = request.param
    return wire


@pytest.fixture
def client(service: Service, scheme: str) -> Callable[..., Client]:
    """A client of the service, over each wire; takes the options of `connect`."""

    def make(**options: object) -> Client:
        return tidings_client.connect(service.url(scheme), **{"jitter": QUICK, **options})  # type: ignore[arg-type]

    return make
