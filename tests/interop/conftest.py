"""A service and a process per foreign library for each file of tests; each test has its own rooms and connections."""

import contextlib
import itertools
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from browser.chromium import PAGE_ORIGIN
from interop.credentials import ALICE, SECRET
from interop.foreign_clients import (
    COMBINATIONS,
    LEGACY,
    LIBRARIES,
    RSOCKET_JAVA,
    Combination,
    Connect,
    Connection,
    Driver,
    Library,
)
from service_runner import RunningService, running_service

if LEGACY not in LIBRARIES:
    warnings.warn("Node is not on the PATH: the tests of rsocket-js are left out", stacklevel=1)
    collect_ignore = ["test_tutorials.py"]
if RSOCKET_JAVA not in LIBRARIES:
    warnings.warn("a JDK and Maven are not on the PATH: the tests of Java clients are left out", stacklevel=1)


@pytest.fixture(params=COMBINATIONS, ids=str)
def combination(request: pytest.FixtureRequest) -> Combination:
    """A library and a transport; a test that asks for it runs once for each."""
    chosen: Combination = request.param
    return chosen


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service for development, in this process."""
    async with running_service(tmp_path_factory.mktemp("interop")) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def production_service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service that is not for development: who wants to come in brings a token, and a page the right origin."""
    settings = {"auth__secret": SECRET, "http__origins": (PAGE_ORIGIN,)}
    async with running_service(tmp_path_factory.mktemp("guarded"), dev=False, **settings) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def driver_for() -> AsyncIterator[Callable[[Library], Awaitable[Driver]]]:
    """The process of a library, started by the first who asks."""
    drivers: dict[Library, Driver] = {}

    async def get_driver(line: Library) -> Driver:
        if line not in drivers:
            driver = Driver(line)
            await driver.start()
            drivers[line] = driver
        return drivers[line]

    yield get_driver
    for driver in drivers.values():
        await driver.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def connect_to(
    combination: Combination, driver_for: Callable[[Library], Awaitable[Driver]]
) -> AsyncIterator[Connect]:
    """Connects with this test's library to a URL; closes the connections afterwards."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(url: str, **options: Any) -> Connection:
            connection = await (await driver_for(combination.library)).connect(url, **options)
            stack.push_async_callback(connection.close)
            return connection

        yield connect


@pytest.fixture
def connect(combination: Combination, service: RunningService, connect_to: Connect) -> Connect:
    """Connects with this test's library over this test's transport to the service, as alice unless told otherwise."""
    url = {"ws": service.ws_url, "tcp": service.tcp_url}[combination.scheme]

    async def connected(**options: Any) -> Connection:
        return await connect_to(url, **{"auth": ALICE, **options})

    return connected


ROOM_NUMBERS = itertools.count(1)


@pytest_asyncio.fixture(loop_scope="module")
async def room(connect: Connect) -> str:
    """A room of this test's own that everybody may read and write."""
    name = f"room-{next(ROOM_NUMBERS)}"
    await (await connect()).call("rooms.create", {"room": name, "kind": "OPEN"})
    return name
