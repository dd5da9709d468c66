"""The life of a connection: keepalives, and its end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from interop.credentials import ALICE
from interop.foreign_clients import Combination, Connect, ForeignError
from service_runner import ServiceProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

INTERVAL_MS = 200
# A client that hears no KEEPALIVE for so long gives its server up for dead.
LIFETIME_MS = 1_500


async def test_keepalives_keep_a_silent_connection_alive(connect: Connect) -> None:
    alice = await connect(keepalive_ms=INTERVAL_MS, lifetime_ms=LIFETIME_MS)
    await alice.keepalive("echo", LIFETIME_MS // INTERVAL_MS + 2)
    await alice.call("session.ping")
    assert not alice.is_closed


async def test_the_services_own_keepalives_are_answered(connect: Connect) -> None:
    alice = await connect(keepalive_ms=INTERVAL_MS, lifetime_ms=LIFETIME_MS)
    await alice.keepalive("ask", 3)
    await alice.call("session.ping")
    assert not alice.is_closed


async def test_a_client_that_waits_for_leases_is_given_them(connect: Connect) -> None:
    alice = await connect(leases=True)
    for _ in range(100):
        await alice.call("session.ping")


@pytest_asyncio.fixture(loop_scope="module")
async def process(tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """A service that can be killed."""
    async with ServiceProcess(tmp_path) as process:
        yield process


async def test_a_killed_service_is_seen_as_a_close_and_found_again_with_all_it_confirmed(
    process: ServiceProcess, combination: Combination, connect_to: Connect
) -> None:
    url = {"ws": process.ws_url, "tcp": process.tcp_url}[combination.scheme]
    alice = await connect_to(url, auth=ALICE)
    await alice.call("rooms.create", {"room": "hall", "kind": "OPEN"})
    await alice.call("chat.send", {"room": "hall", "clientId": "a", "text": "before the end"})
    watch = await alice.watch("chat.watch", {"room": "hall"}, n=10)
    assert "live" in await watch.next()
    await process.kill()
    await alice.wait_closed()
    assert await watch.wait_end() is not None
    await process.start()
    alice = await connect_to(url, auth=ALICE)
    page = await alice.call("history.page", {"room": "hall", "limit": 1})
    assert page["events"][0]["posted"]["text"] == "before the end"


async def test_a_service_that_stops_says_so(
    process: ServiceProcess, combination: Combination, connect_to: Connect
) -> None:
    alice = await connect_to({"ws": process.ws_url, "tcp": process.tcp_url}[combination.scheme], auth=ALICE)
    await alice.call("session.ping")
    assert await process.stop() == 0
    closed = await alice.wait_closed()
    assert isinstance(closed, ForeignError)
    assert closed.code == 0x102
    assert closed.text
