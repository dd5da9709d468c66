"""The health, the metrics; errors as JSON."""

import asyncio
import contextlib
import gc
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
import structlog.testing
from aiohttp import web

from kits.transport.harness import (
    SETTINGS,
    TEST_TIMEOUT_SECONDS,
    FakeClock,
    TransportHarness,
    running_harness,
    watch_frame,
)
from tidings.frontend import Frontend
from tidings.metrics.registry import Metrics
from tidings.server.http_port import HttpPortProtocol
from tidings.server.settings import HttpSettings
from tidings.transports.http.server import REQUESTS_QUEUED_MAX, HttpConnection, _BoundedParser
from tidings.transports.http.static_page import BODY_CHUNK_BYTES


async def get(
    harness: TransportHarness, path: str, method: str = "GET", **options: Any
) -> tuple[aiohttp.ClientResponse, str]:
    async with aiohttp.ClientSession() as http, http.request(method, f"{harness.http_url}{path}", **options) as answer:
        return answer, await answer.text()


@pytest.mark.asyncio
async def test_health_is_ok_while_it_serves() -> None:
    async with running_harness() as harness:
        answer, body = await get(harness, "/health")
        told = json.loads(body)
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert told.keys() == {"status", "version", "uptime_seconds"}
        assert told["status"] == "ok"
        assert told["uptime_seconds"] >= 0


@pytest.mark.asyncio
@pytest.mark.parametrize("status", ["starting", "draining", "failed"])
async def test_health_is_503_with_the_word_for_it_otherwise(status: str) -> None:
    harness = TransportHarness()
    harness.listener = Frontend(
        harness.listener._methods,
        harness.authenticator,
        harness.authenticator,
        SETTINGS,
        harness.metrics,
        health=lambda: status,
    )
    await harness.listener.start()
    answer, body = await get(harness, "/health")
    assert (answer.status, json.loads(body)["status"]) == (503, status)
    await harness.listener.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(("metrics", "shown"), [("loopback", True), ("none", False)])
async def test_health_is_200_and_degraded_with_the_reasons_for_those_who_may_see_the_metrics(
    metrics: str, shown: bool
) -> None:
    harness = TransportHarness()
    harness.listener = Frontend(
        harness.listener._methods,
        harness.authenticator,
        harness.authenticator,
        replace(SETTINGS, http=replace(SETTINGS.http, metrics_access=metrics)),
        harness.metrics,
        health=lambda: "degraded",
        problems=lambda: ["event 5 of room den is damaged"],
    )
    await harness.listener.start()
    answer, body = await get(harness, "/health")
    told = json.loads(body)
    assert (answer.status, told["status"]) == (200, "degraded")
    assert told.get("reasons") == (["event 5 of room den is damaged"] if shown else None)
    await harness.listener.close()


@pytest.mark.asyncio
async def test_health_says_draining_while_it_drains() -> None:
    async with running_harness() as harness:
        await harness.listener.drain(1)
        answer, body = await get(harness, "/health")
        assert (answer.status, json.loads(body)["status"]) == (503, "draining")


@pytest.mark.asyncio
async def test_metrics_are_prometheus_text_and_count_what_happened() -> None:
    async with running_harness() as harness, harness.peer("websocket") as peer:
        await peer.request(1, "test.echo")
        await peer.send(b"")
        await peer.read_until_closed()
        answer, body = await get(harness, "/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert 'tidings_requests_total{outcome="ok",route="test.echo"} 1.0' in body
        assert 'tidings_connections_opened_total{transport="websocket"} 1.0' in body
        assert re.search(r"^tidings_bytes_in_total [1-9]", body, re.MULTILINE)
        assert "tidings_outstanding_credit 0.0" in body
        for name in set(re.findall(r"^(tidings_\w+?)(?:_total|_bucket|_sum|_count)?(?:{| )", body, re.MULTILINE)):
            assert f"# HELP {name}" in body


@pytest.mark.asyncio
async def test_credit_and_streams_are_gauged() -> None:
    async with running_harness() as harness, harness.peer("tcp") as peer:
        harness.handlers.watch_last = 2
        await peer.send(watch_frame(1, 10), watch_frame(3, 0x7FFFFFFF))
        for _ in range(4):
            await peer.receive()
        _, body = await get(harness, "/metrics")
        assert "tidings_open_streams 2.0" in body
        assert "tidings_outstanding_credit 8.0" in body
        assert 'tidings_connections{transport="tcp"} 1.0' in body


HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
LOCAL_HOST = ("127.0.0.0/8",)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("who", "trusted", "headers", "status"),
    [
        ("loopback", (), {}, 200),
        ("loopback", (), {"Host": "localhost:7878"}, 200),
        ("loopback", (), {"Host": "[::1]:7878"}, 200),
        # A name that somebody else points at this machine, so that a page of theirs may read what it says.
        ("loopback", (), {"Host": "rebound.example:7878"}, 403),
        ("loopback", (), {"Host": "127.0.0.1.example"}, 403),
        ("loopback", (), {"Host": "localhost@evil.example"}, 403),
        # A proxy that is not trusted brings somebody of whom nothing is known.
        ("loopback", (), {"X-Forwarded-For": "203.0.113.9"}, 403),
        ("loopback", (), {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("loopback", (), {"Forwarded": "for=203.0.113.9"}, 403),
        ("loopback", ("192.0.2.7",), {"Forwarded": "for=127.0.0.1"}, 403),
        ("loopback", LOCAL_HOST, {"X-Forwarded-For": "203.0.113.9"}, 403),
        ("loopback", LOCAL_HOST, {"Forwarded": "for=203.0.113.9"}, 403),
        ("loopback", LOCAL_HOST, {"X-Forwarded-For": "127.0.0.1, 203.0.113.9"}, 403),
        ("loopback", LOCAL_HOST, {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}, 403),  # through two proxies here
        ("loopback", LOCAL_HOST, {"X-Forwarded-For": "::1"}, 200),
        # Not known: the header that the proxy writes is another, cannot be read, or denies it.
        ("loopback", LOCAL_HOST, {"Forwarded": 'for="[::1]:5"'}, 403),
        ("loopback", LOCAL_HOST, {"Forwarded": "x"}, 403),
        ("loopback", LOCAL_HOST, {"X-Real-IP": "127.0.0.1"}, 403),
        ("loopback", LOCAL_HOST, {"X-Forwarded-For": "unknown"}, 403),
        ("loopback", LOCAL_HOST, {"X-Forwarded-For": "203.0.113.9", "Forwarded": "x"}, 403),
        ("loopback", LOCAL_HOST, {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=203.0.113.9"}, 403),
        ("loopback", LOCAL_HOST, {"X-Forwarded-For": "::1", "Forwarded": 'for="[::1]"'}, 200),
        ("loopback", LOCAL_HOST, {}, 200),
        ("anyone", (), {"X-Forwarded-For": "203.0.113.9", "Host": "chat.example"}, 200),
        ("none", (), {}, 403),
    ],
)
async def test_who_may_read_metrics_is_a_setting(
    who: str, trusted: tuple[str, ...], headers: dict[str, str], status: int
) -> None:
    http = HttpSettings(port=0, metrics_access=who, trusted_proxies=trusted)
    async with running_harness(replace(SETTINGS, http=http)) as harness:
        answer, _ = await get(harness, "/metrics", headers=headers)
        assert answer.status == status


@pytest.mark.asyncio
async def test_metrics_are_packed_for_those_who_can_unpack_them() -> None:
    async with running_harness() as harness:
        packed, body = await get(harness, "/metrics", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "tidings_bytes_in_total" in body
        plain, _ = await get(harness, "/metrics", headers={"Accept-Encoding": "gzip;q=0"})
        assert "Content-Encoding" not in plain.headers
        assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/", "/app.js", "/health", "/metrics", "/nowhere", "/rsocket"])
async def test_every_answer_has_the_common_headers(path: str) -> None:
    async with running_harness() as harness:
        answer, _ = await get(harness, path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == ("no-cache" if path in {"/", "/app.js"} else "no-store")
        assert answer.headers["Server"] == "Tidings"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/../etc/passwd", 404),
        ("POST", "/health", 405),
        ("DELETE", "/", 405),
        ("GET", "/rsocket", 426),
        ("POST", "/rsocket", 405),
    ],
)
async def test_errors_are_json_with_a_sentence(method: str, path: str, status: int) -> None:
    async with running_harness() as harness:
        answer, body = await get(harness, path, method)
        assert answer.status == status
        assert answer.content_type == "application/json"
        told = json.loads(body)
        assert told["status"] == status
        assert told["text"]
        if status == 405:
            assert "GET" in answer.headers["Allow"]
        assert harness.metrics.http_responses[str(status)] == 1


TEXT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/nowhere", "/rsocket"])
async def test_errors_are_texts_for_browsers(path: str) -> None:
    async with running_harness() as harness:
        answer, body = await get(harness, path, headers={"Accept": TEXT})
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert body.startswith(f"{answer.status} {answer.reason}: ")


async def answer_to(harness: TransportHarness, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body of what is answered to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.listener.http_port)
    writer.write(sent)
    async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = b"" if sent.startswith(b"HEAD") else await reader.readexactly(int(headers.get("content-length", 0)))
    writer.close()
    return int(first.split()[1]), headers, body


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /health HTTP/1.1\r\nHost: a\r\nAuthorization Bearer secret\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sec\x00ret\r\n\r\n", 400),
        (b"G\xc3\xa9T /health HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /health HTTP/7.7\r\nHost: a\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"POST /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /health%zz HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"BREW /health HTTP/1.1\r\nHost: a\r\n\r\n", 400),  # a method that is in no registry
        (b"DELETE /health HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: *;q=0\r\n\r\n", 406),
        (b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\nabc", 413),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 413),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\n\r\n", 417),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9_000 + b"\r\n\r\n", 431),
        (b"GET /health HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
        # The same behind a request that is whole, which aiohttp forgets then.
        (b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost a\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nX: " + b"a" * 9_000 + b"\r\n\r\n", 431),
    ],
)
async def test_every_error_is_ours_whoever_noticed_it(
    sent: bytes, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running_harness() as harness:
        found, headers, body = await answer_to(harness, sent)
        assert found == status
        assert headers["content-type"] == "application/json"
        assert (headers["server"], headers["x-content-type-options"]) == ("Tidings", "nosniff")
        told = json.loads(body)
        assert (told["status"], bool(told["text"])) == (status, True)
        assert b"secret" not in body
        assert harness.metrics.http_responses[str(status)] == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.asyncio
async def test_a_head_request_for_what_is_not_there_has_no_body() -> None:
    async with running_harness() as harness:
        upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        for head in (b"HEAD /nowhere HTTP/1.1\r\nHost: a\r\n", b"HEAD /rsocket HTTP/1.1\r\nHost: a\r\n" + upgrade):
            status, headers, _ = await answer_to(harness, head + b"\r\n")
            assert (status, int(headers["content-length"]) > 0) in ((404, True), (405, True))


@pytest.mark.asyncio
async def test_a_fault_of_a_handler_is_500_with_an_id_that_stands_in_the_log() -> None:
    def fails() -> str:
        raise RuntimeError("the password is swordfish")

    harness = TransportHarness()
    harness.listener = Frontend(
        harness.listener._methods, harness.authenticator, harness.authenticator, SETTINGS, harness.metrics, health=fails
    )
    await harness.listener.start()
    with structlog.testing.capture_logs() as lines:
        answer, body = await get(harness, "/health")
    assert answer.status == 500
    [line] = lines
    assert line["correlation"] in json.loads(body)["text"]
    assert "swordfish" not in body
    await harness.listener.close()


# --- how long a connection may be at what it is at -----------------------------------------------------------------

LIMITS = SETTINGS.connections


@contextlib.asynccontextmanager
async def send_request(
    clock: FakeClock, http: HttpSettings = SETTINGS.http
) -> AsyncIterator[tuple[TransportHarness, Any, Any]]:
    """A connection that has had an answer and stays open."""
    async with running_harness(replace(SETTINGS, http=http), clock=clock) as harness:
        reader, writer = await asyncio.open_connection("127.0.0.1", harness.listener.http_port)
        writer.write(HEALTH)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TEST_TIMEOUT_SECONDS)
        await reader.readexactly(int(re.findall(rb"(?i)content-length: (\d+)", head)[0]))
        yield harness, reader, writer
        writer.close()


async def until_all_read(harness: TransportHarness) -> None:
    """Wait until what was sent before has been read: what is sent now on a later connection has been answered."""
    assert (await answer_to(harness, HEALTH))[0] == 200


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """What still comes, until the connection is closed."""
    return await asyncio.wait_for(reader.read(), TEST_TIMEOUT_SECONDS)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("trusted", "seconds"),
    [((), LIMITS.http_idle_seconds), (LOCAL_HOST, LIMITS.http_proxy_idle_seconds)],
    ids=["client", "proxy"],
)
async def test_an_idle_connection_is_closed_sooner_than_that_of_a_trusted_proxy(
    trusted: tuple[str, ...], seconds: float
) -> None:
    clock = FakeClock()
    async with send_request(clock, HttpSettings(port=0, trusted_proxies=trusted)) as (harness, reader, writer):
        clock.seconds += seconds - 0.5
        await harness.run_timers()
        writer.write(HEALTH)
        await asyncio.wait_for(reader.readuntil(b"}"), TEST_TIMEOUT_SECONDS)
        await harness.run_timers()
        clock.seconds += seconds - 0.5
        await harness.run_timers()
        assert not reader.at_eof()
        clock.seconds += 1
        assert await until_closed(reader) == b""


@pytest.mark.asyncio
async def test_a_later_head_that_does_not_come_in_time_is_refused_as_the_first_is() -> None:
    clock = FakeClock()
    async with send_request(clock) as (harness, reader, writer):
        writer.write(HEALTH[:20])
        await until_all_read(harness)
        clock.seconds += LIMITS.http_head_seconds - 0.5
        writer.write(HEALTH[20:25])  # to send a little now and then does not help
        await harness.run_timers()
        clock.seconds += 1
        assert b"HTTP/1.1 408 " in await until_closed(reader)


@pytest.mark.asyncio
async def test_a_later_head_that_has_no_end_is_refused_as_the_first_is() -> None:
    async with send_request(FakeClock()) as (_, reader, writer):
        for number in range(100):
            writer.write(b"GET / HTTP/1.1\r\n" if not number else b"X: " + b"a" * 100 + b"\r\n")
        assert b"HTTP/1.1 431 " in await until_closed(reader)


@pytest.mark.asyncio
async def test_an_answer_that_is_not_taken_in_time_is_cut_off() -> None:
    clock = FakeClock()
    async with running_harness(clock=clock) as harness:
        reader, writer = await asyncio.open_connection("127.0.0.1", harness.listener.http_port, limit=1)
        writer.write(b"GET /app.js HTTP/1.1\r\nHost: a\r\n\r\n" * 500)
        await writer.drain()
        await asyncio.wait_for(reader.readexactly(1), TEST_TIMEOUT_SECONDS)
        await harness.run_timers()
        clock.seconds += LIMITS.http_response_seconds + 1
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)
        writer.transport.abort()


@pytest.mark.asyncio
async def test_a_client_that_takes_no_answer_holds_a_piece_of_it_and_not_a_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port_protocols: list[HttpPortProtocol] = []
    monkeypatch.setattr(
        HttpPortProtocol,
        "on_request",
        lambda self, original=HttpPortProtocol.on_request: (port_protocols.append(self), original(self))[1],
    )
    paused = asyncio.Event()
    pause = HttpPortProtocol.pause_writing
    monkeypatch.setattr(HttpPortProtocol, "pause_writing", lambda self: (paused.set(), pause(self))[1])
    async with running_harness() as harness:
        _, writer = await asyncio.open_connection("127.0.0.1", harness.listener.http_port, limit=1)
        writer.write(b"GET /app.js HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        await asyncio.wait_for(paused.wait(), TEST_TIMEOUT_SECONDS)
        await until_all_read(harness)
        assert 0 < port_protocols[0]._transport.get_write_buffer_size() <= 3 * BODY_CHUNK_BYTES
        writer.transport.abort()


@pytest.mark.asyncio
async def test_nothing_waits_for_a_connection_that_was_lost_in_the_middle_of_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paused = asyncio.Event()
    pause = HttpPortProtocol.pause_writing
    monkeypatch.setattr(HttpPortProtocol, "pause_writing", lambda self: (paused.set(), pause(self))[1])
    async with running_harness() as harness:
        _, writer = await asyncio.open_connection("127.0.0.1", harness.listener.http_port, limit=1)
        writer.write(b"GET /app.js HTTP/1.1\r\nHost: a\r\n\r\n" * 32)
        await asyncio.wait_for(paused.wait(), TEST_TIMEOUT_SECONDS)
        await until_all_read(harness)
        writer.transport.abort()
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)
        await until_all_read(harness)
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)
        await harness.run_timers()
        waiting = [who for slot in harness.listener.rsocket_server.timer_wheel._slots.values() for who in slot]
        assert waiting == []


@pytest.mark.asyncio
async def test_further_requests_give_no_more_time_to_an_answer_that_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port_protocols: list[HttpPortProtocol] = []
    monkeypatch.setattr(
        HttpPortProtocol,
        "on_request",
        lambda self, original=HttpPortProtocol.on_request: (port_protocols.append(self), original(self))[1],
    )
    clock = FakeClock()
    async with running_harness(clock=clock) as harness:
        _, writer = await asyncio.open_connection("127.0.0.1", harness.listener.http_port, limit=1)
        answered = [-1, 0]
        while answered[-1] != answered[-2]:  # until the sockets are full
            writer.write(b"GET /app.js HTTP/1.1\r\nHost: a\r\n\r\n")
            await until_all_read(harness)
            await until_all_read(harness)
            connection: Any = port_protocols[0]._delegates[-1]
            answered.append(connection._response_count)
        clock.seconds += LIMITS.http_response_seconds - 0.5
        writer.write(HEALTH)
        await until_all_read(harness)
        await harness.run_timers()
        assert harness.listener.connection_limiter.connection_count == 1
        clock.seconds += 1
        await harness.run_timers()
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)
        writer.transport.abort()


@pytest.mark.asyncio
@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nX: y", HEALTH, HEALTH + HEALTH[:9]])
async def test_half_open_and_idle_requests_lock_nobody_of_their_address_out(sent: bytes) -> None:
    clock = FakeClock()
    limits = replace(LIMITS, unauthenticated_connections_per_address_max=20)
    async with running_harness(replace(SETTINGS, connections=limits), clock=clock) as harness:
        crowd = [await asyncio.open_connection("127.0.0.1", harness.listener.http_port) for _ in range(20)]
        for _, writer in crowd:
            writer.write(sent)
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 20)
        for reader, _ in crowd if sent.startswith(HEALTH) else ():
            await asyncio.wait_for(reader.readuntil(b"}"), TEST_TIMEOUT_SECONDS)
        clock.seconds += limits.evictable_after_seconds
        for transport in ("websocket", "tcp"):
            async with harness.peer(transport) as peer:
                assert (await peer.request(1, "test.echo")).stream_id == 1
        assert harness.metrics.connections_refused["evicted"] >= 1
        for _, writer in crowd:
            writer.transport.abort()
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)


@pytest.mark.asyncio
async def test_head_has_the_headers_of_get_and_no_body() -> None:
    async with running_harness() as harness:
        answer, body = await get(harness, "/health", "HEAD")
        assert (answer.status, body) == (200, "")


def test_a_probe_of_the_same_name_replaces_the_first() -> None:
    metrics = Metrics()
    metrics.register_callback("tidings_x", "X.", lambda: 1.0)
    metrics.register_callback("tidings_x", "X.", lambda: {"a": 2.0}, label="kind", is_counter=True)
    assert b'tidings_x_total{kind="a"} 2.0' in metrics.render()
    assert b"tidings_x 1.0" not in metrics.render()


# --- what is kept of what peers send ------------------------------------------------------------------------------

BAD = b"GET /health HTTP/1.1\r\nbad header\r\n\r\n"


async def references_left(monkeypatch: pytest.MonkeyPatch, sent: tuple[bytes, ...]) -> set[int]:
    """How often each piece that a used connection read is still referred to, without any garbage collection."""
    held: list[bytes] = []
    read = HttpPortProtocol.data_received
    monkeypatch.setattr(HttpPortProtocol, "data_received", lambda self, data: (held.append(data), read(self, data))[1])
    async with send_request(FakeClock()) as (harness, reader, writer):
        gc.collect()
        gc.disable()
        try:
            for data in sent:
                writer.write(data)
            with contextlib.suppress(ConnectionError):
                await until_closed(reader)
            await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)
            await harness.run_timers()
            assert len(held) > 1
            return {sys.getrefcount(held[index]) for index in range(len(held))}
        finally:
            gc.enable()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "sent",
    [
        (BAD + b"a" * 60_000,),
        (BAD * 1_000, BAD * 1_000),
        (b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 101 + b"\r\n" + b"a" * 60_000,),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + BAD * 100, BAD),
        (b"POST /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" + BAD * 100, BAD * 100),
    ],
    ids=["malformed", "more behind it", "headers", "behind an upgrade", "chunks"],
)
async def test_bytes_that_cannot_be_read_are_not_held_when_the_connection_is_over(
    sent: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await references_left(monkeypatch, sent) == {2}  # the test's list, and the argument of `getrefcount`


@pytest.mark.asyncio
async def test_nothing_is_parsed_after_a_request_that_cannot_be_read() -> None:
    loop = asyncio.get_running_loop()
    parser = _BoundedParser(web.RequestHandler(web.Server(answer_nothing), loop=loop), 8_192, loop)
    [(found, _)], upgraded, tail = parser.feed_data(HEALTH)
    assert (found.path, upgraded, tail) == ("/health", False, b"")
    [(refused, _)], _, _ = parser.feed_data(BAD)
    assert (refused.status, refused.exc.__traceback__, parser.has_failed) == (400, None, True)
    assert parser.feed_data(HEALTH) == ([], False, b"")


async def answer_nothing(request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError(request)


@pytest.mark.asyncio
async def test_a_later_head_that_comes_at_once_has_the_limit_of_the_first() -> None:
    async with send_request(FakeClock()) as (_, reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"X: " + b"a" * 1_000 + b"\r\n") * 9 + b"\r\n")
        assert b" 431 " in await until_closed(reader)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "first",
    [b"\x16\x03\x01", b"GET /" + b"a" * 9_000, b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n"],
    ids=["TLS", "long", "body"],
)
async def test_who_goes_on_sending_after_the_last_answer_is_cut_off(
    first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Time does not end the connection here, so only the limit of bytes can.
    monkeypatch.setattr("tidings.transports.http.server.LINGER_SECONDS", 1_000.0)
    connections = replace(SETTINGS.connections, discarded_bytes_max=10_000)
    async with running_harness(replace(SETTINGS, connections=connections), clock=FakeClock()) as harness:
        reader, writer = await asyncio.open_connection("127.0.0.1", harness.listener.http_port)
        writer.write(first)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TEST_TIMEOUT_SECONDS)
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            while harness.listener.connection_limiter.connection_count:
                writer.write(b"a" * 1_000)
                await harness.run_timers()
        writer.close()


@pytest.mark.asyncio
async def test_requests_that_are_sent_without_waiting_are_answered_in_order_and_few_are_read_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ahead: list[int] = []
    finish = HttpConnection.finish_response

    async def counted(self: HttpConnection, *args: Any) -> Any:
        ahead.append(len(self._messages))
        return await finish(self, *args)

    monkeypatch.setattr(HttpConnection, "finish_response", counted)
    async with send_request(FakeClock()) as (_, reader, writer):
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(50)))
        writer.write(HEALTH[:-2] + b"Connection: close\r\n\r\n")
        answers = await until_closed(reader)
        assert answers.count(b"HTTP/1.1 404 ") == 50
        assert answers.count(b"HTTP/1.1 200 ") == 1
    assert max(ahead) <= REQUESTS_QUEUED_MAX
