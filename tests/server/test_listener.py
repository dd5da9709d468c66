"""One port for HTTP and RSocket, another for TCP: what is read of a stranger, who is let in, what is said when not."""

import asyncio
import ipaddress
import re
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog.testing
import websockets.asyncio.client
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kits.transport.harness import (
    SETTINGS,
    TEST_TIMEOUT_SECONDS,
    FakeClock,
    TransportHarness,
    call_frame,
    decode_reply,
    running_harness,
    setup_frame,
)
from tidings.frontend import Frontend
from tidings.protocols.rsocket import decode
from tidings.server import connection_limiter
from tidings.server.http_port import check_origin
from tidings.server.listener import ListenError
from tidings.server.request_head import HttpError
from tidings.server.settings import ConnectionLimits, HttpSettings, ListenerSettings, TcpSettings, TlsSettings
from transports.rsocket.test_websocket import HANDSHAKE, open_raw_websocket
from transports.websocket.test_frames import BINARY, client_frame


async def connect(harness: TransportHarness) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", harness.listener.http_port)


async def read_until_closed(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(), TEST_TIMEOUT_SECONDS)


# --- one port ---------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_http_and_rsocket_share_a_port() -> None:
    async with running_harness() as harness, aiohttp.ClientSession() as http:
        async with http.get(f"{harness.http_url}/health") as answer:
            assert answer.status == 200
        async with harness.peer("websocket") as peer:
            assert (await peer.request(1, "test.echo")).stream_id == 1
            async with http.get(f"{harness.http_url}/health") as answer:
                assert answer.status == 200


@pytest.mark.asyncio
@pytest.mark.parametrize("request_head", [HANDSHAKE, b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"])
async def test_a_head_in_single_bytes_is_read(request_head: bytes) -> None:
    async with running_harness() as harness:
        reader, writer = await connect(harness)
        for byte in request_head + b"\r\n":
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)
        first = await asyncio.wait_for(reader.readline(), TEST_TIMEOUT_SECONDS)
        assert first in (b"HTTP/1.1 101 Switching Protocols\r\n", b"HTTP/1.1 200 OK\r\n")
        writer.close()


@pytest.mark.asyncio
async def test_pipelined_requests_are_answered_in_order() -> None:
    async with running_harness() as harness:
        reader, writer = await connect(harness)
        writer.write(
            b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
            b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
            b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        answers = await read_until_closed(reader)
        assert re.findall(rb"HTTP/1\.1 (\d+) ", answers) == [b"200", b"404", b"200"]
        writer.close()


@pytest.mark.asyncio
async def test_a_websocket_on_a_connection_that_was_used_for_http_before() -> None:
    async with running_harness() as harness:
        client = await open_raw_websocket(harness, b"GET /health HTTP/1.1\r\nHost: a\r\n")
        head = await client.read_head()
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await client.reader.readexactly(size)
        client.writer.write(HANDSHAKE + b"\r\n" + client_frame(BINARY, setup_frame("ada")))
        assert b" 101 " in await client.read_head()
        client.writer.write(client_frame(BINARY, call_frame(1, "test.whoami")))
        opcode, payload = await client.read_frame()
        assert (opcode, decode_reply(decode(payload)).cursor.epoch) == (BINARY, "ada")
        client.writer.close()
        await harness.next_closed_session()


@pytest.mark.asyncio
async def test_aiohttps_client_gets_a_websocket_after_it_has_read_pages() -> None:
    async with running_harness() as harness, aiohttp.ClientSession() as http:
        for _ in range(2):
            async with http.get(f"{harness.http_url}/") as answer:
                await answer.read()
        async with http.ws_connect(f"{harness.http_url}/rsocket") as ws:
            await ws.send_bytes(setup_frame("ada"))
            await ws.send_bytes(call_frame(1, "test.whoami"))
            assert decode_reply(decode(await ws.receive_bytes())).cursor.epoch == "ada"
        await harness.next_closed_session()


@pytest.mark.asyncio
async def test_a_handshake_behind_other_requests_in_one_piece_is_served() -> None:
    async with running_harness() as harness:
        client = await open_raw_websocket(
            harness,
            b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" + HANDSHAKE,
            client_frame(BINARY, setup_frame("ada")) + client_frame(BINARY, call_frame(1, "test.whoami")),
        )
        head = await client.read_head()
        await client.reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        assert b" 101 " in await client.read_head()
        opcode, payload = await client.read_frame()
        assert (opcode, decode_reply(decode(payload)).cursor.epoch) == (BINARY, "ada")
        client.writer.close()
        await harness.next_closed_session()


@pytest.mark.asyncio
async def test_a_foreign_origin_is_refused_on_a_used_connection_too() -> None:
    async with running_harness() as harness, aiohttp.ClientSession() as http:
        async with http.get(f"{harness.http_url}/health") as answer:
            await answer.read()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{harness.http_url}/rsocket", origin="https://evil.example")
        assert refused.value.status == 403


# --- strangers --------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_head_that_does_not_come_in_time_is_refused() -> None:
    clock = FakeClock()
    async with running_harness(clock=clock) as harness:
        reader, writer = await connect(harness)
        writer.write(b"GET / HTTP/1.1\r\n")
        limiter = harness.listener.connection_limiter
        await harness.wait_until(lambda: limiter.connection_count == 1)
        clock.seconds += 9
        writer.write(b"X-Slow: loris\r\n")  # to send a little now and then does not help
        await writer.drain()
        clock.seconds += 1.1
        assert b"HTTP/1.1 408 " in await read_until_closed(reader)
        writer.close()
        await harness.wait_until(lambda: limiter.connection_count == 0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * 9_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 9_000 + b"\r\n\r\n",
        b"a" * 20_000,
    ],
)
async def test_a_head_that_is_too_long_is_refused(sent: bytes) -> None:
    async with running_harness() as harness:
        reader, writer = await connect(harness)
        writer.write(sent)
        assert b"HTTP/1.1 431 " in await read_until_closed(reader)
        writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "head",
    [
        b"GET /rsocket HTTP/1.1\r\nHost : a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        b"GET /rsocket HTTP/1.1\r\nHost: a\r\n folded\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        b"nonsense\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
    ],
)
async def test_malformed_heads_are_bad_requests(head: bytes) -> None:
    async with running_harness() as harness:
        reader, writer = await connect(harness)
        writer.write(head + b"\r\n")
        assert b" 400 " in await asyncio.wait_for(reader.readline(), TEST_TIMEOUT_SECONDS)
        assert not harness.connection_count
        writer.close()


@pytest.mark.asyncio
async def test_a_connection_that_says_nothing_and_leaves_is_forgotten() -> None:
    async with running_harness() as harness:
        _, writer = await connect(harness)
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 1)
        writer.close()
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", ["websocket", "tcp"])
async def test_strangers_of_one_address_are_limited_and_acquaintances_are_not(transport: str) -> None:
    limits = replace(SETTINGS.connections, unauthenticated_connections_per_address_max=2, evictable_after_seconds=60)
    async with running_harness(replace(SETTINGS, connections=limits)) as harness:
        port = harness.listener.http_port if transport == "websocket" else harness.listener.tcp_port
        peers = [harness.peer(transport) for _ in range(4)]
        for count, peer in enumerate(peers, 1):
            await (await peer.__aenter__()).request(1, "test.echo")
            assert len(harness.authenticator.sessions) == count
        unauthenticated = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 6)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), TEST_TIMEOUT_SECONDS)
        assert harness.metrics.connections_refused["unauthenticated_connections_per_address_max"] == 1
        for _, other in [*unauthenticated, (reader, writer)]:
            other.close()
        for peer in peers:
            await peer.__aexit__(None, None, None)
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)


@pytest.mark.asyncio
@pytest.mark.parametrize(("transport", "part"), [("websocket", b"GET / HTTP/1.1\r\nHost: "), ("tcp", b"\0\0\x40\0")])
async def test_who_comes_to_sign_in_gets_the_place_of_what_has_come_in_part(transport: str, part: bytes) -> None:
    limits = replace(SETTINGS.connections, unauthenticated_connections_per_address_max=2, evictable_after_seconds=60)
    async with running_harness(replace(SETTINGS, connections=limits)) as harness:
        port = harness.listener.http_port if transport == "websocket" else harness.listener.tcp_port
        halves = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in halves:
            writer.write(part)
        unauthenticated = harness.listener.connection_limiter._unauthenticated
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            while len(unauthenticated._by_stage[connection_limiter.ConnectionStage.PARTIAL]) < 2:  # noqa: ASYNC110 (nothing says when)
                await asyncio.sleep(0.001)
        async with harness.peer(transport) as peer:
            await peer.request(1, "test.echo")
        assert harness.metrics.connections_refused == {"evicted": 1}
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(halves[0][0].readexactly(1), TEST_TIMEOUT_SECONDS)
        for _, writer in halves:
            writer.close()
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)


@pytest.mark.asyncio
async def test_connections_altogether_are_limited() -> None:
    limits = replace(SETTINGS.connections, connections_max=1)
    async with running_harness(replace(SETTINGS, connections=limits)) as harness, harness.peer("tcp") as peer:
        await peer.request(1, "test.echo")
        reader, writer = await connect(harness)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), TEST_TIMEOUT_SECONDS)
        assert harness.metrics.connections_refused["connections_max"] == 1
        writer.close()


# --- behind a proxy ---------------------------------------------------------------------------------------------

BEHIND_PROXY = replace(
    SETTINGS,
    http=HttpSettings(port=0, trusted_proxies=("127.0.0.0/8",)),
    connections=replace(
        SETTINGS.connections, unauthenticated_connections_per_address_max=2, evictable_after_seconds=60
    ),
)


def proxied_request(*lines: str) -> bytes:
    return HANDSHAKE + b"".join(f"{line}\r\n".encode() for line in lines)


async def address_of(harness: TransportHarness, *lines: str) -> str:
    """Whose the connection counts as that is opened with these headers."""
    client = await open_raw_websocket(harness, proxied_request(*lines))
    assert b" 101 " in await client.read_head()
    (session,) = harness.listener.dispatcher.peers
    address: str = session.transport.slot.address  # type: ignore[attr-defined]
    client.writer.close()
    await harness.wait_until(lambda: harness.connection_count == 0)
    return address


@pytest.mark.asyncio
async def test_a_websocket_that_a_trusted_proxy_brings_is_its_clients() -> None:
    async with running_harness(BEHIND_PROXY) as harness:
        assert await address_of(harness) == "127.0.0.1"
        assert await address_of(harness, "X-Forwarded-For: 1.1.1.1, 203.0.113.9") == "203.0.113.9"
        assert await address_of(harness, "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.9") == "203.0.113.9"
        assert await address_of(harness, "X-Forwarded-For: 203.0.113.9", "Forwarded: x") == "203.0.113.9"
        assert await address_of(harness, "X-Forwarded-For: unknown") == "127.0.0.1"
    named = replace(BEHIND_PROXY, http=replace(BEHIND_PROXY.http, forwarded_header="forwarded"))
    async with running_harness(named) as harness:
        assert await address_of(harness, 'Forwarded: for="[2001:db8:1:2::9]:1";proto=https') == "2001:0db8:0001:0002"
        assert await address_of(harness, "Forwarded: for=unknown", "X-Forwarded-For: 1.1.1.1") == "127.0.0.1"


@pytest.mark.asyncio
async def test_nobody_elses_headers_are_read() -> None:
    async with running_harness(SETTINGS) as harness:
        assert await address_of(harness, "X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9") == "127.0.0.1"


@pytest.mark.asyncio
@pytest.mark.parametrize("used", [False, True], ids=["new", "used before"])
async def test_behind_a_proxy_each_client_has_its_own_limit(used: bool) -> None:
    async def asked(client: str) -> Any:
        first = b"GET /health HTTP/1.1\r\nHost: a\r\n" if used else proxied_request(f"X-Forwarded-For: {client}")
        peer = await open_raw_websocket(harness, first)
        head = await peer.read_head()
        if used:
            await peer.reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            peer.writer.write(proxied_request(f"X-Forwarded-For: {client}") + b"\r\n")
            head = await peer.read_head()
        peers.append(peer)
        return head

    async with running_harness(BEHIND_PROXY) as harness:
        peers: list[Any] = []
        for client in ("203.0.113.9", "203.0.113.10", "203.0.113.9", "203.0.113.10"):
            assert b" 101 " in await asked(client)
        refused = await asked("203.0.113.9")
        assert b" 503 " in refused
        assert b"Retry-After: 1" in refused
        assert b" 101 " in await asked("203.0.113.11")
        assert harness.metrics.connections_refused["unauthenticated_connections_per_address_max"] == 1
        for peer in peers:
            peer.writer.close()
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)


# --- origins ----------------------------------------------------------------------------------------------------

PRODUCTION = ListenerSettings(http=HttpSettings(origins=("https://chat.example.org",)))
DEVELOPMENT = ListenerSettings(dev=True)


@pytest.mark.parametrize(
    ("settings", "origin", "let_in"),
    [
        (PRODUCTION, None, True),
        (PRODUCTION, "https://chat.example.org", True),
        (PRODUCTION, "http://chat.example.org", False),
        (PRODUCTION, "https://chat.example.org:8443", False),
        (PRODUCTION, "https://chat.example.org.evil.example", False),
        (PRODUCTION, "https://evil-chat.example.org", False),
        (PRODUCTION, "null", False),
        (PRODUCTION, "", False),
        (PRODUCTION, "http://localhost:3000", False),
        (DEVELOPMENT, None, True),
        (DEVELOPMENT, "http://localhost:3000", True),
        (DEVELOPMENT, "https://127.0.0.1:8443", True),
        (DEVELOPMENT, "http://[::1]:3000", True),
        (DEVELOPMENT, "http://127.0.0.1.evil.example", False),
        (DEVELOPMENT, "http://localhost.evil.example", False),
        (DEVELOPMENT, "http://evil.example", False),
        (DEVELOPMENT, "http://127.0.0.1:80@evil.example", False),
        (DEVELOPMENT, "http://[::1].evil.example", False),
        (DEVELOPMENT, "http://[::1]@evil.example", False),
        (DEVELOPMENT, "http://localhost:80:80", False),
        (DEVELOPMENT, "null", False),
        (DEVELOPMENT, "file://", False),
    ],
)
def test_only_pages_of_known_origins_are_let_in(settings: ListenerSettings, origin: str | None, let_in: bool) -> None:
    if let_in:
        check_origin(origin, "chat.internal", settings)
    else:
        with pytest.raises(HttpError) as refused:
            check_origin(origin, "chat.internal", settings)
        assert refused.value.status == 403


@pytest.mark.parametrize(
    ("settings", "origin", "host", "let_in"),
    [
        (PRODUCTION, "https://tidings.example.net", "tidings.example.net", True),
        (PRODUCTION, "http://tidings.example.net:7878", "Tidings.example.net:7878", True),
        (PRODUCTION, "https://tidings.example.net", "tidings.example.net:7878", False),
        (PRODUCTION, "https://evil.example", "tidings.example.net", False),
        (PRODUCTION, "file://", "", False),
        (PRODUCTION, "https://", None, False),
        # In development a name is enough: a page of a name that somebody points at this machine stays out.
        (DEVELOPMENT, "http://evil.example:7878", "evil.example:7878", False),
        (DEVELOPMENT, "http://127.0.0.1:7878", "127.0.0.1:7878", True),
    ],
)
def test_the_services_own_page_is_let_in(
    settings: ListenerSettings, origin: str, host: str | None, let_in: bool
) -> None:
    if let_in:
        check_origin(origin, host, settings)
    else:
        with pytest.raises(HttpError):
            check_origin(origin, host, settings)


@pytest.mark.asyncio
async def test_a_foreign_page_is_refused_at_the_handshake() -> None:
    async with running_harness() as harness:
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            await websockets.asyncio.client.connect(harness.ws_url, origin="https://evil.example")  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
        assert harness.metrics.connections_refused["origin"] == 1
        async with websockets.asyncio.client.connect(harness.ws_url, origin="http://localhost:3000") as ws:  # type: ignore[arg-type]
            await ws.close()


@pytest.mark.asyncio
async def test_the_log_says_once_a_minute_which_origin_may_not_connect_and_which_setting_lets_it_in() -> None:
    async with running_harness(replace(SETTINGS, dev=False)) as harness:
        with structlog.testing.capture_logs() as lines:
            for origin in ("https://a.example", "https://b.example:8443", "null", "https://a.example", "Bearer secret"):
                client = await open_raw_websocket(harness, HANDSHAKE + f"Origin: {origin}\r\n".encode())
                assert b" 403 " in await client.read_head()
                client.writer.close()
    assert {line["event"] for line in lines} == {"a web page may not connect: its origin is not in http.origins"}
    assert [line["origin"] for line in lines] == [
        "https://a.example",
        "https://b.example:8443",
        "null",
        "(no origin)",  # what is none may be anything
    ]
    assert {line["client"] for line in lines} == {"127.0.0.1"}


# --- ports ------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(("which", "option"), [("http", "--port"), ("tcp", "--tcp-port")])
async def test_a_port_that_is_taken_is_said_in_one_line_that_names_the_option(which: str, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = replace(
            SETTINGS,
            **{which: HttpSettings(port=port) if which == "http" else TcpSettings(port=port)},  # type: ignore[arg-type]
        )
        harness = TransportHarness(settings)
        with pytest.raises(ListenError) as error:
            await harness.listener.start()
        text = str(error.value)
        assert f"127.0.0.1:{port} is in use" in text
        assert option in text
        assert "\n" not in text
        await harness.listener.close()


@pytest.mark.asyncio
async def test_an_unknown_host_is_said_in_one_line() -> None:
    harness = TransportHarness(replace(SETTINGS, http=HttpSettings(host="no such host", port=0)))
    with pytest.raises(ListenError, match="--host"):
        await harness.listener.start()


@pytest.mark.asyncio
async def test_tcp_can_be_switched_off() -> None:
    async with running_harness(replace(SETTINGS, tcp=TcpSettings(enabled=False))) as harness:
        assert harness.listener.tcp_port == 0
        assert harness.listener.addresses().tcp == "not offered"


@pytest.mark.asyncio
async def test_close_is_idempotent_and_may_come_first() -> None:
    harness = TransportHarness()
    await harness.listener.close()
    await harness.listener.start()
    await harness.listener.close()
    await harness.listener.close()


async def closing_error(peer: Any) -> None:
    assert (await peer.receive_connection_error())[0] == 0x102
    await peer.close()


@pytest.mark.asyncio
async def test_close_ends_connections_of_every_kind() -> None:
    harness = TransportHarness()
    await harness.listener.start()
    idle_reader, idle_writer = await connect(harness)
    async with harness.peer("websocket") as one, harness.peer("tcp") as other, aiohttp.ClientSession() as http:
        await one.request(1, "test.echo")
        await other.request(1, "test.echo")
        async with http.get(f"{harness.http_url}/health") as answer:
            await answer.read()
        await asyncio.gather(harness.listener.close(), one.read_until_closed(), closing_error(other))
    assert not harness.listener.dispatcher.peers
    with pytest.raises(OSError):
        await connect(harness)
    idle_writer.close()
    assert idle_reader is not None


# --- TLS --------------------------------------------------------------------------------------------------------


def self_signed(folder: Path) -> tuple[str, str]:
    """Certificate and key of 127.0.0.1, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.mark.asyncio
async def test_rsocket_over_tcp_on_the_http_port_is_answered_at_once_with_what_to_do() -> None:
    async with running_harness() as harness:
        reader, writer = await asyncio.open_connection("127.0.0.1", harness.listener.http_port)
        writer.write(b"\0\0\x20\0\0\0\0\x04\0")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"RSocket over TCP has a port of its own (tcp.port)" in answer


@pytest.mark.asyncio
async def test_both_ports_speak_tls_when_there_is_a_certificate(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=certificate)
    async with running_harness(replace(SETTINGS, tls=TlsSettings(certificate, key))) as harness:
        port = harness.listener.http_port
        assert harness.listener.addresses().ws == f"wss://127.0.0.1:{port}/rsocket"
        assert harness.listener.addresses().tcp == f"tls://127.0.0.1:{harness.listener.tcp_port}"
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"https://127.0.0.1:{port}/health", ssl=trust) as answer,
        ):
            assert answer.status == 200
        async with websockets.asyncio.client.connect(f"wss://127.0.0.1:{port}/rsocket", ssl=trust) as ws:
            await ws.send(setup_frame("ada"))
            await ws.send(call_frame(1, "test.whoami"))
            found = await ws.recv()
            assert isinstance(found, bytes)
            assert decode_reply(decode(found)).cursor.epoch == "ada"
        reader, writer = await asyncio.open_connection("127.0.0.1", harness.listener.tcp_port, ssl=trust)
        for each in (setup_frame("ada"), call_frame(1, "test.whoami")):
            writer.write(len(each).to_bytes(3, "big") + each)
        size = int.from_bytes(await reader.readexactly(3), "big")
        assert decode_reply(decode(await reader.readexactly(size))).cursor.epoch == "ada"
        writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("port", ["http_port", "tcp_port"])
async def test_connections_that_have_not_shaken_hands_are_counted_and_make_room(tmp_path: Path, port: str) -> None:
    certificate, key = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=certificate)
    clock = FakeClock()
    limits = replace(SETTINGS.connections, unauthenticated_connections_per_address_max=5)
    settings = replace(SETTINGS, tls=TlsSettings(certificate, key), connections=limits)
    async with running_harness(settings, clock=clock) as harness:
        address = ("127.0.0.1", getattr(harness.listener, port))
        silent = [await asyncio.open_connection(*address) for _ in range(5)]
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 5)
        one_too_many, writer = await asyncio.open_connection(*address)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(one_too_many.readexactly(1), TEST_TIMEOUT_SECONDS)
        writer.close()
        assert harness.metrics.connections_refused["unauthenticated_connections_per_address_max"] == 1
        clock.seconds += limits.evictable_after_seconds
        _, writer = await asyncio.open_connection(*address, ssl=trust)
        assert harness.metrics.connections_refused["evicted"] == 1
        writer.transport.abort()
        for _, other in silent:
            other.transport.abort()
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 0)


@pytest.mark.asyncio
async def test_a_handshake_that_lasts_does_not_hold_up_the_end(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    async with running_harness(replace(SETTINGS, tls=TlsSettings(certificate, key))) as harness:
        reader, writer = await connect(harness)
        await harness.wait_until(lambda: harness.listener.connection_limiter.connection_count == 1)
        assert await harness.listener.drain(TEST_TIMEOUT_SECONDS)
        await harness.listener.close()
        assert await read_until_closed(reader) == b""
        writer.close()
    assert harness.listener.connection_limiter.connection_count == 0


@pytest.mark.asyncio
async def test_a_refusal_arrives_over_tls_too(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=certificate)
    async with running_harness(replace(SETTINGS, tls=TlsSettings(certificate, key))) as harness:
        reader, writer = await asyncio.open_connection("127.0.0.1", harness.listener.tcp_port, ssl=trust)
        first = setup_frame("mallory")
        writer.write(len(first).to_bytes(3, "big") + first)
        data = await read_until_closed(reader)
        assert b"UNAUTHENTICATED" in data
        writer.close()


@pytest.mark.asyncio
async def test_a_certificate_that_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing of the kind")
    harness = TransportHarness(replace(SETTINGS, tls=TlsSettings(str(tmp_path / "cert.pem"))))
    with pytest.raises(ListenError, match=r"tls\.certificate"):
        await harness.listener.start()


@pytest.mark.asyncio
async def test_of_certificate_and_key_the_one_that_is_missing_is_named(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path)
    harness = TransportHarness(replace(SETTINGS, tls=TlsSettings(certificate, str(tmp_path / "none.pem"))))
    with pytest.raises(ListenError, match=r"cannot read tls\.key .*/none\.pem: No such file"):
        await harness.listener.start()


def test_a_frontend_can_be_made_outside_of_a_loop() -> None:
    made: Any = TransportHarness().listener
    assert isinstance(made, Frontend)
    assert ConnectionLimits() == PRODUCTION.connections
