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
import errno
import os
import ssl as tls
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

import picows

from tidings.contract import v1
from tidings.contract.codecs import PROTOBUF, Codec
from tidings.rsocket import ErrorCode, Setup, metadata
from tidings_client.address import Address
from tidings_client.errors import CALL_AGAIN, Code, Failure, Lost, Refused, again, closed, refusal, said_by_peer
from tidings_client.identity import Identity
from tidings_client.link import Link, open_link
from tidings_client.reconnect import Attempts, Jitter
from tidings_client.wires import HTTP_ANSWERED

# A fresh token that is refused may have been made a moment too early; three in a row are wrong.
REFUSALS_MAX: Final = 3
# A link that held for so long was a good one: the next attempt after it is the first.
STEADY_SECONDS: Final = 10.0
# Of a token's remaining life, when a fresh one is asked for; the rest is for attempts that fail.
REFRESH_SHARE: Final = 0.8
# A token that is always about to run out must not become a flood of requests.
REFRESH_SECONDS_MIN: Final = 0.1
# Changes of state that a slow reader of `states()` can catch up on.
STATES_KEPT: Final = 64


class State(Enum):
    """What the client is doing."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    # The service does not take these credentials (or this client); nothing is tried any more.
    REFUSED = "refused"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Settings:
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
    jitter: Jitter = field(default_factory=Jitter)


class Follower(Protocol):
    """Who uses every link there will be."""

    def link_up(self, link: Link) -> None:
        """There is a link again."""

    def link_gone_for_good(self, failure: Failure) -> None:
        """There will be no other one."""


class Keeper:
    """One service, one link at a time."""

    def __init__(self, settings: Settings, identity: Identity) -> None:
        self.settings = settings
        self.identity = identity
        self.state = State.CONNECTING
        self.link: Link | None = None
        # Why there is no link: of the last attempt, or for good.
        self.trouble: Failure | None = None
        self.info = v1.InfoReply()
        self._attempts = Attempts(settings.jitter)
        self._refusals = 0
        self._followers: dict[Follower, None] = {}
        self._changed = asyncio.Event()
        self._readers: dict[object, deque[State]] = {}
        self._task: asyncio.Task[None] | None = None

    # --- for the client ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Wait for the first link. Raises Failure when it is refused, or cannot be had and `wait` is off."""
        self._task = asyncio.create_task(self._keep(), name=f"tidings {self.settings.address.url}")
        await self.linked()

    async def close(self) -> None:
        """End the link and everything on it. Idempotent."""
        if self.state is not State.CLOSED:
            self._give_up(State.CLOSED, closed())
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def linked(self) -> Link:
        """The living link, waiting for it if need be. Raises Failure when there will be none."""
        while self.link is None:
            if self.state in (State.REFUSED, State.CLOSED):
                raise self.failure()
            await self._changed.wait()
        return self.link

    def failure(self) -> Failure:
        """Why there will be no link, as an exception of the caller's own."""
        trouble = self.trouble or closed()
        return Failure(trouble.code, trouble.text)

    def follow(self, follower: Follower) -> None:
        """Tell `follower` of the living link, now if there is one, and of every later one."""
        if self.state in (State.REFUSED, State.CLOSED):
            follower.link_gone_for_good(self.failure())
            return
        self._followers[follower] = None
        if self.link is not None:
            follower.link_up(self.link)

    def unfollow(self, follower: Follower) -> None:
        """It wants to know no more."""
        self._followers.pop(follower, None)

    async def states(self) -> AsyncIterator[State]:
        """The state now, then every change; ends after REFUSED and CLOSED."""
        seen: deque[State] = deque([self.state], maxlen=STATES_KEPT)
        reader = object()
        self._readers[reader] = seen
        try:
            while True:
                while seen:
                    state = seen.popleft()
                    yield state
                    if state in (State.REFUSED, State.CLOSED):
                        return
                await self._changed.wait()
        finally:
            del self._readers[reader]

    # --- the task ---------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while self.state not in (State.REFUSED, State.CLOSED):
            try:
                link = await self._connect()
            except Exception as error:
                self._failed(error)
            else:
                up_at = loop.time()
                try:
                    await self._serve(link)
                finally:
                    await link.close()
                if loop.time() - up_at >= STEADY_SECONDS:
                    self._attempts.reset()
                if link.lost is not None:
                    self._failed(link.lost)
            if self.state not in (State.REFUSED, State.CLOSED):
                await asyncio.sleep(self._attempts.next_seconds())

    async def _connect(self) -> Link:
        """A link on which the service has answered; `self.info` is the answer."""
        settings = self.settings
        async with asyncio.timeout(settings.connect_seconds):
            setup = Setup(
                keepalive_ms=round(settings.keepalive_seconds * 1000),
                lifetime_ms=round(settings.lifetime_seconds * 1000),
                metadata_mime=metadata.COMPOSITE,
                data_mime=settings.codec.mime,
                metadata=await self.identity.setup_metadata(),
            )
            link = await open_link(settings.address, setup, ssl=settings.ssl, seconds=settings.connect_seconds)
            try:
                answer = await link.call("session.info", settings.codec.encode(v1.InfoRequest()))
                self.info = settings.codec.decode_answer(v1.InfoReply, answer)
            except BaseException:
                link.close_soon()
                raise
        return link

    async def _serve(self, link: Link) -> None:
        """Be up until the link ends."""
        if link.lost is not None:
            return
        self._refusals = 0
        self.trouble = None
        link.on_end = self._down
        self.link = link
        self._become(State.CONNECTED)
        for follower in list(self._followers):
            follower.link_up(link)
        refreshing = asyncio.create_task(self._refresh_tokens(link)) if self.identity.renewable else None
        try:
            await asyncio.shield(link.ended)
        finally:
            if refreshing is not None:
                refreshing.cancel()

    def _down(self, lost: Lost) -> None:
        # Called while the link ends: its streams have been told, nobody else has run.
        self.link = None
        if self.state is State.CONNECTED:
            self._become(State.RECONNECTING)

    def _failed(self, error: Exception) -> None:
        """What an attempt that failed, or a link that ended, means for the next one."""
        failure = self._final(error)
        if failure is not None:
            self._give_up(State.REFUSED, failure)
            return
        reason = explain(error, self.settings)
        if self.state is State.CONNECTING:
            reason = "; ".join([reason.rstrip("."), *hints(error, self.settings.address)])
        self.trouble = Failure(Code.UNAVAILABLE, f"cannot reach {self.settings.address.url}: {reason}")
        if self.state is State.CONNECTING and not self.settings.wait:
            self._give_up(State.CLOSED, self.trouble)

    def _final(self, error: Exception) -> Failure | None:
        """The failure after which no attempt is of use, or None."""
        failure = refusal(error) if isinstance(error, Lost) else error if isinstance(error, Failure) else None
        if failure is None or again(failure, CALL_AGAIN) or failure.code is Code.INTERNAL:
            return None
        if failure.code is Code.UNAUTHENTICATED and self.identity.renewable:
            self._refusals += 1
            return failure if self._refusals >= REFUSALS_MAX else None
        return failure

    def _give_up(self, state: State, failure: Failure) -> None:
        self.trouble = failure
        self._become(state)
        followers, self._followers = self._followers, {}
        for follower in followers:
            follower.link_gone_for_good(Failure(failure.code, failure.text))
        if self.link is not None:
            self.link.close_soon()

    def _become(self, state: State) -> None:
        self.state = state
        for seen in self._readers.values():
            seen.append(state)
        # Whoever waits now is woken; whoever waits from now on waits for the next change.
        self._changed.set()
        self._changed = asyncio.Event()

    async def _refresh_tokens(self, link: Link) -> None:
        """Give the service a fresh token on the living link before the old one runs out."""
        loop, codec, attempts = asyncio.get_running_loop(), self.settings.codec, Attempts(self.settings.jitter)
        # The service's clock, as far as it has told it: ours may be wrong.
        offset_ms = self.info.now_ms - loop.time() * 1000
        expires_at_ms = self.info.expires_at_ms
        failed = False
        while expires_at_ms:
            left_seconds = (expires_at_ms - offset_ms) / 1000 - loop.time()
            pause_seconds = attempts.next_seconds() if failed else left_seconds * REFRESH_SHARE
            await asyncio.sleep(max(REFRESH_SECONDS_MIN, pause_seconds))
            try:
                token = await self.identity.token()
                answer = await link.call("session.refresh", codec.encode(v1.RefreshRequest(token=token or "")))
            except Lost:
                return
            except (Failure, Refused):
                # There is time left for another attempt; without one the service ends the link.
                failed = True
            else:
                attempts.reset()
                failed = False
                expires_at_ms = codec.decode_answer(v1.RefreshReply, answer).expires_at_ms


def explain(error: Exception, settings: Settings) -> str:
    """Why an attempt failed, in half a sentence that says what to look at."""
    match error:
        case TimeoutError():
            return f"no answer within {settings.connect_seconds:g} s"
        case OSError() if f"[Errno {errno.ECONNREFUSED}]" in str(error):
            # Of each address, where a name has several.
            return "connection refused; is the service running? (tidings serve)"
        case tls.SSLError():
            return f"TLS failed: {error.reason or error}{missing_certificates(settings)}"
        case picows.WSInvalidStatusError():
            status = error.response.status.value if error.response else "an error"
            return f"the server answered HTTP {status}; is the path right? (/rsocket)"
        case picows.WSError():
            return f"no WebSocket there: {error}"
        case OSError():
            return error.strerror or str(error) or type(error).__name__
        case Failure():
            return error.text
        case Lost() | Refused():
            return str(error)
        case _:
            return f"{type(error).__name__}: {error}"


def missing_certificates(settings: Settings) -> str:
    """What to add where the file of trusted certificates is not there: OpenSSL says nothing of it. Or empty."""
    file = os.environ.get("SSL_CERT_FILE", "")
    if settings.ssl is not None or not file or os.path.isfile(file):
        return ""
    return f"; SSL_CERT_FILE names {file}, and there is no such file"


def hints(error: Exception, address: Address) -> list[str]:
    """What to try after a first attempt that failed so: the other port, or the scheme with TLS or without."""
    if isinstance(error, Lost) and error.text == HTTP_ANSWERED:
        return [address.port_hint()]
    found = [address.port_hint()] if isinstance(error, ConnectionResetError) and address.websocket else []
    return [*found, address.hint()] if may_be_the_wrong_scheme(error, address.secure) else found


def may_be_the_wrong_scheme(error: Exception, secure: bool) -> bool:
    """Whether a first attempt failed as it does where one side speaks TLS and the other does not.

    To whom TLS is spoken without having it waits for more, or answers something that is no TLS; to whom something else
    is spoken hangs up.
    """
    match error:
        case tls.SSLError():
            return secure and "CERTIFICATE" not in (error.reason or "")
        case TimeoutError():
            return secure
        case ConnectionResetError():
            return True
        case Lost():
            return not secure and said_by_peer(error.text) is None and error.code == ErrorCode.CONNECTION_ERROR
        case _:
            return False
