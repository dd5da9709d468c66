"""A service and a process per foreign library for each file of tests; each test has its own rooms and connections."""

import contextlib
import itertools
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from browser.chromium import PAGE_ORIGIN
from interop.foreign import LEGACY, LINES, RSOCKET_JAVA, WAYS, Connect, Connection, Driver, Line, Way
from interop.people import ALICE, SECRET
from running import RunningService, running_service

if LEGACY not in LINES:
    warnings.warn("Node is not on the PATH: the tests of rsocket-js are left out", stacklevel=1)
    collect_ignore = ["test_tutorials.py"]
if RSOCKET_JAVA not in LINES:
    warnings.warn("a JDK and Maven are not on the PATH: the tests of Java clients are left out", stacklevel=1)


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    """A library and a transport; a test that asks for it runs once for each."""
    chosen: Way = request.param
    return chosen


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service for development, in this process."""
    async with running_service(tmp_path_factory.mktemp("interop")) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service that is not for development: who wants to come in brings a token, and a page the right origin."""
    settings = {"auth__secret": SECRET, "http__origins": (PAGE_ORIGIN,)}
    async with running_service(tmp_path_factory.mktemp("guarded"), dev=False, **settings) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def driver_of() -> AsyncIterator[Callable[[Line], Awaitable[Driver]]]:
    """The process of a library, started by the first who asks."""
    drivers: dict[Line, Driver] = {}

    async def started(line: Line) -> Driver:
        if line not in drivers:
            driver = Driver(line)
            await driver.start()
            drivers[line] = driver
        return drivers[line]

    yield started
    for driver in drivers.values():
        await driver.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def connect_to(way: Way, driver_of: Callable[[Line], Awaitable[Driver]]) -> AsyncIterator[Connect]:
    """Connects with this test's library to a URL; closes the connections afterwards."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(url: str, **options: Any) -> Connection:
            connection = await (await driver_of(way.line)).connect(url, **options)
            stack.push_async_callback(connection.close)
            return connection

        yield connect


@pytest.fixture
def connect(way: Way, service: RunningService, connect_to: Connect) -> Connect:
    """Connects with this test's library over this test's transport to the service, as alice unless told otherwise."""
    url = {"ws": service.ws_url, "tcp": service.tcp_url}[way.scheme]

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
