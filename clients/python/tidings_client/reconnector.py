"""Keeps one link alive: connects, notices the end, waits a little, connects again.

    CONNECTING ──up──▶ CONNECTED ──lost──▶ RECONNECTING ──up──▶ CONNECTED …
    any of them ──wrong credentials──▶ REFUSED          any of them ──close()──▶ CLOSED

Only one task runs in here. Those who need a link register as followers (watches, channels) or wait for one (calls).
The order at the end of a link is what everything else relies on: the streams are told first, then the keeper
forgets the link, then the task begins to wait for the next attempt. So nobody can start anything on a dead link.

A link counts as up when the service has answered `session.info` on it. RSocket has no sign of an accepted SETUP,
and this one also says when the token runs out.
"""

import asyncio
import contextlib
import ssl as tls
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from tidings.contract import v1
from tidings.contract.codecs import PROTOBUF, Codec
from tidings.protocols.rsocket import Setup, metadata
from tidings_client.address import Address
from tidings_client.backoff import Backoff, BackoffPolicy
from tidings_client.connection import ClientConnection, open_connection
from tidings_client.connection_errors import connection_hints, describe_error
from tidings_client.credentials import CredentialsProvider
from tidings_client.errors import (
    CALL_RETRY_CODES,
    ApiError,
    Code,
    ConnectionLostError,
    RequestRejectedError,
    client_closed,
    permanent_failure,
    should_retry,
)

# A fresh token that is refused may have been made a moment too early; three in a row are wrong.
REJECTED_TOKENS_MAX: Final = 3
# A link that held for so long was a good one: the next attempt after it is the first.
STABLE_SECONDS: Final = 10.0
# Of a token's remaining life, when a fresh one is asked for; the rest is for attempts that fail.
REFRESH_FRACTION: Final = 0.8
# A token that is always about to run out must not become a flood of requests.
REFRESH_SECONDS_MIN: Final = 0.1
# Changes of state that a slow reader of `states()` can catch up on.
STATES_BUFFERED_MAX: Final = 64


class ClientState(Enum):
    """What the client is doing."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    # The service does not take these credentials (or this client); nothing is tried any more.
    REFUSED = "refused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How a client connects."""

    address: Address
    ssl: tls.SSLContext | None = None
    codec: Codec = PROTOBUF
    # One attempt: socket, handshake, first answer.
    connect_seconds: float = 10.0
    # Keep trying if the very first attempt fails.
    wait: bool = False
    keepalive_seconds: float = 20.0
    lifetime_seconds: float = 90.0
    backoff: BackoffPolicy = field(default_factory=BackoffPolicy)


class ConnectionObserver(Protocol):
    """Who uses every link there will be."""

    def on_connected(self, connection: ClientConnection) -> None:
        """There is a link again."""

    def on_closed(self, failure: ApiError) -> None:
        """There will be no other one."""


class Reconnector:
    """One service, one link at a time."""

    def __init__(self, settings: ConnectionSettings, credentials: CredentialsProvider) -> None:
        self.settings = settings
        self.credentials = credentials
        self.state = ClientState.CONNECTING
        self.connection: ClientConnection | None = None
        # Why there is no link: of the last attempt, or for good.
        self.last_error: ApiError | None = None
        self.session_info = v1.InfoReply()
        self._backoff = Backoff(settings.backoff)
        self._rejected_tokens = 0
        self._observers: dict[ConnectionObserver, None] = {}
        self._state_changed = asyncio.Event()
        self._state_queues: dict[object, deque[ClientState]] = {}
        self._task: asyncio.Task[None] | None = None

    # --- for the client ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Wait for the first link. Raises Failure when it is refused, or cannot be had and `wait` is off."""
        self._task = asyncio.create_task(self._run(), name=f"tidings {self.settings.address.url}")
        await self.wait_connected()

    async def close(self) -> None:
        """End the link and everything on it. Idempotent."""
        if self.state is not ClientState.CLOSED:
            self._shut_down(ClientState.CLOSED, client_closed())
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def wait_connected(self) -> ClientConnection:
        """The living link, waiting for it if need be. Raises Failure when there will be none."""
        while self.connection is None:
            if self.state in (ClientState.REFUSED, ClientState.CLOSED):
                raise self.final_failure()
            await self._state_changed.wait()
        return self.connection

    def final_failure(self) -> ApiError:
        """Why there will be no link, as an exception of the caller's own."""
        last_error = self.last_error or client_closed()
        return ApiError(last_error.code, last_error.text)

    def add_observer(self, observer: ConnectionObserver) -> None:
        """Tell `follower` of the living link, now if there is one, and of every later one."""
        if self.state in (ClientState.REFUSED, ClientState.CLOSED):
            observer.on_closed(self.final_failure())
            return
        self._observers[observer] = None
        if self.connection is not None:
            observer.on_connected(self.connection)

    def remove_observer(self, observer: ConnectionObserver) -> None:
        """It wants to know no more."""
        self._observers.pop(observer, None)

    async def states(self) -> AsyncIterator[ClientState]:
        """The state now, then every change; ends after REFUSED and CLOSED."""
        queue: deque[ClientState] = deque([self.state], maxlen=STATES_BUFFERED_MAX)
        reader = object()
        self._state_queues[reader] = queue
        try:
            while True:
                while queue:
                    state = queue.popleft()
                    yield state
                    if state in (ClientState.REFUSED, ClientState.CLOSED):
                        return
                await self._state_changed.wait()
        finally:
            del self._state_queues[reader]

    # --- the task ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self.state not in (ClientState.REFUSED, ClientState.CLOSED):
            try:
                connection = await self._connect()
            except Exception as error:
                self._on_attempt_failed(error)
            else:
                connected_at = loop.time()
                try:
                    await self._run_connection(connection)
                finally:
                    await connection.close()
                if loop.time() - connected_at >= STABLE_SECONDS:
                    self._backoff.reset()
                if connection.lost_error is not None:
                    self._on_attempt_failed(connection.lost_error)
            if self.state not in (ClientState.REFUSED, ClientState.CLOSED):
                await asyncio.sleep(self._backoff.next_delay_seconds())

    async def _connect(self) -> ClientConnection:
        """A link on which the service has answered; `self.info` is the answer."""
        settings = self.settings
        async with asyncio.timeout(settings.connect_seconds):
            setup = Setup(
                keepalive_ms=round(settings.keepalive_seconds * 1000),
                lifetime_ms=round(settings.lifetime_seconds * 1000),
                metadata_mime=metadata.COMPOSITE,
                data_mime=settings.codec.mime_type,
                metadata=await self.credentials.setup_metadata(),
            )
            connection = await open_connection(
                settings.address, setup, ssl=settings.ssl, seconds=settings.connect_seconds
            )
            try:
                answer = await connection.request_response("session.info", settings.codec.encode(v1.InfoRequest()))
                self.session_info = settings.codec.decode_reply(v1.InfoReply, answer)
            except BaseException:
                connection.close_soon()
                raise
        return connection

    async def _run_connection(self, connection: ClientConnection) -> None:
        """Be up until the link ends."""
        if connection.lost_error is not None:
            return
        self._rejected_tokens = 0
        self.last_error = None
        connection.on_lost = self._on_connection_lost
        self.connection = connection
        self._set_state(ClientState.CONNECTED)
        for observer in list(self._observers):
            observer.on_connected(connection)
        refresh_task = asyncio.create_task(self._refresh_tokens(connection)) if self.credentials.is_renewable else None
        try:
            await asyncio.shield(connection.closed)
        finally:
            if refresh_task is not None:
                refresh_task.cancel()

    def _on_connection_lost(self, lost_error: ConnectionLostError) -> None:
        # Called while the link ends: its streams have been told, nobody else has run.
        self.connection = None
        if self.state is ClientState.CONNECTED:
            self._set_state(ClientState.RECONNECTING)

    def _on_attempt_failed(self, error: Exception) -> None:
        """What an attempt that failed, or a link that ended, means for the next one."""
        failure = self._permanent_failure(error)
        if failure is not None:
            self._shut_down(ClientState.REFUSED, failure)
            return
        reason = describe_error(error, connect_seconds=self.settings.connect_seconds, ssl=self.settings.ssl)
        if self.state is ClientState.CONNECTING:
            reason = "; ".join([reason.rstrip("."), *connection_hints(error, self.settings.address)])
        self.last_error = ApiError(Code.UNAVAILABLE, f"cannot reach {self.settings.address.url}: {reason}")
        if self.state is ClientState.CONNECTING and not self.settings.wait:
            self._shut_down(ClientState.CLOSED, self.last_error)

    def _permanent_failure(self, error: Exception) -> ApiError | None:
        """The failure after which no attempt is of use, or None."""
        failure = (
            permanent_failure(error)
            if isinstance(error, ConnectionLostError)
            else error
            if isinstance(error, ApiError)
            else None
        )
        if failure is None or should_retry(failure, CALL_RETRY_CODES) or failure.code is Code.INTERNAL:
            return None
        if failure.code is Code.UNAUTHENTICATED and self.credentials.is_renewable:
            self._rejected_tokens += 1
            return failure if self._rejected_tokens >= REJECTED_TOKENS_MAX else None
        return failure

    def _shut_down(self, state: ClientState, failure: ApiError) -> None:
        self.last_error = failure
        self._set_state(state)
        observers, self._observers = self._observers, {}
        for observer in observers:
            observer.on_closed(ApiError(failure.code, failure.text))
        if self.connection is not None:
            self.connection.close_soon()

    def _set_state(self, state: ClientState) -> None:
        self.state = state
        for queue in self._state_queues.values():
            queue.append(state)
        # Whoever waits now is woken; whoever waits from now on waits for the next change.
        self._state_changed.set()
        self._state_changed = asyncio.Event()

    async def _refresh_tokens(self, connection: ClientConnection) -> None:
        """Give the service a fresh token on the living link before the old one runs out."""
        loop, codec, attempts = asyncio.get_running_loop(), self.settings.codec, Backoff(self.settings.backoff)
        # The service's clock, as far as it has told it: ours may be wrong.
        offset_ms = self.session_info.now_ms - loop.time() * 1000
        expires_at_ms = self.session_info.expires_at_ms
        has_failed = False
        while expires_at_ms:
            left_seconds = (expires_at_ms - offset_ms) / 1000 - loop.time()
            pause_seconds = attempts.next_delay_seconds() if has_failed else left_seconds * REFRESH_FRACTION
            await asyncio.sleep(max(REFRESH_SECONDS_MIN, pause_seconds))
            try:
                token = await self.credentials.token()
                answer = await connection.request_response(
                    "session.refresh", codec.encode(v1.RefreshRequest(token=token or ""))
                )
            except ConnectionLostError:
                return
            except (ApiError, RequestRejectedError):
                # There is time left for another attempt; without one the service ends the link.
                has_failed = True
            else:
                attempts.reset()
                has_failed = False
                expires_at_ms = codec.decode_reply(v1.RefreshReply, answer).expires_at_ms
