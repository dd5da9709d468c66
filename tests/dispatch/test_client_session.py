"""A client session without any transport: presence, permission, leases."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kits.transport.harness import FakeAuthenticator, FakeClock, Handlers, method_table
from tidings.contract.codecs import PROTOBUF
from tidings.contract.context import CallContext, Credentials, Identity
from tidings.contract.errors import ApiError, Code
from tidings.dispatch.call_responders import CallResponder
from tidings.dispatch.client_session import ClientSession
from tidings.dispatch.dispatcher import Dispatcher
from tidings.dispatch.limits import LEASE_SECONDS
from tidings.dispatch.peer import Presence
from tidings.dispatch.responders import Responder
from tidings.hub import Batch
from tidings.metrics.registry import Metrics
from tidings.server.settings import ConnectionLimits


class FakePeer:
    """A connection that remembers what it was told."""

    transport_name = "fake"
    is_closed = False

    def __init__(self) -> None:
        self.errors: list[ApiError] = []

    def close(self, error: ApiError, /) -> None:
        self.errors.append(error)

    def until_writable(self) -> None:
        return None

    def schedule_timeout(self) -> None:
        pass

    def abort(self) -> None:
        pass

    drain = close_now = abort

    def stream_count(self) -> int:
        return 3

    def outbound_bytes(self) -> int:
        return 0

    outstanding_credit = outbound_bytes


class FakeReplyStream(Responder):
    """Records what is sent."""

    __slots__ = ("sent",)

    def __init__(self, session: ClientSession, route: str, context: CallContext | None = None) -> None:
        super().__init__(session, session.bind(route, PROTOBUF, PROTOBUF), context or session.context)
        self.sent: list[Any] = []

    def demand(self) -> int:
        return 1

    def deliver(self, batch: Batch[Any], /) -> bool:
        return True

    def _open(self) -> None:
        pass

    def _reply(self, data: bytes) -> None:
        self.sent.append(data)

    def _complete(self) -> None:
        self.sent.append(None)

    def _fail(self, error: ApiError) -> None:
        self.sent.append(error.code)

    def _request(self, capacity: int) -> None:
        pass

    def _detach(self) -> None:
        pass


class FakeCall(CallResponder, FakeReplyStream):
    __slots__ = ()


class AnonymousAuthenticator(FakeAuthenticator):
    """Lets peers in who name no user, and gives them none."""

    async def authenticate(self, credentials: Credentials) -> Identity:
        return Identity(credentials.user)


class SessionHarness:
    def __init__(self) -> None:
        self.authenticator = AnonymousAuthenticator()
        self.handlers = Handlers()
        self.peer = FakePeer()
        clock = FakeClock()
        self.metrics = Metrics()
        self.dispatcher = Dispatcher(
            method_table(self.handlers),
            self.authenticator,
            self.authenticator,
            self.metrics,
            ConnectionLimits(),
            clock=clock.monotonic,
            now_ms=clock.now_ms,
        )

    async def open(self, user: str, presence: Presence) -> ClientSession:
        session = await ClientSession.open(
            self.dispatcher,
            Credentials(user=user),
            session_id="1",
            address="192.0.2.1",
            peer=self.peer,
            presence=presence,
        )
        assert session is not None
        return session


def call(session: ClientSession, route: str) -> FakeCall:
    responder = FakeCall(session, route)
    session.start(responder, b"", True)
    return responder


@pytest.mark.asyncio
async def test_a_method_for_users_refuses_a_peer_without_user() -> None:
    session = await SessionHarness().open("", Presence.NONE)
    assert call(session, "test.echo").sent == [Code.UNAUTHENTICATED]
    session.close()


@pytest.mark.asyncio
async def test_a_method_for_operators_refuses_other_users() -> None:
    session = await SessionHarness().open("ada", Presence.CONNECTED)
    assert call(session, "test.operate").sent == [Code.PERMISSION_DENIED]
    assert call(session, "test.echo").sent != [Code.PERMISSION_DENIED]
    session.close()


@pytest.mark.asyncio
async def test_an_unknown_route_is_unimplemented() -> None:
    session = await SessionHarness().open("ada", Presence.CONNECTED)
    with pytest.raises(ApiError) as caught:
        session.bind("test.missing", PROTOBUF, PROTOBUF)
    assert caught.value.code is Code.UNIMPLEMENTED
    session.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("presence", list(Presence))
async def test_a_session_is_registered_unless_its_presence_is_none(presence: Presence) -> None:
    harness = SessionHarness()
    session = await harness.open("ada", presence)
    is_online = presence is not Presence.NONE
    assert len(harness.authenticator.sessions) == is_online
    assert session.session.memory is harness.authenticator.accounts.get("ada")
    session.close()
    session.close()
    assert len(harness.authenticator.closed_sessions) == is_online


@pytest.mark.asyncio
@pytest.mark.parametrize("presence", [Presence.CONNECTED, Presence.LEASED])
async def test_a_peer_without_user_cannot_be_online(presence: Presence) -> None:
    harness = SessionHarness()
    with pytest.raises(ApiError) as caught:
        await harness.open("", presence)
    assert caught.value.code is Code.UNAUTHENTICATED
    assert not harness.authenticator.sessions


@pytest.mark.asyncio
async def test_a_peer_that_left_while_it_was_authenticated_is_not_registered() -> None:
    harness = SessionHarness()
    harness.peer.is_closed = True
    session = await ClientSession.open(
        harness.dispatcher,
        Credentials(user="ada"),
        session_id="1",
        address="192.0.2.1",
        peer=harness.peer,
        presence=Presence.CONNECTED,
    )
    assert session is None
    assert not harness.authenticator.sessions


@pytest.mark.asyncio
async def test_no_session_is_opened_while_the_service_drains() -> None:
    harness = SessionHarness()
    harness.dispatcher.is_draining = True
    with pytest.raises(ApiError) as caught:
        await harness.open("ada", Presence.CONNECTED)
    assert caught.value.code is Code.UNAVAILABLE


class FakeTimer:
    def __init__(self, seconds: float, callback: Callable[[], None]) -> None:
        self.seconds = seconds
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


@pytest.mark.asyncio
async def test_a_leased_session_closes_a_lease_after_its_last_request(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = SessionHarness()
    timers: list[FakeTimer] = []

    def call_later(seconds: float, callback: Callable[[], None]) -> FakeTimer:
        timers.append(FakeTimer(seconds, callback))
        return timers[-1]

    monkeypatch.setattr(
        harness.dispatcher,
        "loop",
        type(
            "Loop", (), {"call_later": staticmethod(call_later), "create_task": asyncio.get_running_loop().create_task}
        ),
    )
    session = await harness.open("ada", Presence.LEASED)
    assert [timer.seconds for timer in timers] == [LEASE_SECONDS]
    first = call(session, "test.wait")
    second = call(session, "test.wait")
    assert all(timer.is_cancelled for timer in timers), "no lease runs while a request is active"
    first.on_cancel()
    assert all(timer.is_cancelled for timer in timers)
    second.on_cancel()
    assert [timer.is_cancelled for timer in timers][-1] is False
    call(session, "test.echo")
    assert [timer.is_cancelled for timer in timers][-2:] == [True, False], "a request renews the lease"
    timers[-1].callback()
    assert session.is_closed
    assert harness.authenticator.closed_sessions == [session.session]
    assert all(timer.is_cancelled for timer in timers[:-1])
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_the_limit_key_is_the_user_or_else_the_address() -> None:
    harness = SessionHarness()
    assert (await harness.open("ada", Presence.NONE)).context.limit_key == "ada"
    anonymous = await harness.open("", Presence.NONE)
    assert anonymous.context.limit_key == "address 192.0.2.1"
    assert CallContext(anonymous.session, Identity("bob")).limit_key == "bob"


@pytest.mark.asyncio
async def test_connections_are_gauged_for_any_transport() -> None:
    harness = SessionHarness()
    harness.dispatcher.add_peer(harness.peer)
    assert harness.dispatcher._count_peers() == {"websocket": 0.0, "tcp": 0.0, "fake": 1.0}
