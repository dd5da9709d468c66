"""No token and no text of a message reaches the log, on whatever path an error takes.

Everything here carries one word. The service runs as it does in production, with every level of its log, as a process
of its own: what its libraries and the interpreter print is seen as well.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import pytest_asyncio
import structlog.testing

import tidings_client
from cli.command import environment
from kits.transport.harness import call_frame, channel_frame, fire_and_forget_frame, running_harness, watch_frame
from rsocket_harness import COMPOSITE, error, frame, setup
from service_runner import ServiceProcess, running_service
from tidings.app import log_background_error
from tidings.contract import v1
from tidings.domain.identity.jwt import issue_token
from tidings.log import log
from tidings.protocols.rsocket import FrameType, metadata
from transports.websocket.test_frames import BINARY, CLOSE, TEXT, client_frame

WORD = "swordfish"
TOKEN = f"eyJhbGciOiJIUzI1NiJ9.{WORD}.{WORD}"
KEY = "0123456789abcdef0123456789abcdef"
TEST_TIMEOUT_SECONDS = 60

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture(params=["dev", "production"])
async def service(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[ServiceProcess]:
    """With every line of the log, and none of them suppressed."""
    dev = request.param == "dev"
    env = environment(
        TIDINGS_LOG_LEVEL="debug", TIDINGS_LOG_LIMITS__LINES_PER_MINUTE_MAX="1000000", PYTHONASYNCIODEBUG="1"
    ) | ({} if dev else {"TIDINGS_AUTH__SECRET": KEY})
    async with ServiceProcess(tmp_path / "data", dev=dev, environment=env) as service:
        yield service


async def send_and_receive(
    service: ServiceProcess, port: str, *chunks: bytes, abort: bool = False, seconds: float = 0.3
) -> bytes:
    """What is answered to these bytes, one part after the other, until there is nothing more for 0.3 s.

    `seconds`: how long the first answer may take.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", service.ports[port])
    answer = b""
    with contextlib.suppress(ConnectionError):
        for part in chunks:
            writer.write(part)
            await writer.drain()
            if abort:
                writer.transport.abort()
            with contextlib.suppress(TimeoutError):
                while data := await asyncio.wait_for(reader.read(65_536), 0.3 if answer else seconds):
                    answer += data
    writer.close()
    return answer


def length_prefixed(*frames: bytes) -> bytes:
    return b"".join(len(each).to_bytes(3, "big") + each for each in frames)


def setup_frame(**fields: Any) -> bytes:
    token = issue_token("ada", secret=KEY.encode(), ttl_seconds=600, now_ms=time.time_ns() // 1_000_000)
    entries = [(metadata.AUTHENTICATION, metadata.write_bearer_auth(token))]
    return setup(metadata=metadata.write_composite(entries), metadata_mime=COMPOSITE, **fields)


def has_session(service: ServiceProcess) -> bytes:
    if "--dev" in service.arguments:
        entries = [(metadata.AUTHENTICATION, metadata.write_simple_auth("ada", "any"))]
        return setup(metadata=metadata.write_composite(entries), metadata_mime=COMPOSITE)
    return setup_frame()


def request_heads() -> list[bytes]:
    """Requests with the word in every place of a head, well-formed and not."""
    token = TOKEN.encode()
    found = []
    for path in (b"/rsocket", b"/health", b"/metrics", b"/", b"/nowhere"):
        found += [
            b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n" + token
            for line in (
                b"Authorization: Bearer " + token,
                b"Authorization Bearer " + token,
                b"Authorization: Bearer " + token + b"\x00",
                b" folded " + token,
                b"Cookie: session=" + token,
                b"Host: " + token,
                b"Content-Length: " + token,
                b"Content-Length: 99999\r\nX: " + token,
                b"Transfer-Encoding: " + token,
                b"Expect: " + token,
                b"Accept-Encoding: " + token,
                b"Forwarded: for=" + token,
                b"X-Forwarded-For: " + token,
                b"If-None-Match: " + token,
                token + b": x",
                *(
                    b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + name + b": " + token
                    for name in (b"Origin", b"Sec-WebSocket-Key", b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Version")
                ),
                b"Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://evil.example/" + token,
            )
        ]
    found += [
        first + b"\r\nHost: a\r\n\r\n"
        for first in (
            b"GET /" + token + b" HTTP/1.1",
            b"GET /?token=" + token + b" HTTP/1.1",
            b"GET http://" + token + b"/ HTTP/1.1",
            b"CONNECT " + token + b":443 HTTP/1.1",
            token + b" / HTTP/1.1",
            b"GET / HTTP/" + token,
            token,
        )
    ]
    found.append(b"GET /" + token * 400 + b" HTTP/1.1\r\n\r\n")
    found.append(b"GET / HTTP/1.1\r\nX: " + token * 400 + b"\r\n\r\n")
    found.append(b"\x16\x03" + token)
    return found


async def test_http(service: ServiceProcess) -> None:
    whole = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
        for batch in (request_heads()[begin : begin + 20] for begin in range(0, len(request_heads()), 20)):
            await asyncio.gather(
                *(send_and_receive(service, "http", head) for head in batch),
                *(send_and_receive(service, "http", whole, head) for head in batch),
                *(send_and_receive(service, "http", head, abort=True) for head in batch),
                *(send_and_receive(service, "tcp", head) for head in batch[:3]),
            )
        answer = await send_and_receive(service, "http", whole, seconds=TEST_TIMEOUT_SECONDS)
    assert b" 200 " in answer
    assert await service.stop() == 0
    assert WORD not in service.output
    assert "Traceback" not in service.output


async def test_setup(service: ServiceProcess) -> None:
    def entry(kind: Any, value: bytes) -> bytes:
        return setup(metadata=metadata.write_composite([(kind, value)]), metadata_mime=COMPOSITE)

    setups = [
        entry(metadata.AUTHENTICATION, metadata.write_bearer_auth(TOKEN)),
        entry(metadata.AUTHENTICATION, metadata.write_simple_auth(TOKEN + " ", "any")),
        entry(metadata.AUTHENTICATION, metadata.write_simple_auth("аda" + WORD, "any")),
        entry(metadata.AUTHENTICATION, metadata.write_simple_auth(WORD * 20, WORD)),
        entry(metadata.AUTHENTICATION, metadata.write_simple_auth("'" + WORD, '"' + WORD)),
        entry(metadata.AUTHENTICATION, b"\x85nonsense" + TOKEN.encode()),
        entry(metadata.AUTHENTICATION, b"\x7f" + TOKEN.encode()),
        entry(metadata.ROUTING, TOKEN.encode()),
        setup(metadata=TOKEN.encode(), metadata_mime=COMPOSITE),
        setup(metadata=TOKEN.encode(), metadata_mime=f"message/{WORD}"),
        setup(metadata=b"", metadata_mime=COMPOSITE, data_mime=f"application/{WORD}"),
        setup(metadata=b"", data=TOKEN.encode(), metadata_mime=COMPOSITE, major=7),
        TOKEN.encode(),
        error(0, 0x101, TOKEN),
        frame(FrameType.REQUEST_RESPONSE, 1, 0, TOKEN.encode(), TOKEN.encode()),
    ]
    handshake = (
        b"GET /rsocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
        await asyncio.gather(
            *(send_and_receive(service, "tcp", length_prefixed(each)) for each in setups),
            *(send_and_receive(service, "http", handshake, client_frame(BINARY, each)) for each in setups),
            send_and_receive(service, "http", handshake, client_frame(TEXT, TOKEN.encode())),
            send_and_receive(service, "http", handshake, client_frame(CLOSE, b"\x03\xe8" + TOKEN.encode())),
            send_and_receive(service, "http", handshake, TOKEN.encode() * 10),
        )
    assert await service.stop() == 0
    assert "connection refused" in service.output
    assert WORD not in service.output


async def test_requests(service: ServiceProcess) -> None:
    text = f"{WORD} " * 3
    broken = text.encode() + b"\xff"
    room = f"{WORD} room"
    bearer = [(metadata.ROUTING, metadata.write_route("chat.send"))]
    bearer.append((metadata.AUTHENTICATION, metadata.write_bearer_auth(TOKEN)))
    send = v1.SendRequest(room="general", client_id=WORD, text=text)
    requests = [
        call_frame(1, "chat.send", v1.SendRequest(room=room, client_id=WORD, text=text)),
        call_frame(3, "chat.send", v1.SendRequest(room=WORD, client_id=WORD, text=text)),
        call_frame(5, "chat.send", broken),
        call_frame(7, f"chat.{WORD}", broken),
        call_frame(9, "history.search", v1.SearchRequest(query=f'"{WORD} AND NEAR(')),
        call_frame(11, "rooms.create", v1.CreateRequest(room=room, title=text + "\x00")),
        call_frame(13, "session.refresh", v1.RefreshRequest(token=TOKEN)),
        call_frame(15, "chat.react", v1.ReactRequest(room=WORD, target=1, emoji=WORD)),
        *(fire_and_forget_frame(17 + 2 * number, "chat.send", each) for number, each in enumerate((broken, send))),
        fire_and_forget_frame(31, f"chat.{WORD}", broken),
        fire_and_forget_frame(33, "chat.send", v1.SendRequest(room=WORD, client_id=WORD, text=text)),
        watch_frame(41, 9, "chat.watch", v1.WatchRequest(room=room)),
        watch_frame(43, 9, "chat.watch", broken),
        channel_frame(45, 9, 1),
        frame(FrameType.REQUEST_CHANNEL, 47, 0, metadata.write_composite(bearer[:1]), broken, initial_n=9),
        frame(FrameType.REQUEST_RESPONSE, 49, 0, metadata.write_composite(bearer), send.SerializeToString()),
        frame(FrameType.REQUEST_FNF, 51, 0, metadata.write_composite(bearer), send.SerializeToString()),
        frame(FrameType.REQUEST_RESPONSE, 53, 0, broken, broken),
        frame(FrameType.METADATA_PUSH, 0, 0, broken),
        error(41, 0x201, text),
    ]
    endings = [error(0, 0x101, text), frame(FrameType.REQUEST_RESPONSE, 2, 0, broken, broken), broken]
    json = [b'{"room": "' + WORD.encode(), b'{"text": "\\ud800' + WORD.encode() + b'"}', b'"' + WORD.encode() + b'"']
    as_json = [
        call_frame(1 + 2 * number, "chat.send", each, mime="application/json") for number, each in enumerate(json)
    ]
    as_json += [
        fire_and_forget_frame(11 + 2 * number, "chat.send", each, mime="application/json")
        for number, each in enumerate(json)
    ]
    first = has_session(service)
    async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
        for ending in endings:
            answer = await send_and_receive(
                service, "tcp", length_prefixed(first, *requests), length_prefixed(ending), seconds=TEST_TIMEOUT_SECONDS
            )
            assert answer, service.output
        assert await send_and_receive(service, "tcp", length_prefixed(first, *as_json), seconds=TEST_TIMEOUT_SECONDS)
        await send_and_receive(service, "tcp", length_prefixed(first, *requests), abort=True)
    assert await service.stop() == 0
    assert "a fire-and-forget request failed" in service.output
    assert WORD not in service.output


@pytest.mark.parametrize("fault", [RuntimeError, KeyError, ValueError, UnicodeError, OSError, apsw.SQLError])
async def test_a_store_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise fault(f"near {WORD!r}: {WORD}")

    with structlog.testing.capture_logs() as lines:
        async with running_service(tmp_path) as service:
            async with tidings_client.connect(service.ws_url, user="ada") as client:
                store = service.app.store
                for name in ("append", "search", "page", "room", "read"):
                    if hasattr(store, name):
                        monkeypatch.setattr(store, name, fail, raising=False)
                for room in (WORD, "general"):
                    with pytest.raises(tidings_client.ApiError):
                        await client.rooms[room].send(WORD)
            monkeypatch.undo()
    assert lines
    assert WORD not in str(lines)


async def test_handlers_that_fail() -> None:
    with structlog.testing.capture_logs() as lines:
        async with running_harness() as harness, harness.peer("websocket") as peer:
            for number, route in enumerate(("test.crash", "test.later")):
                answer = await peer.request(1 + 2 * number, route, v1.SendRequest(text=WORD))
                assert answer.type is FrameType.ERROR
            await peer.send(fire_and_forget_frame(11, "test.crash"), fire_and_forget_frame(13, "test.later"))
            await peer.request(15, "test.echo")
        try:
            raise RuntimeError(WORD)
        except RuntimeError as fault:
            log_background_error(fault, "an errand")
            log.error("it broke", exc_info=fault)
    assert len(lines) >= 6
    assert WORD not in str(lines)
