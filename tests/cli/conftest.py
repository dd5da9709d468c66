"""One service for each file of tests; rooms are a test's own."""

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cli.command import CommandRunner
from service_runner import RunningService, running_service

ROOM_NUMBERS = itertools.count(1)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service for development, in this process."""
    async with running_service(tmp_path_factory.mktemp("cli")) as service:
        yield service


@pytest.fixture
def run(service: RunningService) -> CommandRunner:
    """Runs commands against the service."""
    return CommandRunner(service)


@pytest_asyncio.fixture(loop_scope="module")
async def room(run: CommandRunner) -> str:
    """An open room of this test's own."""
    name = f"room-{next(ROOM_NUMBERS)}"
    await run.succeed("create", name, "--open", user="owner")
    return name
