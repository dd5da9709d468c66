"""One authenticated peer, whatever carries it: what it may ask for, how much at once, and until when.

The transport opens a session (`open`), then makes a responder for each request and hands it to `start`. Requests that
wait are in `active` until they are done, in the order in which they came.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any

from tidings.contract.codecs import Codec
from tidings.contract.context import CallContext, Credentials, Identity, Session
from tidings.contract.errors import ApiError, permission_denied, resource_exhausted, unauthenticated, unavailable
from tidings.contract.methods import Method, Permission
from tidings.dispatch import measured
from tidings.dispatch.dispatcher import Dispatcher
from tidings.dispatch.errors import to_api_error
from tidings.dispatch.limits import (
    CANCELLED_AT_ONCE_MAX,
    LEASE_SECONDS,
    MEMORY_BYTES_PER_REQUEST_BYTE,
    STREAM_MEMORY_BYTES,
)
from tidings.dispatch.measured import MeasuredCoroutine
from tidings.dispatch.methods import MethodBinding, find_method
from tidings.dispatch.peer import PeerControl, Presence
from tidings.dispatch.read_scheduler import AUTHENTICATION_COST_SECONDS
from tidings.dispatch.responders import AuthenticatingResponder, Responder
from tidings.log import log


def check_permission(method: Method, identity: Identity) -> None:
    """Raise UNAUTHENTICATED or PERMISSION_DENIED where this caller may not call the method."""
    permission = method.permission
    if permission is not Permission.ANYONE and not identity.user:
        raise unauthenticated(f"{method.route} needs a user; sign in")
    if permission is Permission.OPERATOR and not identity.operator:
        raise permission_denied(f"{method.route} is for operators; sign in as one")


class ClientSession:
    """Made by `open`; the transport calls `close` exactly when the connection is over for its protocol."""

    __slots__ = (
        "_expiring",
        "_in_flight",
        "_is_registered",
        "_memory",
        "_writable_waiter",
        "active",
        "budget",
        "context",
        "dispatcher",
        "is_closed",
        "peer",
        "read_scheduler",
        "session",
    )

    def __init__(self, dispatcher: Dispatcher, session: Session, peer: PeerControl, *, is_registered: bool) -> None:
        self.dispatcher = dispatcher
        self.read_scheduler = dispatcher.read_scheduler
        self.session = session
        self.peer = peer
        self.active: dict[Responder, None] = {}
        self.is_closed = False  # the responders left in `active` end step by step
        user = session.identity.user
        self.budget = self.read_scheduler.acquire("user" if user else "address", user or session.address)
        self.context = CallContext(session)
        self._memory = session.memory
        self._is_registered = is_registered
        self._in_flight = 0
        self._writable_waiter: asyncio.Future[None] | None = None
        self._expiring: dict[Responder, int] = {}  # responders whose own credentials expire, Unix ms

    @staticmethod
    async def open(
        dispatcher: Dispatcher,
        credentials: Credentials,
        *,
        session_id: str,
        address: str,
        peer: PeerControl,
        presence: Presence,
    ) -> "ClientSession | None":
        """Authenticate the peer and register its session. None: the peer left meanwhile, and nothing was registered.

        `address` is the peer's, for limits on peers without a user. Raises ApiError: UNAUTHENTICATED, UNAVAILABLE
        while draining, RESOURCE_EXHAUSTED when the user has too many connections; and what a broken authenticator
        raises.
        """
        if dispatcher.is_draining:
            raise unavailable("the service is stopping; connect again in a moment")
        identity = await dispatcher.authenticator.authenticate(credentials)
        if peer.is_closed:
            return None
        session = Session(session_id, identity, peer.transport_name, peer.close, peer.until_writable, address=address)
        if presence is Presence.NONE:
            dispatcher.session_registry.assign_memory(session)
        else:
            if not identity.user:
                raise unauthenticated("this transport needs a user; sign in")
            dispatcher.session_registry.register(session)
        made = LeasedClientSession if presence is Presence.LEASED else ClientSession
        return made(dispatcher, session, peer, is_registered=presence is not Presence.NONE)

    def bind(self, route: str, request_codec: Codec, reply_codec: Codec) -> MethodBinding:
        """The method of this route in these encodings. Raises ApiError (UNIMPLEMENTED)."""
        dispatcher = self.dispatcher
        method = find_method(dispatcher.methods, route)
        counters = dispatcher.metrics.route_counters(route)
        return MethodBinding(method, request_codec, reply_codec, counters, dispatcher.limits.request_bytes_max)

    # --- requests -----------------------------------------------------------------------------------------------

    def start(self, responder: Responder, data: bytes, last: bool) -> None:
        """Serve a request; refusals go through the responder. `last`: the peer of a channel sends no more."""
        binding = responder.binding
        self.budget.used_seconds += binding.deferred_seconds
        try:
            check_permission(binding.method, responder.context.identity)
            responder.start(data, last)
        except Exception as error:
            responder.fail(error)

    def authenticate(
        self, responder: AuthenticatingResponder, credentials: Credentials, data: bytes, last: bool
    ) -> None:
        """Serve a request with credentials of its own: `responder.start_request` follows when they are accepted."""
        self.budget.used_seconds += AUTHENTICATION_COST_SECONDS
        try:
            responder.authenticate(credentials, data, last)
        except ApiError as error:
            responder.fail(error)

    def reserve(self, responder: Responder, data: bytes) -> None:
        """Count a request against the limits. Raises ApiError (RESOURCE_EXHAUSTED), and nothing is counted then."""
        limit = self.dispatcher.limits.requests_in_flight_max
        if self._in_flight >= limit:
            raise resource_exhausted(
                f"{limit} requests of this connection are being served (requests_in_flight_max); wait for replies"
            )
        size = STREAM_MEMORY_BYTES + MEMORY_BYTES_PER_REQUEST_BYTE * len(data)
        self._memory.reserve_request(size)
        responder.memory_bytes = size

    def register(self, responder: Responder, data: bytes) -> None:
        """Like `reserve`; and the peer can cancel it from now on."""
        self.reserve(responder, data)
        self.active[responder] = None
        if responder.context is not self.context:
            expires_at_ms = responder.context.identity.expires_at_ms
            if expires_at_ms:
                self._expiring[responder] = expires_at_ms
                self.peer.schedule_timeout()

    def remove(self, responder: Responder) -> None:
        """A responder is done. Idempotent."""
        self.active.pop(responder, None)
        self.release_memory(responder)
        self._expiring.pop(responder, None)

    def track(self, pending: asyncio.Future[Any]) -> asyncio.Future[Any]:
        """A pending result that counts against `requests_in_flight_max` until `release_slot`."""
        self._in_flight += 1
        self._memory.active_requests += 1
        return pending

    def _charge(self, seconds: float) -> None:
        """A step of one of our tasks took so long."""
        self.read_scheduler.charge(self.budget, seconds)

    def release_slot(self) -> None:
        """A result of `track` is there."""
        self._in_flight -= 1
        self._memory.active_requests -= 1

    def start_eagerly(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Run it at once up to its first wait; the rest is a task like those of `start_task`."""
        rest = measured.start_measured(coroutine, self.dispatcher.clock, self._charge)
        return None if rest is None else self._track_task(self.dispatcher.start_task(rest))

    def start_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that counts against `requests_in_flight_max` until it has ended."""
        dispatcher = self.dispatcher
        return self._track_task(dispatcher.start_task(MeasuredCoroutine(coroutine, dispatcher.clock, self._charge)))

    def _track_task(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._in_flight += 1
        self._memory.active_requests += 1
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, _task: Any) -> None:
        self.release_slot()

    def on_stream_opened(self, responder: Responder) -> None:
        """A watch or a channel is open: only its stream is on the account from now on, no longer its request."""
        if responder.memory_bytes > STREAM_MEMORY_BYTES:
            self._memory.release(responder.memory_bytes - STREAM_MEMORY_BYTES)
            responder.memory_bytes = STREAM_MEMORY_BYTES

    def hold_memory(self, responder: Responder, size: int) -> None:
        """Reserve so many bytes more for it until it is removed. Raises ApiError (RESOURCE_EXHAUSTED)."""
        self._memory.reserve(size)
        responder.memory_bytes += size

    def release_memory(self, responder: Responder) -> None:
        """Release all bytes that were reserved for it. Idempotent."""
        size, responder.memory_bytes = responder.memory_bytes, 0
        self._memory.release(size)

    def on_unanswered_error(self, binding: MethodBinding, error: BaseException) -> None:
        """A FIRE_AND_FORGET request failed. Its peer gets no reply, so it is logged."""
        failure = to_api_error(error, binding.method.route)
        binding.counters.errors[failure.code.name] += 1
        log.info(
            "a fire-and-forget request failed",
            session=self.session.id,
            route=binding.method.route,
            code=failure.code.name,
        )

    # --- all requests at once -----------------------------------------------------------------------------------

    def on_writable(self) -> None:
        """The socket takes bytes again: wake every responder."""
        self._wake_writable_waiter()
        for responder in list(self.active):
            responder.on_demand()

    def _wake_writable_waiter(self) -> None:
        waiter, self._writable_waiter = self._writable_waiter, None
        if waiter is not None:
            waiter.set_result(None)

    def wait_until_writable(self) -> Awaitable[None]:
        """Await it until the socket takes bytes again, or the session is closed."""
        if self._writable_waiter is None:
            self._writable_waiter = self.dispatcher.loop.create_future()
        return asyncio.shield(self._writable_waiter)

    def drain(self) -> None:
        """The service is stopping: end streams; pending calls finish."""
        for responder in list(self.active):
            responder.on_drain()

    def close(self) -> None:
        """The peer is gone, and nothing can be sent. Pending requests are cancelled, most of them in deferred steps."""
        if self.is_closed:
            return
        self.is_closed = True
        self._wake_writable_waiter()
        for number, responder in enumerate(list(self.active)):
            if number < CANCELLED_AT_ONCE_MAX:
                responder.on_cancel()
            else:
                self.read_scheduler.defer(self.budget, responder.on_cancel)
        self.read_scheduler.release_connection(self.budget)
        try:
            if self._is_registered:
                self.dispatcher.session_registry.unregister(self.session)
        except Exception:
            log.exception("closing a session failed", session=self.session.id)
        self.session.detach_transport()  # it refers to the peer, and the peer to this

    # --- expiry of tokens ---------------------------------------------------------------------------------------

    def next_expiry_ms(self) -> int | None:
        """When the first token expires, the session's own or that of a single request, Unix ms; None: never."""
        expires_at_ms = min(self._expiring.values(), default=None)
        session_expires_at_ms = self.session.identity.expires_at_ms
        if not session_expires_at_ms:
            return expires_at_ms
        return session_expires_at_ms if expires_at_ms is None else min(session_expires_at_ms, expires_at_ms)

    def fail_expired(self, now_ms: float) -> None:
        """End what depends on a token that expired at `now_ms` or before: a request, or the whole session."""
        for responder, expires_at_ms in list(self._expiring.items()):
            if expires_at_ms <= now_ms:
                del self._expiring[responder]
                failure = unauthenticated("the token of this request ran out; ask again with a new one")
                self.read_scheduler.defer(self.budget, partial(responder.fail, failure))
        if 0 < self.session.identity.expires_at_ms <= now_ms:
            self.peer.close(unauthenticated("your token ran out; connect with a new one, and refresh it in time"))


class LeasedClientSession(ClientSession):
    """A session that is closed `LEASE_SECONDS` after its last request has ended, for polling clients."""

    __slots__ = ("_lease_timer",)

    def __init__(self, dispatcher: Dispatcher, session: Session, peer: PeerControl, *, is_registered: bool) -> None:
        super().__init__(dispatcher, session, peer, is_registered=is_registered)
        self._lease_timer: asyncio.TimerHandle | None = None
        self._renew_lease()

    def start(self, responder: Responder, data: bytes, last: bool) -> None:
        super().start(responder, data, last)
        self._renew_lease()

    def remove(self, responder: Responder) -> None:
        super().remove(responder)
        self._renew_lease()

    def close(self) -> None:
        super().close()
        self._renew_lease()

    def _renew_lease(self) -> None:
        """Run the timer exactly while the session is open and no request is active."""
        if self._lease_timer is not None:
            self._lease_timer.cancel()
            self._lease_timer = None
        if not self.active and not self.is_closed:
            self._lease_timer = self.dispatcher.loop.call_later(LEASE_SECONDS, self._on_lease_expired)

    def _on_lease_expired(self) -> None:
        self._lease_timer = None
        self.close()
