"""HTTP is loaded when the ports are open: who comes before it is there is answered all the same."""

import asyncio
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from kits.transport.harness import SETTINGS, TEST_TIMEOUT_SECONDS, FakeClock, TransportHarness, running_harness
from server.test_listener import self_signed
from tidings.log import log
from tidings.server.http_port import HttpPortProtocol
from tidings.server.settings import TlsSettings
from tidings.transports.http import deferred, server

HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
PIPELINED = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n" + HEALTH

pytestmark = pytest.mark.asyncio


class ImportGate:
    """Holds the loading up until it is opened."""

    def __init__(self) -> None:
        self._unblocked = threading.Event()
        self.import_started = threading.Event()
        self.fails = False

    def unblock(self) -> None:
        self._unblocked.set()

    def import_server(self) -> ModuleType:
        self.import_started.set()
        assert self._unblocked.wait(TEST_TIMEOUT_SECONDS)
        if self.fails:
            raise ImportError("there is no aiohttp")
        return server


@pytest.fixture
def import_gate(monkeypatch: pytest.MonkeyPatch) -> ImportGate:
    import_gate = ImportGate()
    monkeypatch.setattr(deferred, "import_server", import_gate.import_server)
    return import_gate


async def send_request(
    harness: TransportHarness, request: bytes = HEALTH, trust: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has asked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.listener.http_port, ssl=trust)
    writer.write(request)
    return reader, writer


async def until_all_read(harness: TransportHarness) -> None:
    """Wait until what was sent before has been read: what an RSocket peer sends now is, and it has come later."""
    async with harness.peer("websocket") as peer:
        assert (await peer.request(1, "test.echo")).stream_id == 1


async def statuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[str]:
    """Of all answers, until the connection is closed."""
    answers = await asyncio.wait_for(reader.read(), TEST_TIMEOUT_SECONDS)
    writer.close()
    return [line.split()[1] for line in answers.decode().splitlines() if line.startswith("HTTP/1.1 ")]


async def test_requests_that_come_before_it_is_there_are_all_answered(import_gate: ImportGate) -> None:
    async with running_harness() as harness:
        early = [await send_request(harness, request) for request in (HEALTH, PIPELINED, HEALTH)]
        reader, writer = await send_request(harness, HEALTH[:20])
        await until_all_read(harness)
        import_gate.unblock()
        writer.write(HEALTH[20:])
        assert [await statuses(*one) for one in early] == [["200"], ["404", "200"], ["200"]]
        assert await statuses(reader, writer) == ["200"]
        assert await statuses(*await send_request(harness)) == ["200"]


async def test_over_tls_they_are_too(import_gate: ImportGate, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=certificate)
    async with running_harness(replace(SETTINGS, tls=TlsSettings(certificate, key))) as harness:
        early = [await send_request(harness, request, trust) for request in (HEALTH, PIPELINED)]
        gone = await send_request(harness, HEALTH, trust)
        gone[1].transport.abort()
        # A whole handshake later all of them have been read.
        (await send_request(harness, b"", trust))[1].close()
        import_gate.unblock()
        assert [await statuses(*one) for one in early] == [["200"], ["404", "200"]]
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)


@pytest.mark.parametrize("transport", ["websocket", "tcp"])
async def test_rsocket_does_not_wait_for_it(import_gate: ImportGate, transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        early = await send_request(harness)
        await asyncio.to_thread(import_gate.import_started.wait, TEST_TIMEOUT_SECONDS)
        assert (await peer.request(1, "test.echo")).stream_id == 1
        import_gate.unblock()
        assert await statuses(*early) == ["200"]
        assert (await peer.request(3, "test.echo")).stream_id == 3


async def test_who_did_not_wait_for_it_is_forgotten(import_gate: ImportGate) -> None:
    async with running_harness() as harness:
        left, hung_up = await send_request(harness), await send_request(harness, PIPELINED)
        await until_all_read(harness)
        left[1].transport.abort()
        hung_up[1].close()
        import_gate.unblock()
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)
        assert await statuses(*await send_request(harness)) == ["200"]


async def test_who_waits_for_it_while_the_service_stops_is_told(import_gate: ImportGate) -> None:
    async with running_harness() as harness:
        early = await send_request(harness)
        await until_all_read(harness)
        await harness.listener.close()
        assert await statuses(*early) == ["503"]
        import_gate.unblock()


async def test_without_it_http_is_503_the_log_says_why_and_rsocket_is_served(
    import_gate: ImportGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(type(log), "exception", lambda self, event, **values: said.append(event))
    import_gate.fails = True
    async with running_harness() as harness, harness.peer("tcp") as peer:
        early = await send_request(harness)
        await until_all_read(harness)
        import_gate.unblock()
        assert await statuses(*early) == ["503"]
        assert await statuses(*await send_request(harness)) == ["503"]
        assert said == ["HTTP cannot be served; RSocket can"]
        assert (await peer.request(1, "test.echo")).stream_id == 1


async def test_who_waits_for_it_too_long_is_told_and_who_has_left_is_forgotten(import_gate: ImportGate) -> None:
    clock = FakeClock()
    async with running_harness(clock=clock) as harness:
        early, left = await send_request(harness), await send_request(harness)
        await until_all_read(harness)
        left[1].transport.abort()
        clock.seconds += SETTINGS.connections.http_head_seconds + 0.1
        assert await statuses(*early) == ["503"]
        clock.seconds += SETTINGS.connections.close_seconds + 0.1
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)
        import_gate.unblock()


async def test_a_connection_that_is_lost_as_it_comes_is_not_handed_on(
    import_gate: ImportGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    doorways: list[HttpPortProtocol] = []
    made = HttpPortProtocol.connection_made

    def noted(self: HttpPortProtocol, transport: asyncio.BaseTransport) -> None:
        doorways.append(self)
        made(self, transport)

    monkeypatch.setattr(HttpPortProtocol, "connection_made", noted)
    handed_on: list[asyncio.Protocol] = []

    def protocol() -> asyncio.Protocol:
        handed_on.append(asyncio.Protocol())
        return handed_on[-1]

    async with running_harness() as harness:
        _, writer = await send_request(harness)
        await until_all_read(harness)
        http = harness.listener._http_server
        assert http is not None
        assert http._load_task is not None
        http._load_task.cancel()
        doorways[0]._transport.abort()
        http.protocol_factory.set_result(protocol)
        import_gate.unblock()
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)
        writer.close()
        assert handed_on == []
