"""rsocket-py 0.4.20 as the driver wants it: the same commands and events as `driver.cjs`, one JSON object a line."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from google.protobuf import json_format, message_factory
from reactivestreams.publisher import DefaultPublisher
from reactivestreams.subscriber import DefaultSubscriber, Subscriber
from reactivestreams.subscription import DefaultSubscription, Subscription
from rsocket.error_codes import ErrorCode
from rsocket.exceptions import RSocketProtocolError, RSocketTransportError
from rsocket.extensions.helpers import authenticate_bearer, authenticate_simple, composite, data_mime_type, route
from rsocket.extensions.mimetypes import WellKnownMimeTypes
from rsocket.frame import KeepAliveFrame
from rsocket.helpers import single_transport_provider
from rsocket.payload import Payload
from rsocket.request_handler import BaseRequestHandler
from rsocket.rsocket_client import RSocketClient
from rsocket.transports.aiohttp_websocket import TransportAioHttpClient
from rsocket.transports.tcp import TransportTCP
from rsocket.transports.transport import Transport

from tidings.contract.gen.tidings.v1 import chat_pb2, history_pb2, presence_pb2, receipts_pb2, rooms_pb2, session_pb2

FILES = (chat_pb2, history_pb2, presence_pb2, receipts_pb2, rooms_pb2, session_pb2)
METHODS = {
    f"{service.name}.{method.name}".lower(): method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
JSON_MIME = "application/json"
PROTOBUF_MIME = "application/octet-stream"
# A command line holds a message of 64 KiB at most, every byte of it escaped.
LINE_BYTES_MAX = 1 << 20


def _application_code(_: type[ErrorCode], value: object) -> ErrorCode:
    code = int.__new__(ErrorCode, value)  # type: ignore[call-overload]
    code._name_, code._value_ = "APPLICATION_ERROR", value
    return code


# The library knows the codes of the specification only: an application's own code, which the specification allows
# from 0x301 on, raises ValueError in its parser and leaves the caller waiting for ever.
ErrorCode._missing_ = classmethod(_application_code)


class WebSocketTransport(TransportAioHttpClient):  # type: ignore[misc]
    """The library's own, which keeps an orderly close to itself; here it ends the connection, as on TCP."""

    async def handle_incoming_ws_messages(self) -> None:
        await super().handle_incoming_ws_messages()
        self._incoming_frame_queue.put_nowait(RSocketTransportError())


async def open_transport(url: str) -> Transport:
    address = urlsplit(url)
    if address.scheme == "ws":
        return WebSocketTransport(url)
    return TransportTCP(*await asyncio.open_connection(address.hostname, address.port))


def print_message(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def error_fields(error: BaseException | None) -> dict[str, Any]:
    """What a test may know of an error: RSocket's code, where the library tells it, and the text."""
    if isinstance(error, RSocketProtocolError):
        return {"code": int(error.error_code), "text": error.data or ""}
    return {"code": None, "text": str(error or "")}


class MessageCodec:
    """How the requests of a route are written and its answers are read, in the encoding of `mime`."""

    def __init__(self, name: str, mime: str) -> None:
        self._method = METHODS.get(name)
        self._json = mime == JSON_MIME

    def write(self, message: dict[str, Any]) -> bytes:
        if self._json:
            return json.dumps(message).encode()
        if self._method is None:
            return b""
        request = message_factory.GetMessageClass(self._method.input_type)()
        return json_format.ParseDict(message, request).SerializeToString()

    def read(self, data: bytes | None) -> Any:
        if self._json:
            return json.loads(bytes(data or b""))
        assert self._method is not None
        reply = message_factory.GetMessageClass(self._method.output_type).FromString(bytes(data or b""))
        return json_format.MessageToDict(reply)


def metadata(name: str | None = None, mime: str | None = None, auth: dict[str, str] | None = None) -> bytes:
    items = []
    if name:
        items.append(route(name))
    if mime:
        items.append(data_mime_type(mime.encode()))
    if auth:
        simple = "token" not in auth
        items.append(authenticate_simple(**_named(auth)) if simple else authenticate_bearer(auth["token"]))
    return composite(*items)  # type: ignore[no-any-return]


def _named(auth: dict[str, str]) -> dict[str, str]:
    return {"username": auth["user"], "password": auth["password"]}


class ReportingClient(RSocketClient):  # type: ignore[misc]
    """The library's client, telling of every KEEPALIVE."""

    connection = 0

    async def handle_keep_alive(self, frame: KeepAliveFrame) -> None:
        print_message({"connection": self.connection, "keepalive": "ask" if frame.flags_respond else "echo"})
        await super().handle_keep_alive(frame)


def handler_for(connection: int) -> type[BaseRequestHandler]:
    class Handler(BaseRequestHandler):  # type: ignore[misc]
        reason: BaseException | None = None

        async def on_error(self, error_code: ErrorCode, payload: Payload) -> None:
            self.reason = RSocketProtocolError(error_code, bytes(payload.data or b"").decode())

        async def on_close(self, rsocket: RSocketClient, exception: Exception | None = None) -> None:
            print_message({"connection": connection, "closed": error_fields(self.reason or exception)})

    return Handler


class ReportingSubscriber(DefaultSubscriber):  # type: ignore[misc]
    """A stream's end at the requester: each item goes to the test."""

    def __init__(self, stream: int, messages: MessageCodec) -> None:
        super().__init__()
        self.stream = stream
        self.messages = messages

    def on_next(self, value: Payload, is_complete: bool = False) -> None:
        print_message({"stream": self.stream, "item": self.messages.read(value.data)})
        if is_complete:
            self.on_complete()

    def on_complete(self) -> None:
        print_message({"stream": self.stream, "complete": True})

    def on_error(self, exception: Exception) -> None:
        print_message({"stream": self.stream, "error": error_fields(exception)})


class ChannelPublisher(DefaultPublisher, DefaultSubscription):  # type: ignore[misc]
    """Commands of a channel that wait for the peer's credit."""

    def __init__(self) -> None:
        self.waiting: deque[Payload] = deque()
        self.credit = 0
        self.completed = False

    def subscribe(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        subscriber.on_subscribe(self)

    def request(self, n: int) -> None:
        self.credit += n
        self.flush()

    def cancel(self) -> None:
        self.waiting.clear()

    def send(self, payload: Payload) -> None:
        self.waiting.append(payload)
        self.flush()

    def complete(self) -> None:
        self.completed = True
        self.flush()

    def flush(self) -> None:
        while self.credit and self.waiting:
            self.credit -= 1
            self.subscriber.on_next(self.waiting.popleft())
        if self.completed and not self.waiting:
            self.completed = False
            self.subscriber.on_complete()


class Commands:
    """What a test may ask; each method is a command."""

    def __init__(self) -> None:
        self.sockets: dict[int, tuple[ReportingClient, str]] = {}
        self.streams: dict[int, Subscription] = {}
        self.outboxes: dict[int, tuple[ChannelPublisher, MessageCodec]] = {}

    async def connect(
        self,
        connection: int,
        url: str,
        keepaliveMs: int,
        lifetimeMs: int,
        dataMime: str | None = None,
        fragmentBytes: int | None = None,
        auth: dict[str, str] | None = None,
        leases: bool = False,
    ) -> None:
        socket = ReportingClient(
            single_transport_provider(await open_transport(url)),
            handler_factory=handler_for(connection),
            data_encoding=dataMime or PROTOBUF_MIME,
            metadata_encoding=WellKnownMimeTypes.MESSAGE_RSOCKET_COMPOSITE_METADATA,
            keep_alive_period=timedelta(milliseconds=keepaliveMs),
            max_lifetime_period=timedelta(milliseconds=lifetimeMs),
            setup_payload=Payload(b"", metadata(auth=auth)) if auth else None,
            fragment_size_bytes=fragmentBytes,
            honor_lease=leases,
        )
        socket.connection = connection
        self.sockets[connection] = (await socket.connect(), dataMime or PROTOBUF_MIME)

    async def call(self, **request: Any) -> Any:
        socket, messages, payload = self._request(**request)
        return messages.read((await socket.request_response(payload)).data)

    async def fire(self, **request: Any) -> None:
        socket, _, payload = self._request(**request)
        await socket.fire_and_forget(payload)

    async def watch(self, stream: int, n: int, **request: Any) -> None:
        socket, messages, payload = self._request(**request)
        self.streams[stream] = publisher = socket.request_stream(payload).initial_request_n(n)
        publisher.subscribe(ReportingSubscriber(stream, messages))

    async def channel(self, stream: int, n: int, **request: Any) -> None:
        socket, messages, payload = self._request(**request)
        outbox = ChannelPublisher()
        self.outboxes[stream] = (outbox, messages)
        self.streams[stream] = publisher = socket.request_channel(payload, outbox).initial_request_n(n)
        publisher.subscribe(ReportingSubscriber(stream, messages))

    async def request(self, stream: int, n: int) -> None:
        self.streams[stream].request(n)

    async def cancel(self, stream: int) -> None:
        self.streams[stream].cancel()

    async def send(self, stream: int, message: dict[str, Any]) -> None:
        outbox, messages = self.outboxes[stream]
        outbox.send(Payload(messages.write(message)))

    async def complete(self, stream: int) -> None:
        self.outboxes[stream][0].complete()

    async def close(self, connection: int) -> None:
        await self.sockets[connection][0].close()

    def _request(
        self,
        connection: int,
        route: str,
        message: dict[str, Any],
        mime: str | None = None,
        auth: dict[str, str] | None = None,
    ) -> tuple[ReportingClient, MessageCodec, Payload]:
        socket, data_mime = self.sockets[connection]
        messages = MessageCodec(route, mime or data_mime)
        return socket, messages, Payload(messages.write(message), metadata(route, mime, auth))


async def run_command(command: Callable[..., Awaitable[Any]], number: int, arguments: dict[str, Any]) -> None:
    try:
        print_message({"id": number, "result": await command(**arguments)})
    except Exception as error:
        print_message({"id": number, "error": error_fields(error)})


async def main() -> None:
    lines = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    commands = Commands()
    running = set()
    while line := await lines.readline():
        arguments = json.loads(line)
        number, name = arguments.pop("id"), arguments.pop("do")
        task = asyncio.create_task(run_command(getattr(commands, name), number, arguments))
        running.add(task)
        task.add_done_callback(running.discard)


if __name__ == "__main__":
    asyncio.run(main())
