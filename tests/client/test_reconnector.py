"""The connection: had, lost, refused, silent, and told to whoever wants to know."""

import asyncio
from collections.abc import Callable
from typing import ClassVar

import pytest

import tidings_client
from client.fake_service import FAST_BACKOFF, FakeService, FakeSession, run_fake_service
from tidings.contract import v1
from tidings.protocols.rsocket import ErrorCode, Stream, metadata
from tidings_client import ApiError, BackoffPolicy, Client, ClientState, Code, connection, reconnector

pytestmark = pytest.mark.asyncio
MakeClient = Callable[..., Client]


def credentials(service: FakeService) -> list[metadata.Credentials | None]:
    """What each SETUP said about who is there."""
    return [metadata.read_request(setup.metadata, setup.metadata_mime).credentials for setup in service.setups]


async def wait_for_state(client: Client, *wanted: ClientState) -> None:
    async with asyncio.timeout(20):
        async for state in client.states():
            if state in wanted:
                return


async def test_setup_says_what_was_asked_for(service: FakeService, client: MakeClient) -> None:
    async with client(token="t0ken", keepalive_seconds=7, lifetime_seconds=40) as me:
        assert me.user == "alice"
    setup = service.setups[0]
    assert (setup.keepalive_ms, setup.lifetime_ms) == (7000, 40_000)
    assert setup.metadata_mime == "message/x.rsocket.composite-metadata.v0"
    assert setup.data_mime == "application/vnd.google.protobuf"
    assert credentials(service) == [metadata.Credentials("bearer", token="t0ken")]


async def test_a_user_and_a_password_go_as_simple_authentication(service: FakeService, client: MakeClient) -> None:
    async with client(user="alice", password="pw"):
        pass
    async with client(user="bob"):
        pass
    async with client():
        pass
    assert credentials(service) == [
        metadata.Credentials("simple", "alice", "pw"),
        metadata.Credentials("simple", "bob", ""),
        None,
    ]


async def test_a_token_and_a_user_contradict_each_other() -> None:
    with pytest.raises(ApiError, match="not both"):
        tidings_client.connect("ws://h:1", token="t", user="u")


async def test_the_states_are_told_in_order(service: FakeService, client: MakeClient) -> None:
    me = client()
    seen: list[ClientState] = []
    first_is_known = asyncio.Event()

    async def listen() -> None:
        async for state in me.states():
            seen.append(state)
            first_is_known.set()

    listening = asyncio.create_task(listen())
    await first_is_known.wait()
    async with me:
        assert me.state is ClientState.CONNECTED
        service.sessions[0].abort()
        await wait_for_state(me, ClientState.RECONNECTING)
        await wait_for_state(me, ClientState.CONNECTED)
    await listening
    assert seen == [
        ClientState.CONNECTING,
        ClientState.CONNECTED,
        ClientState.RECONNECTING,
        ClientState.CONNECTED,
        ClientState.CLOSED,
    ]


async def test_nobody_there_is_one_clear_line(scheme: str) -> None:
    async with run_fake_service() as service:
        target = service.url(scheme)
    with pytest.raises(ApiError) as raised:
        async with tidings_client.connect(target):
            pass
    assert raised.value.code is Code.UNAVAILABLE
    assert raised.value.text == f"cannot reach {target}: connection refused; is the service running? (tidings serve)"


async def test_a_name_with_several_addresses_and_nobody_there_says_the_same(scheme: str) -> None:
    async with run_fake_service() as service:
        target = service.url(scheme).replace("127.0.0.1", "localhost")
    with pytest.raises(ApiError, match=r"connection refused; is the service running\?"):
        async with tidings_client.connect(target):
            pass


async def test_waiting_for_a_service_that_is_not_there_yet(service: FakeService, client: MakeClient) -> None:
    service.stop()
    me = client(wait=True)
    entering = asyncio.create_task(me.__aenter__())
    await asyncio.sleep(0)
    await service.start()
    await entering
    assert me.state is ClientState.CONNECTED
    await me.aclose()


async def test_another_server_on_that_port_is_told_apart() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ApiError, match=r"answered HTTP 404; is the path right\? \(/rsocket\)"):
        async with tidings_client.connect(f"ws://127.0.0.1:{port}/wrong"):
            pass
    server.close()


async def test_a_server_that_hangs_up_in_the_handshake_is_not_taken_for_a_service() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ApiError, match="closed during the WebSocket handshake"):
        async with tidings_client.connect(f"ws://127.0.0.1:{port}"):
            pass
    server.close()


async def test_a_server_that_says_nothing_is_given_up_in_time(service: FakeService, client: MakeClient) -> None:
    service.is_silent = True
    with pytest.raises(ApiError, match=r"no answer within 0\.1 s"):
        async with client(connect_seconds=0.1):
            pass


async def test_a_wrong_token_is_refused_once_and_not_tried_again(service: FakeService, client: MakeClient) -> None:
    service.setup_error = (ErrorCode.REJECTED_SETUP, "UNAUTHENTICATED: the token is not signed by us")
    me = client(token="wrong", wait=True)
    with pytest.raises(ApiError) as raised:
        async with me:
            pass
    assert (raised.value.code, raised.value.text) == (Code.UNAUTHENTICATED, "the token is not signed by us")
    assert len(service.setups) == 1


async def test_a_refusal_in_the_middle_of_life_ends_everything_that_waits(
    service: FakeService, client: MakeClient
) -> None:
    service.handlers["chat.send"] = lambda session, stream, request: True
    async with client(token="t") as me:
        sending = asyncio.create_task(me.rooms["general"].send("hi"))
        watching = asyncio.create_task(anext(me.rooms["general"].watch()))
        talking = asyncio.create_task(open_channel(me))
        await service.wait_until(lambda: service.counts["chat.send"] == 1 and service.counts["chat.channel"] == 1)
        service.setup_error = (ErrorCode.REJECTED_SETUP, "wrong token")
        service.sessions[0].abort()
        for waiting in (sending, watching, talking):
            with pytest.raises(ApiError) as raised:
                await waiting
            assert (raised.value.code, raised.value.text) == (Code.UNAUTHENTICATED, "wrong token")
        assert me.state is ClientState.REFUSED
        with pytest.raises(ApiError, match="wrong token"):
            await me.session.ping()
        with pytest.raises(ApiError, match="wrong token"):
            await anext(me.rooms["general"].watch())
    assert len(service.setups) == 2


async def open_channel(client: Client) -> v1.ChannelItem:
    async with client.channel() as channel:
        await channel.open("general")
        while True:
            item = await anext(channel)
            if not item.HasField("event"):
                return item


async def test_a_service_that_is_stopping_refuses_nobody_for_good(service: FakeService, client: MakeClient) -> None:
    service.setup_error = (ErrorCode.REJECTED_SETUP, "UNAVAILABLE: the service is stopping")
    me = client(wait=True)
    entering = asyncio.create_task(me.__aenter__())
    await service.wait_until(lambda: len(service.setups) == 3)
    service.setup_error = None
    await entering
    await me.aclose()


async def test_a_fresh_token_is_asked_for_on_every_connection(service: FakeService, client: MakeClient) -> None:
    made: list[str] = []

    async def fresh() -> str:
        made.append(f"token {len(made)}")
        return made[-1]

    async with client(token=fresh) as me:
        service.sessions[0].abort()
        await wait_for_state(me, ClientState.RECONNECTING)
        await wait_for_state(me, ClientState.CONNECTED)
    assert [said.token for said in credentials(service) if said] == ["token 0", "token 1"]


async def test_with_fresh_tokens_a_refusal_is_tried_again_but_not_for_ever(
    service: FakeService, client: MakeClient
) -> None:
    service.setup_error = (ErrorCode.REJECTED_SETUP, "UNAUTHENTICATED: too early")
    with pytest.raises(ApiError, match="too early"):
        async with client(token=lambda: "t", wait=True):
            pass
    assert len(service.setups) == 3


async def test_a_function_that_gives_no_token_says_so(service: FakeService, client: MakeClient) -> None:
    def fresh() -> str:
        raise OSError("the vault is locked")

    with pytest.raises(ApiError, match="no fresh token: OSError: the vault is locked"):
        async with client(token=fresh):
            pass


async def test_a_token_is_renewed_on_the_living_connection_before_it_runs_out(
    service: FakeService, client: MakeClient
) -> None:
    service.info = v1.InfoReply(user="alice", now_ms=1_000_000, expires_at_ms=1_000_200)
    tokens = iter(f"token {n}" for n in range(100))
    async with client(token=lambda: next(tokens)):
        await service.wait_until(lambda: service.counts["session.refresh"] >= 2)
    refreshed = [request.token for route, request in service.requests if route == "session.refresh"]
    assert refreshed[:2] == ["token 1", "token 2"]
    assert len(service.setups) == 1


async def test_a_renewal_that_fails_is_tried_again(service: FakeService, client: MakeClient) -> None:
    service.info = v1.InfoReply(user="alice", now_ms=1_000_000, expires_at_ms=1_000_200)

    def answer(session: FakeSession, stream: Stream, request: v1.RefreshRequest) -> bool:
        if service.counts["session.refresh"] > 1:
            return False
        stream.fail(int(Code.UNAVAILABLE), "UNAVAILABLE: not now")
        return True

    service.handlers["session.refresh"] = answer
    async with client(token=lambda: "t"):
        await service.wait_until(lambda: service.counts["session.refresh"] >= 2)
    assert len(service.setups) == 1


async def test_a_refreshed_token_is_used_on_later_connections(service: FakeService, client: MakeClient) -> None:
    async with client(token="old") as me:
        await me.session.refresh("new")
        service.sessions[0].abort()
        await wait_for_state(me, ClientState.RECONNECTING)
        await wait_for_state(me, ClientState.CONNECTED)
    assert [said.token for said in credentials(service) if said] == ["old", "new"]


async def test_a_service_that_falls_silent_is_noticed_and_left(service: FakeService, client: MakeClient) -> None:
    async with client(keepalive_seconds=0.05, lifetime_seconds=0.2, connect_seconds=0.2) as me:
        service.is_silent = True
        await wait_for_state(me, ClientState.RECONNECTING)
        service.is_silent = False
        await wait_for_state(me, ClientState.CONNECTED)
        await me.session.ping()


async def test_a_connection_without_traffic_stays(service: FakeService, client: MakeClient) -> None:
    async with client(keepalive_seconds=0.02, lifetime_seconds=0.5) as me:
        before = service.frames
        await service.wait_until(lambda: service.frames > before + 40)
        assert me.state is ClientState.CONNECTED
        assert len(service.setups) == 1


async def test_garbage_on_the_wire_ends_the_connection_and_not_the_client(service: FakeService, scheme: str) -> None:
    async with tidings_client.connect(service.url(scheme), backoff=FAST_BACKOFF) as me:
        # A length of 1 on TCP; on WebSocket, a message of no frame at all.
        service.sessions[0].write(b"\0\0\1\0" if scheme == "tcp" else b"\0\0\0")
        await wait_for_state(me, ClientState.RECONNECTING)
        await wait_for_state(me, ClientState.CONNECTED)
        assert await me.session.ping() > 0


async def test_entering_that_is_cancelled_leaves_nothing_behind(service: FakeService, client: MakeClient) -> None:
    service.is_silent = True
    me = client()
    entering = asyncio.create_task(me.__aenter__())
    await service.wait_until(lambda: len(service.setups) == 1)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    await service.wait_until(lambda: not service.sessions)
    assert me.state is ClientState.CLOSED


class RecordingBackoffPolicy(BackoffPolicy):
    """No pauses; notes which attempt each was."""

    attempts: ClassVar[list[int]] = []

    def delay_seconds(self, attempt: int) -> float:
        self.attempts.append(attempt)
        return 0.0


@pytest.mark.parametrize(("steady_seconds", "attempts"), [(0.0, [0, 0, 0]), (1000.0, [0, 1, 2])])
async def test_only_a_connection_that_held_for_a_while_begins_the_count_of_attempts_anew(
    steady_seconds: float,
    attempts: list[int],
    service: FakeService,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconnector, "STABLE_SECONDS", steady_seconds)
    monkeypatch.setattr(RecordingBackoffPolicy, "attempts", [])
    async with client(backoff=RecordingBackoffPolicy()):
        for connections in range(1, 4):
            await service.wait_until(lambda n=connections: service.counts["session.info"] == n)  # type: ignore[misc]
            service.sessions[0].abort()
        await service.wait_until(lambda: service.counts["session.info"] == 4)
    assert RecordingBackoffPolicy.attempts[:3] == attempts


async def test_leaving_does_not_wait_for_a_service_that_reads_nothing(
    service: FakeService, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.05)
    async with client() as me:
        service.sessions[0].pause_reading()
        for _ in range(1000):
            if not me.fire_and_forget("chat.send", v1.SendRequest(room="general", text="x" * 1_000_000)):
                break
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await me.aclose()
    assert me.state is ClientState.CLOSED


async def test_closing_twice_is_closing_once(service: FakeService, client: MakeClient) -> None:
    async with client() as me:
        await me.aclose()
        await me.aclose()
    await service.wait_until(lambda: not service.sessions)
