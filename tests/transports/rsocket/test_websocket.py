"""RSocket over WebSocket on the wire: the handshake, items 86 to 88, closing. Independent client: `websockets`."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import websockets.asyncio.client
import websockets.exceptions
from websockets.extensions.permessage_deflate import PerMessageDeflate

from kits.transport.harness import (
    LARGE_REQUEST_SETTINGS,
    SETTINGS,
    TEST_TIMEOUT_SECONDS,
    TransportHarness,
    call_frame,
    decode_reply,
    encode_message,
    request_metadata,
    running_harness,
    setup_frame,
    watch_frame,
)
from rsocket_harness import frame, setup
from tidings.contract import v1
from tidings.protocols.rsocket import FrameType, decode
from tidings.protocols.rsocket.frames import FOLLOWS
from transports.websocket.test_frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, client_frame, compressed_frame

HANDSHAKE = (
    b"GET /rsocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class RawWebSocket:
    """A WebSocket client of bare bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read_head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), TEST_TIMEOUT_SECONDS)

    async def read_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame of the server."""
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            first, second = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80, "whole, and no reserved bit"
            assert second < 0x80, "not masked"
            size = second
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            return first & 0x0F, await self.reader.readexactly(size)

    async def read_close(self) -> tuple[int, str]:
        """Code and reason of CLOSE; then nothing more comes."""
        opcode, payload = await self.read_frame()
        while opcode != CLOSE:
            opcode, payload = await self.read_frame()
        self.writer.write(client_frame(CLOSE, payload[:2]))
        assert await asyncio.wait_for(self.reader.read(), TEST_TIMEOUT_SECONDS) == b""
        self.writer.close()
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()


async def open_raw_websocket(harness: TransportHarness, head: bytes = HANDSHAKE, behind: bytes = b"") -> RawWebSocket:
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.listener.http_port)
    writer.write(head + b"\r\n" + behind)
    return RawWebSocket(reader, writer)


async def open_raw_session(harness: TransportHarness) -> RawWebSocket:
    """Handshake and SETUP are done."""
    client = await open_raw_websocket(harness, behind=client_frame(BINARY, setup_frame("ada")))
    assert b" 101 " in await client.read_head()
    return client


@contextlib.asynccontextmanager
async def deflating(harness: TransportHarness) -> AsyncIterator[websockets.asyncio.client.ClientConnection]:
    """`websockets` with its compression, behind SETUP."""
    async with websockets.asyncio.client.connect(harness.ws_url, compression="deflate", max_size=None) as socket:
        await socket.send(setup_frame("ada"))
        yield socket


async def receive_messages(socket: websockets.asyncio.client.ClientConnection) -> bytes:
    message = await asyncio.wait_for(socket.recv(), TEST_TIMEOUT_SECONDS)
    assert isinstance(message, bytes)
    return message


def echo_frame(stream_id: int, text: str = "") -> bytes:
    return call_frame(stream_id, "test.echo", v1.SendRequest(text=text))


# --- handshake --------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_handshake_is_answered_as_in_the_specification() -> None:
    async with running_harness() as harness:
        client = await open_raw_websocket(harness)
        head = await client.read_head()
        # The example of RFC 6455, section 1.3.
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert b"Sec-WebSocket-Protocol" not in head
        assert b"Sec-WebSocket-Extensions" not in head
        client.writer.close()


@pytest.mark.asyncio
async def test_firefox_that_keeps_alive_and_upgrades_is_let_in() -> None:
    async with running_harness() as harness:
        client = await open_raw_websocket(
            harness, HANDSHAKE.replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade")
        )
        assert b" 101 " in await client.read_head()
        client.writer.close()


@pytest.mark.asyncio
async def test_setup_and_requests_right_behind_the_handshake_are_served() -> None:
    async with running_harness() as harness:
        client = await open_raw_websocket(
            harness, behind=client_frame(BINARY, setup_frame("ada")) + client_frame(BINARY, echo_frame(1, "early"))
        )
        await client.read_head()
        opcode, payload = await client.read_frame()
        assert (opcode, decode_reply(decode(payload)).cursor.epoch) == (BINARY, "early")
        client.writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((b"Version: 13", b"Version: 8"), 426),
        ((b"Sec-WebSocket-Version: 13\r\n", b""), 426),
        ((b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhl"), 400),
        ((b"dGhlIHNhbXBsZSBub25jZQ==", b"not base64 at all!!!!!!!"), 400),
        ((b"Host: 127.0.0.1", b"Content-Length: 5\r\nHost: 127.0.0.1"), 400),
        ((b"Host: 127.0.0.1", b"Transfer-Encoding: chunked\r\nHost: 127.0.0.1"), 400),
        ((b"Host: 127.0.0.1", b"Sec-WebSocket-Version: 13\r\nHost: 127.0.0.1"), 400),
        ((b"GET", b"POST"), 405),
    ],
)
async def test_what_is_no_handshake_is_refused_and_closed(change: tuple[bytes, bytes], status: int) -> None:
    async with running_harness() as harness:
        client = await open_raw_websocket(harness, HANDSHAKE.replace(*change, 1))
        assert f"HTTP/1.1 {status} ".encode() in await client.read_head()
        assert b'"text"' in await asyncio.wait_for(client.reader.read(), TEST_TIMEOUT_SECONDS)
        assert not harness.connection_count
        client.writer.close()


# --- items ------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("offered", "selected"),
    [(None, None), (["rsocket"], "rsocket"), (["chat", "rsocket"], "rsocket"), (["chat", "mail"], "chat")],
)
async def test_item_86_a_subprotocol_is_selected_where_one_is_offered(offered: Any, selected: str | None) -> None:
    async with (
        running_harness() as harness,
        websockets.asyncio.client.connect(harness.ws_url, subprotocols=offered) as socket,
    ):
        assert socket.subprotocol == selected


@pytest.mark.asyncio
async def test_item_86_only_binary_messages_are_sent() -> None:
    async with running_harness() as harness, harness.peer("websocket") as peer:
        await peer.send(echo_frame(1))
        assert isinstance(await peer.socket.recv(), bytes)


@pytest.mark.asyncio
async def test_item_87_a_text_message_closes_with_1003() -> None:
    async with running_harness() as harness, harness.peer("websocket") as peer:
        assert (await peer.request(1, "test.echo")).stream_id == 1
        await peer.socket.send("undefined")
        await peer.read_until_closed()
        assert peer.socket.close_code == 1003


@pytest.mark.asyncio
async def test_item_87_an_empty_message_is_a_protocol_error() -> None:
    async with running_harness() as harness:
        async with harness.peer("websocket") as peer:
            await peer.send(b"")
            assert (await peer.receive_connection_error())[0] == 0x101
            assert peer.socket.close_code == 1002
        async with harness.peer("websocket", b"") as peer:
            await peer.send(b"")
            assert (await peer.receive_connection_error())[0] == 0x001


@pytest.mark.asyncio
async def test_item_88_a_message_of_16777215_bytes_is_taken() -> None:
    async with running_harness(LARGE_REQUEST_SETTINGS) as harness, harness.peer("websocket") as peer:
        head = call_frame(1, "test.echo")
        text = "a" * (16_777_215 - len(head) - 5)  # tag and length of the field take five bytes
        request = call_frame(1, "test.echo", v1.SendRequest(text=text))
        assert len(request) == 16_777_215
        await peer.send(request)
        data = b""
        done = False
        while not done:
            found = await peer.receive()
            data += found.data
            done = not found.flags & 0x80
        assert v1.SendReply.FromString(data).at_ms == len(text)


@pytest.mark.asyncio
async def test_item_88_a_message_of_16777216_bytes_closes_with_1009() -> None:
    async with running_harness() as harness:
        client = await open_raw_session(harness)
        client.writer.write(bytes((0x82, 0xFF)) + (16_777_216).to_bytes(8, "big") + bytes(4))
        assert (await client.read_close())[0] == 1009


@pytest.mark.asyncio
async def test_item_88_compression_is_agreed_on_where_it_is_offered() -> None:
    async with running_harness() as harness, deflating(harness) as socket:
        (extension,) = socket.protocol.extensions
        assert isinstance(extension, PerMessageDeflate)
        assert (extension.remote_no_context_takeover, extension.local_no_context_takeover) == (True, True)
        for text in ("small", "large " * 2_000):
            await socket.send(echo_frame(1, text))  # `websockets` compresses everything it sends
            assert decode_reply(decode(await receive_messages(socket))).cursor.epoch == text


@pytest.mark.asyncio
async def test_item_88_compression_can_be_switched_off() -> None:
    settings = replace(SETTINGS, connections=replace(SETTINGS.connections, compression_threshold_bytes=0))
    async with running_harness(settings) as harness, deflating(harness) as socket:
        assert socket.protocol.extensions == []
        await socket.send(echo_frame(1, "plain"))
        assert decode_reply(decode(await receive_messages(socket))).cursor.epoch == "plain"


@pytest.mark.asyncio
async def test_large_items_are_compressed_for_readers_with_any_stream_id_and_small_ones_are_not() -> None:
    async with running_harness() as harness, deflating(harness) as socket:
        seen: list[tuple[int, bool]] = []
        (extension,) = socket.protocol.extensions
        decoding = extension.decode

        def spied(frame: Any, **limits: Any) -> Any:
            seen.append((len(frame.data), frame.rsv1))
            return decoding(frame, **limits)

        extension.decode = spied  # type: ignore[method-assign]
        for stream_id in (1, 3, 255):
            for text in ("short", "long " * 1_000, "long " * 13_000, "longer than a fragment " * 3_000):
                await socket.send(watch_frame(stream_id, 1, message=v1.WatchRequest(room=text)))
                data, more = b"", True
                while more:
                    found = decode(await receive_messages(socket))
                    assert found.stream_id == stream_id
                    data += found.data
                    more = bool(found.flags & FOLLOWS)
                assert v1.WatchItem.FromString(data).cursor.epoch == text
                await socket.send(frame(FrameType.CANCEL, stream_id))
        assert [compressed for _, compressed in seen] == [False, True, True, False, False] * 3
        assert all(size < 1_000 for size, compressed in seen if compressed)


@pytest.mark.asyncio
async def test_item_88_a_bomb_closes_with_1009() -> None:
    async with running_harness() as harness, deflating(harness) as socket:
        await socket.send(bytes(SETTINGS.connections.inflated_bytes_max + 1))
        assert decode(await receive_messages(socket)).type is FrameType.ERROR
        await asyncio.wait_for(socket.wait_closed(), TEST_TIMEOUT_SECONDS)
        assert socket.close_code == 1009


@pytest.mark.asyncio
async def test_many_large_compressed_messages_at_once_are_all_answered_in_order() -> None:
    text = "a" * 100_000
    wire = b"".join(compressed_frame(echo_frame(1 + 2 * number, text)) for number in range(50))
    assert len(wire) < 20_000
    async with running_harness() as harness:
        client = await open_raw_websocket(harness, HANDSHAKE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n")
        client.writer.write(compressed_frame(setup_frame("ada")) + wire)
        assert b"Sec-WebSocket-Extensions: permessage-deflate; server_no" in await client.read_head()
        streams = []
        while len(streams) < 50:
            found = decode((await client.read_frame())[1])
            if not found.flags & FOLLOWS:
                streams.append(found.stream_id)
        assert streams == [1 + 2 * number for number in range(50)]
        client.writer.close()


@pytest.mark.asyncio
async def test_data_that_is_no_deflate_closes_with_1007() -> None:
    async with running_harness() as harness:
        client = await open_raw_websocket(harness, HANDSHAKE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n")
        client.writer.write(client_frame(BINARY, setup_frame("ada")) + client_frame(BINARY, b"\xff" * 9, reserved=0x40))
        await client.read_head()
        assert (await client.read_close())[0] == 1007


# --- frames of WebSocket ----------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_message_in_pieces_with_pings_between_is_one_frame() -> None:
    async with running_harness() as harness:
        client = await open_raw_session(harness)
        whole = echo_frame(1, "x" * 300)
        client.writer.write(
            client_frame(BINARY, whole[:10], final=False)
            + client_frame(PING, b"there?")
            + client_frame(CONTINUATION, b"", final=False)
            + client_frame(CONTINUATION, whole[10:])
        )
        found = dict([await client.read_frame(), await client.read_frame()])
        assert found[0xA] == b"there?"
        assert decode_reply(decode(found[BINARY])).cursor.epoch == "x" * 300
        client.writer.close()


@pytest.mark.asyncio
async def test_ping_is_answered() -> None:
    async with running_harness() as harness, harness.peer("websocket") as peer:
        await asyncio.wait_for(await peer.socket.ping(os.urandom(125)), TEST_TIMEOUT_SECONDS)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (bytes((0x82, 0x01)) + b"a", 1002),
        (client_frame(BINARY, b"a", reserved=0x40), 1002),
        (client_frame(CONTINUATION, b"a"), 1002),
        (client_frame(PING, b"a" * 126), 1002),
        (client_frame(TEXT, b"hello"), 1003),
        (client_frame(CLOSE, b"\x03"), 1002),
    ],
)
async def test_a_broken_rule_closes_with_its_code_after_an_error_frame(wire: bytes, code: int) -> None:
    async with running_harness() as harness:
        client = await open_raw_session(harness)
        client.writer.write(client_frame(BINARY, echo_frame(1)) + wire + client_frame(BINARY, echo_frame(3)))
        errors = []
        opcode, payload = await client.read_frame()
        while opcode == BINARY:
            errors += [decode(payload)] if decode(payload).type is FrameType.ERROR else []
            opcode, payload = await client.read_frame()
        assert opcode == CLOSE
        assert int.from_bytes(payload[:2], "big") == code
        assert [each.fields["code"] for each in errors] == [0x101]
        assert await asyncio.wait_for(client.reader.read(), TEST_TIMEOUT_SECONDS) == b""
        client.writer.close()
        await harness.next_closed_session()


@pytest.mark.asyncio
async def test_a_first_message_that_is_too_big_for_a_stranger_closes_with_1009() -> None:
    async with running_harness() as harness, harness.peer("websocket", b"") as peer:
        await peer.send(setup(metadata=request_metadata(user="a" * 65_000), data=bytes(1_000)))
        await peer.read_until_closed()
        assert peer.socket.close_code == 1009


@pytest.mark.asyncio
async def test_a_long_first_message_is_not_kept_beyond_its_limit() -> None:
    async with running_harness() as harness:
        client = await open_raw_websocket(
            harness, behind=bytes((0x82, 0xFF)) + (16_000_000).to_bytes(8, "big") + bytes(4)
        )
        await client.read_head()
        assert (await client.read_close())[0] == 1009


# --- closing ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(("sent", "echoed"), [(b"\x03\xe8bye", b"\x03\xe8"), (b"", b""), (b"\x0f\xa0", b"\x0f\xa0")])
async def test_the_peers_close_is_answered_with_its_code_and_ends_the_session(sent: bytes, echoed: bytes) -> None:
    async with running_harness() as harness:
        client = await open_raw_session(harness)
        client.writer.write(client_frame(BINARY, echo_frame(1)))
        assert (await client.read_frame())[0] == BINARY
        client.writer.write(client_frame(CLOSE, sent))
        assert await client.read_frame() == (CLOSE, echoed)
        assert await asyncio.wait_for(client.reader.read(), TEST_TIMEOUT_SECONDS) == b""
        await harness.next_closed_session()
        client.writer.close()


@pytest.mark.asyncio
async def test_a_peer_that_never_answers_close_is_cut_off() -> None:
    settings = replace(SETTINGS, connections=replace(SETTINGS.connections, close_seconds=0.05))
    async with running_harness(settings) as harness:
        client = await open_raw_websocket(harness, behind=client_frame(BINARY, setup_frame("mallory")))
        await client.read_head()
        opcode, _ = await client.read_frame()
        while opcode != CLOSE:
            opcode, _ = await client.read_frame()
        # Nothing is answered; the service must not wait for ever.
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.read_frame()
        await harness.wait_until(lambda: not harness.connection_count)
        client.writer.close()


@pytest.mark.asyncio
async def test_the_reason_of_close_is_cut_to_what_fits() -> None:
    async with running_harness() as harness, harness.peer("websocket", setup(data_mime="a/" + "b" * 200)) as peer:
        _, text = await peer.receive_connection_error()
        assert len(peer.socket.close_reason) <= 123
        assert text.startswith(peer.socket.close_reason)


@pytest.mark.asyncio
async def test_nothing_is_sent_behind_close() -> None:
    async with running_harness() as harness:
        client = await open_raw_websocket(
            harness,
            behind=client_frame(BINARY, setup_frame("mallory"))
            + client_frame(PING, b"x")
            + client_frame(
                BINARY,
                frame(FrameType.REQUEST_RESPONSE, 1, metadata=request_metadata("test.echo"), data=encode_message(None)),
            ),
        )
        await client.read_head()
        await client.read_close()
