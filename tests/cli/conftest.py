"""One service for each file of tests; rooms are a test's own."""

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cli.command import Caller
from running import RunningService, running_service

ROOM_NUMBERS = itertools.count(1)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service for development, in this process."""
    async with running_service(tmp_path_factory.mktemp("cli")) as service:
        yield service


@pytest.fixture
def run(service: RunningService) -> Caller:
    """Runs commands against the service."""
    return Caller(service)


@pytest_asyncio.fixture(loop_scope="module")
async def room(run: Caller) -> str:
    """An open room of this test's own."""
    name = f"room-{next(ROOM_NUMBERS)}"
    await run.well("create", name, "--open", user="owner")
    return name
