"""HTTP is loaded when the ports are open: who comes before it is there is answered all the same."""

import asyncio
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from tidings.log import log
from tidings.transports import http_server, late_http
from tidings.transports.doorway import Doorway
from tidings.transports.settings import TlsSettings
from transports.stage import GUARD_SECONDS, SETTINGS, Clock, Stage, staged
from transports.test_listener import self_signed

HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
PIPELINED = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n" + HEALTH

pytestmark = pytest.mark.asyncio


class Gate:
    """Holds the loading up until it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self.begun = threading.Event()
        self.fails = False

    def open(self) -> None:
        self._opened.set()

    def loaded(self) -> ModuleType:
        self.begun.set()
        assert self._opened.wait(GUARD_SECONDS)
        if self.fails:
            raise ImportError("there is no aiohttp")
        return http_server


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(late_http, "loaded", gate.loaded)
    return gate


async def asked(
    stage: Stage, request: bytes = HEALTH, trust: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has asked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.listener.http_port, ssl=trust)
    writer.write(request)
    return reader, writer


async def all_read(stage: Stage) -> None:
    """Wait until what was sent before has been read: what an RSocket peer sends now is, and it has come later."""
    async with stage.peer("websocket") as peer:
        assert (await peer.ask(1, "test.echo")).stream_id == 1


async def statuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[str]:
    """Of all answers, until the connection is closed."""
    answers = await asyncio.wait_for(reader.read(), GUARD_SECONDS)
    writer.close()
    return [line.split()[1] for line in answers.decode().splitlines() if line.startswith("HTTP/1.1 ")]


async def test_requests_that_come_before_it_is_there_are_all_answered(gate: Gate) -> None:
    async with staged() as stage:
        early = [await asked(stage, request) for request in (HEALTH, PIPELINED, HEALTH)]
        reader, writer = await asked(stage, HEALTH[:20])
        await all_read(stage)
        gate.open()
        writer.write(HEALTH[20:])
        assert [await statuses(*one) for one in early] == [["200"], ["404", "200"], ["200"]]
        assert await statuses(reader, writer) == ["200"]
        assert await statuses(*await asked(stage)) == ["200"]


async def test_over_tls_they_are_too(gate: Gate, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=certificate)
    async with staged(replace(SETTINGS, tls=TlsSettings(certificate, key))) as stage:
        early = [await asked(stage, request, trust) for request in (HEALTH, PIPELINED)]
        gone = await asked(stage, HEALTH, trust)
        gone[1].transport.abort()
        # A whole handshake later all of them have been read.
        (await asked(stage, b"", trust))[1].close()
        gate.open()
        assert [await statuses(*one) for one in early] == [["200"], ["404", "200"]]
        await stage.until(lambda: stage.listener.doorkeeper.present == 0)


@pytest.mark.parametrize("transport", ["websocket", "tcp"])
async def test_rsocket_does_not_wait_for_it(gate: Gate, transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        early = await asked(stage)
        await asyncio.to_thread(gate.begun.wait, GUARD_SECONDS)
        assert (await peer.ask(1, "test.echo")).stream_id == 1
        gate.open()
        assert await statuses(*early) == ["200"]
        assert (await peer.ask(3, "test.echo")).stream_id == 3


async def test_who_did_not_wait_for_it_is_forgotten(gate: Gate) -> None:
    async with staged() as stage:
        left, hung_up = await asked(stage), await asked(stage, PIPELINED)
        await all_read(stage)
        left[1].transport.abort()
        hung_up[1].close()
        gate.open()
        await stage.until(lambda: stage.listener.doorkeeper.present == 0)
        assert await statuses(*await asked(stage)) == ["200"]


async def test_who_waits_for_it_while_the_service_stops_is_told(gate: Gate) -> None:
    async with staged() as stage:
        early = await asked(stage)
        await all_read(stage)
        await stage.listener.close()
        assert await statuses(*early) == ["503"]
        gate.open()


async def test_without_it_http_is_503_the_log_says_why_and_rsocket_is_served(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(type(log), "exception", lambda self, event, **values: said.append(event))
    gate.fails = True
    async with staged() as stage, stage.peer("tcp") as peer:
        early = await asked(stage)
        await all_read(stage)
        gate.open()
        assert await statuses(*early) == ["503"]
        assert await statuses(*await asked(stage)) == ["503"]
        assert said == ["HTTP cannot be served; RSocket can"]
        assert (await peer.ask(1, "test.echo")).stream_id == 1


async def test_who_waits_for_it_too_long_is_told_and_who_has_left_is_forgotten(gate: Gate) -> None:
    clock = Clock()
    async with staged(clock=clock) as stage:
        early, left = await asked(stage), await asked(stage)
        await all_read(stage)
        left[1].transport.abort()
        clock.seconds += SETTINGS.connections.head_seconds + 0.1
        assert await statuses(*early) == ["503"]
        clock.seconds += SETTINGS.connections.close_seconds + 0.1
        await stage.until(lambda: stage.listener.doorkeeper.present == 0)
        gate.open()


async def test_a_connection_that_is_lost_as_it_comes_is_not_handed_on(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    doorways: list[Doorway] = []
    made = Doorway.connection_made

    def noted(self: Doorway, transport: asyncio.BaseTransport) -> None:
        doorways.append(self)
        made(self, transport)

    monkeypatch.setattr(Doorway, "connection_made", noted)
    handed_on: list[asyncio.Protocol] = []

    def protocol() -> asyncio.Protocol:
        handed_on.append(asyncio.Protocol())
        return handed_on[-1]

    async with staged() as stage:
        _, writer = await asked(stage)
        await all_read(stage)
        http = stage.listener._http
        assert http is not None
        assert http._loading is not None
        http._loading.cancel()
        doorways[0]._transport.abort()
        http.protocols.set_result(protocol)
        gate.open()
        await stage.until(lambda: stage.listener.doorkeeper.present == 0)
        writer.close()
        assert handed_on == []
