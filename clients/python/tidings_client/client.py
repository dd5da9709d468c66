"""The client: one connection to a service, kept alive, and everything that can be asked over it."""

import ssl as tls
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TypeVar

from google.protobuf.message import Message

from tidings.contract import v1
from tidings.contract.codecs import JSON, PROTOBUF
from tidings_client import flow_window as windows
from tidings_client.address import parse_address
from tidings_client.backoff import BackoffPolicy
from tidings_client.calls import CALL_SECONDS, CALLS_MAX, CallRunner, with_client_id
from tidings_client.channel import Channel
from tidings_client.client_context import DEFAULT_SECONDS, ClientContext
from tidings_client.credentials import CredentialsProvider, TokenSource
from tidings_client.errors import ApiError, ConnectionLostError, RequestRejectedError
from tidings_client.presence import Presence
from tidings_client.reconnector import ClientState, ConnectionSettings, Reconnector
from tidings_client.rooms import Rooms
from tidings_client.rx import Rx
from tidings_client.search import search
from tidings_client.session import Session

ReplyT = TypeVar("ReplyT", bound=Message)


def connect(
    url: str,
    token: TokenSource | None = None,
    *,
    user: str | None = None,
    password: str | None = None,
    json: bool = False,
    ssl: tls.SSLContext | None = None,
    wait: bool = False,
    connect_seconds: float = 10.0,
    call_seconds: float | None = CALL_SECONDS,
    calls_max: int = CALLS_MAX,
    keepalive_seconds: float = 20.0,
    lifetime_seconds: float = 90.0,
    window_items: int = windows.ITEMS_MAX,
    window_bytes: int = windows.BYTES_MAX,
    backoff: BackoffPolicy = BackoffPolicy(),
) -> "Client":
    """A client of the service at `url`, to be used with `async with`.

    url                ws://host:port/rsocket, wss://…, tcp://host:port, or tls://host:port (TCP under TLS)
    token              who you are, signed; or a function (plain or async) that gives a fresh token each time it is
                       called: then tokens are renewed before they run out, on the living connection
    user, password     who you are, where the service takes that (`tidings serve --dev` takes any password)
    json               JSON payloads instead of Protobuf, to read along on the wire
    ssl                your own TLS context, for wss:// and tls://
    wait               keep trying if the service is not there yet; otherwise entering raises UNAVAILABLE at once
    connect_seconds    for one attempt: socket, handshake and first answer
    call_seconds       how long a call is tried in all; None: for ever
    calls_max          calls under way at once; further ones wait their turn
    keepalive_seconds  how often a sign of life is sent
    lifetime_seconds   the service counts as dead when it was silent for so long
    window_items       how far ahead of its consumer a watch asks, in items
    window_bytes       and in bytes that lie here untaken
    jitter             the pauses between attempts

    Raises Failure: INVALID_ARGUMENT for a URL that is none. Entering raises UNAVAILABLE if nobody is there, and
    UNAUTHENTICATED if the service does not take the token.
    """
    settings = ConnectionSettings(
        parse_address(url),
        ssl=ssl,
        codec=JSON if json else PROTOBUF,
        connect_seconds=connect_seconds,
        wait=wait,
        keepalive_seconds=keepalive_seconds,
        lifetime_seconds=lifetime_seconds,
        backoff=backoff,
    )
    return Client(
        settings,
        CredentialsProvider(token, user, password),
        call_seconds=call_seconds,
        calls_max=calls_max,
        window_items=window_items,
        window_bytes=window_bytes,
    )


class Client:
    """Made by `connect`. Belongs to the event loop it was entered on; no method may be called from another thread."""

    def __init__(
        self,
        settings: ConnectionSettings,
        credentials: CredentialsProvider,
        *,
        call_seconds: float | None,
        calls_max: int,
        window_items: int,
        window_bytes: int,
    ) -> None:
        reconnector = Reconnector(settings, credentials)
        calls = CallRunner(reconnector, calls_max=calls_max)
        self._reconnector = reconnector
        self._context = ClientContext(reconnector, calls, call_seconds, window_items, window_bytes)
        self.rooms = Rooms(self._context)
        self.presence = Presence(self._context)
        self.session = Session(self._context)
        self.rx = Rx(self.rooms, self.presence)

    # --- life -------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "Client":
        try:
            await self._reconnector.start()
        except BaseException:
            await self._reconnector.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave. Watches end, calls that wait raise UNAVAILABLE. Idempotent."""
        await self._reconnector.close()

    @property
    def state(self) -> ClientState:
        """What the client is doing: CONNECTING, CONNECTED, RECONNECTING, REFUSED or CLOSED."""
        return self._reconnector.state

    def states(self) -> AsyncIterator[ClientState]:
        """The state now, then every change of it; ends with REFUSED or CLOSED."""
        return self._reconnector.states()

    @property
    def last_error(self) -> ApiError | None:
        """Why there is no connection now: what became of the last attempt. None while there is one."""
        return self._reconnector.last_error if self._reconnector.connection is None else None

    @property
    def user(self) -> str:
        """Who the service says I am."""
        return self._reconnector.session_info.user

    # --- everything -------------------------------------------------------------------------------------------------

    async def call(
        self, route: str, request: Message, reply_type: type[ReplyT], *, seconds: float | None = DEFAULT_SECONDS
    ) -> ReplyT:
        """Any call by its route: `await client.call("chat.send", v1.SendRequest(…), v1.SendReply)`.

        `seconds` replaces `call_seconds` for this one. A request with an empty `client_id` gets one. Raises Failure.
        """
        return await self._context.call(route, request, reply_type, seconds=seconds)

    def fire_and_forget(self, route: str, request: Message) -> bool:
        """Any call without its answer (fire and forget).

        False: nothing was sent, because there is no connection now or it does not take any more at the moment.
        """
        connection = self._reconnector.connection
        if connection is None or connection.is_congested:
            return False
        try:
            connection.fire_and_forget(route, self._reconnector.settings.codec.encode(with_client_id(request)))
        except (ConnectionLostError, RequestRejectedError):
            return False
        return True

    async def search(
        self, query: str, *, room: str = "", sender: str = "", page: str = "", limit: int = 0
    ) -> v1.SearchReply:
        """Messages with all the words of `query`, newest first, in `room` or in all rooms I am in.

        The last word may be unfinished, "quoted words" must follow one another, Chinese, Japanese and Korean are found
        inside longer text. `sender`: only of this user. `page`: `next` of the reply before. `limit`: 1 to 100,
        0 means 20.
        """
        return await search(self._context, query, room=room, sender=sender, page=page, limit=limit)

    def channel(self) -> Channel:
        """One stream for everything: commands in, events out; see `Channel`."""
        return Channel(self._context)
