"""The sockets: TLS, WebSocket messages in pieces, text, goodbyes with a reason, and a socket that is full."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import tidings_client
from client.fake_service import FAST_BACKOFF, FakeService
from service_runner import running_service
from tidings.contract import v1
from tidings_client import ApiError
from tidings_client.address import parse_address
from tidings_client.transports import FRAME_BYTES_MAX, Transport, open_transport

pytestmark = pytest.mark.asyncio


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@pytest.fixture
def secure(scheme: str) -> str:
    """The scheme with TLS."""
    return {"tcp": "tls", "ws": "wss"}[scheme]


async def start_secure(folder: Path) -> tuple[FakeService, Path]:
    certificate_file, key_file = certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate_file, key_file)
    service = FakeService()
    await service.start(context)
    return service, certificate_file


async def test_tls_on_both_wires(scheme: str, secure: str, tmp_path: Path) -> None:
    service, authority = await start_secure(tmp_path)
    url = service.url(scheme).replace(f"{scheme}://", f"{secure}://")
    context = ssl.create_default_context(cafile=str(authority))
    async with tidings_client.connect(url, ssl=context) as client:
        text = "x" * 500_000
        await client.rooms["general"].send(text)
        assert [event.posted.text async for event in client.rooms["general"].read()] == [text]
    service.stop()


async def test_a_certificate_that_nobody_vouches_for_is_not_taken(scheme: str, secure: str, tmp_path: Path) -> None:
    service, _ = await start_secure(tmp_path)
    url = service.url(scheme).replace(f"{scheme}://", f"{secure}://")
    with pytest.raises(ApiError, match=r"cannot reach .*: TLS failed: .*CERTIFICATE"):
        async with tidings_client.connect(url):
            pass
    service.stop()


async def test_who_leaves_out_tls_is_told_how_to_write_the_address(scheme: str, secure: str, tmp_path: Path) -> None:
    service, _ = await start_secure(tmp_path)
    with pytest.raises(ApiError, match=f"; if the service has TLS, write {secure}:// instead of {scheme}://$"):
        async with tidings_client.connect(service.url(scheme)):
            pass
    service.stop()


async def test_who_asks_a_service_without_tls_for_it_is_told_at_once_how_to_write_the_address(
    scheme: str, secure: str, tmp_path: Path
) -> None:
    async with running_service(tmp_path) as service:
        url = service.ws_url if scheme == "ws" else service.tcp_url
        with pytest.raises(ApiError, match=f"; if the service has no TLS, write {scheme}:// instead of {secure}://$"):
            async with tidings_client.connect(url.replace(f"{scheme}://", f"{secure}://"), connect_seconds=3600):
                pass


class RecordingTransportObserver:
    """Keeps what a wire says."""

    def __init__(self) -> None:
        self.transport: Transport | None = None
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.protocol_error: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.is_writable = True
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_transport_open(self, transport: Transport) -> None:
        self.transport = transport

    def on_frames(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self.frames.put_nowait(frame)

    def on_writable_changed(self, writable: bool) -> None:
        self.is_writable = writable

    def on_protocol_error(self, text: str) -> None:
        self.protocol_error.set_result(text)

    def on_transport_lost(self, text: str) -> None:
        self.lost.set_result(text)


async def websocket_server(talk: object) -> tuple[websockets.Server, str]:
    """An independent WebSocket server, and its address."""
    server = await websockets.serve(talk, "127.0.0.1", 0, max_size=None)  # type: ignore[arg-type]
    return server, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/rsocket"


async def test_a_message_in_pieces_is_one_frame_and_text_is_ignored() -> None:
    async def talk(connection: websockets.ServerConnection) -> None:
        await connection.send([b"one ", b"whole ", b"frame"])
        await connection.send("text")
        await connection.send(["text ", "in pieces"])
        await connection.send(b"another")
        await connection.wait_closed()

    server, url = await websocket_server(talk)
    owner = RecordingTransportObserver()
    await open_transport(parse_address(url), owner, ssl=None, seconds=10)
    assert await owner.frames.get() == b"one whole frame"
    assert await owner.frames.get() == b"another"
    assert owner.transport is not None
    owner.transport.close()
    assert await owner.lost == ""
    server.close()


async def test_chunks_leave_as_one_message_for_each_frame() -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def talk(connection: websockets.ServerConnection) -> None:
        async for message in connection:
            assert isinstance(message, bytes)
            received.put_nowait(message)

    server, url = await websocket_server(talk)
    owner = RecordingTransportObserver()
    await open_transport(parse_address(url), owner, ssl=None, seconds=10)
    assert owner.transport is not None
    owner.transport.send([b"\0\0\3abc" + b"\0\0\2de", b"\0\0\0", b"\0\0\1f"])
    assert [await received.get() for _ in range(4)] == [b"abc", b"de", b"", b"f"]
    owner.transport.abort()
    await owner.lost
    server.close()


async def test_a_message_in_pieces_has_a_limit_too() -> None:
    async def talk(connection: websockets.ServerConnection) -> None:
        piece = bytes(FRAME_BYTES_MAX // 2)
        await connection.send([piece, piece, piece])
        await connection.wait_closed()

    server, url = await websocket_server(talk)
    owner = RecordingTransportObserver()
    await open_transport(parse_address(url), owner, ssl=None, seconds=10)
    assert await owner.protocol_error == "a message exceeds 16,777,215 bytes"
    assert owner.transport is not None
    owner.transport.close()
    await owner.lost
    assert owner.frames.empty()
    server.close()


async def test_the_reason_of_a_websocket_goodbye_is_what_the_client_says() -> None:
    async def talk(connection: websockets.ServerConnection) -> None:
        await connection.recv()
        await connection.close(1008, "UNAUTHENTICATED: the token is not signed by us")

    server, url = await websocket_server(talk)
    with pytest.raises(ApiError, match="UNAUTHENTICATED: the token is not signed by us"):
        async with tidings_client.connect(url, wait=True):
            pass
    server.close()


async def test_what_need_not_be_sent_is_not_sent_into_a_full_socket(scheme: str, service: FakeService) -> None:
    async with tidings_client.connect(service.url(scheme), backoff=FAST_BACKOFF, call_seconds=60) as client:
        request = v1.SendRequest(room="general", text="x" * 1_000_000)
        service.sessions[0].pause_reading()
        for _ in range(1000):
            if not client.fire_and_forget("chat.send", request):
                break
            await asyncio.sleep(0)
        sending = asyncio.create_task(client.rooms["general"].send("behind"))
        await asyncio.sleep(0)
        service.sessions[0].resume_reading()
        assert (await sending).cursor.seq == service.counts["chat.send"]
        assert client.fire_and_forget("chat.send", request)


async def test_nothing_is_written_to_a_socket_that_has_failed(
    scheme: str, service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    owner = RecordingTransportObserver()
    await open_transport(parse_address(service.url(scheme)), owner, ssl=None, seconds=60)
    assert owner.transport is not None
    service.sessions[0].abort()
    await asyncio.sleep(0)  # the service's socket is closed now, and ours has not been looked at yet
    for _ in range(100):
        owner.transport.send([(1_000).to_bytes(3, "big") + bytes(1_000)])
    await owner.lost
    assert caplog.messages == []
