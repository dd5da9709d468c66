"""The client on the real service: killed and restarted, stopped and restarted, too slow, with tokens that run out."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

import tidings_client
from client.fake_service import FAST_BACKOFF
from service_runner import RunningService, ServiceProcess, running_service
from tidings.contract import v1
from tidings.domain.identity.jwt import issue_token
from tidings_client import ApiError, Client, ClientState, Code, Watch

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

SECRET = "a secret of more than thirty-two bytes, for tests"


def url_of(service: RunningService | ServiceProcess, scheme: str) -> str:
    return service.tcp_url if scheme == "tcp" else service.ws_url


def connect(service: RunningService | ServiceProcess, scheme: str, user: str = "alice", **options: object) -> Client:
    return tidings_client.connect(url_of(service, scheme), user=user, backoff=FAST_BACKOFF, **options)  # type: ignore[arg-type]


async def take(watch: Watch[v1.Event], count: int) -> list[int]:
    """The seqs of the next so many events."""
    async with asyncio.timeout(60):
        return [(await anext(watch)).seq for _ in range(count)]


async def fill(service: RunningService, count: int, room: str = "general") -> None:
    """So many messages in a room."""
    async with connect(service, "tcp", "filler") as filler:
        await asyncio.gather(*(filler.rooms[room].send(str(n)) for n in range(count)))


@pytest.mark.parametrize(("scheme", "how"), [("ws", "kill"), ("tcp", "kill"), ("ws", "stop")])
async def test_watchers_a_channel_and_senders_live_through_restarts_of_the_service(
    scheme: str, how: str, tmp_path: Path
) -> None:
    senders, texts_each = 4, 25
    async with (
        ServiceProcess(tmp_path / "data") as service,
        connect(service, scheme, "writer", call_seconds=60) as writer,
        connect(service, scheme, "reader") as reader,
        reader.channel() as channel,
    ):
        progress = asyncio.Event()
        seqs: dict[str, int] = {}

        async def send(name: int) -> None:
            for number in range(texts_each):
                text = f"{name}/{number}"
                reply = await writer.rooms["general"].send(text)
                assert text not in seqs
                seqs[text] = reply.cursor.seq
                progress.set()

        async def follow(watch: Watch[v1.Event]) -> list[v1.Event]:
            return [await anext(watch) for _ in range(senders * texts_each)]

        async def listen() -> list[v1.Event]:
            seen: list[v1.Event] = []
            async for item in channel:
                if item.event.HasField("event"):
                    seen.append(item.event.event)
                if len(seen) == senders * texts_each:
                    break
            return seen

        async def restart() -> None:
            for _ in range(2):
                for _ in range(12):
                    progress.clear()
                    await progress.wait()
                await getattr(service, how)()
                await service.start()

        await channel.open("general", after=0)
        readers = [follow(reader.rooms["general"].watch(after=0)) for _ in range(3)]
        restarting = asyncio.create_task(restart())
        *sequences, heard, _ = await asyncio.gather(
            *readers, listen(), asyncio.gather(*(send(name) for name in range(senders)))
        )
        for sequence in (*sequences, heard):
            assert [event.seq for event in sequence] == list(range(1, senders * texts_each + 1))
            assert {event.posted.text: event.seq for event in sequence} == seqs
        restarting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await restarting


async def test_a_slow_loop_slows_the_service(scheme: str, tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        await fill(service, 1000)
        async with connect(service, scheme) as client, client.rooms["general"].watch(after=0) as watch:
            before = delivered(service)
            for taken in range(1, 201):
                await take(watch, 1)
                if taken % 20 == 0:
                    await client.session.ping()
                    await client.session.ping()
                assert delivered(service) - before <= taken + 64
            assert await take(watch, 800) == list(range(201, 1001))


def delivered(service: RunningService) -> int:
    """Items that the service has given to readers so far."""
    count: int = service.app.domain.hub.stats.deliveries
    return count


async def test_a_reader_that_stopped_for_too_long_goes_on_where_it_was(scheme: str, tmp_path: Path) -> None:
    async with running_service(tmp_path, hub__stall_seconds=0.2) as service:
        await fill(service, 500)
        async with connect(service, scheme) as client, client.rooms["general"].watch(after=0) as watch:
            assert await take(watch, 5) == [1, 2, 3, 4, 5]
            async with asyncio.timeout(30):
                while not service.app.domain.hub.stats.stalls_ended:
                    await client.session.ping()
            assert await take(watch, 495) == list(range(6, 501))


async def test_a_reader_that_wants_the_newest_is_told_what_it_skipped(scheme: str, tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        await fill(service, 1000)
        async with connect(service, scheme) as client:
            seqs: list[int] = []
            gaps: list[v1.Gap] = []
            async for item in client.rooms["general"].watch(after=0, lag=v1.LATEST, items=True):
                if item.HasField("gap"):
                    gaps.append(item.gap)
                if item.HasField("event"):
                    seqs.append(item.event.seq)
                if item.HasField("live"):
                    break
        assert gaps
        skipped = sum(gap.to - getattr(gap, "from") + 1 for gap in gaps)
        assert skipped + len(seqs) == seqs[-1] == 1000


async def test_a_cursor_beyond_the_log_is_lost(scheme: str, tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, connect(service, scheme) as client:
        with pytest.raises(ApiError) as raised:
            await anext(client.rooms["general"].watch(after=v1.Cursor(epoch="another", seq=7)))
        assert raised.value.code is Code.CURSOR_LOST


@pytest.mark.parametrize("scheme", ["ws"])
async def test_presence_follows_people_over_a_restart(scheme: str, tmp_path: Path) -> None:
    async with (
        ServiceProcess(tmp_path / "data") as service,
        connect(service, scheme) as client,
        client.presence.watch(["bob"]) as watch,
    ):
        await until_status(watch, v1.OFFLINE)
        async with connect(service, scheme, "bob") as bob:
            await until_status(watch, v1.ONLINE)
            await bob.presence.set(v1.BUSY)
            await until_status(watch, v1.BUSY)
            await service.kill()
            await service.start()
            # Both are back by themselves.
            await until_status(watch, v1.ONLINE, v1.BUSY)


async def until_status(watch: Watch[v1.PresenceItem], *wanted: "v1.Status.ValueType") -> None:
    """Watch until the one user watched is in one of these."""
    async with asyncio.timeout(60):
        async for item in watch:
            if item.HasField("user") and item.user.status in wanted:
                return


async def test_the_list_of_rooms_follows_what_happens(scheme: str, tmp_path: Path) -> None:
    async with (
        running_service(tmp_path) as service,
        connect(service, scheme) as client,
        client.rooms.watch() as watch,
    ):
        while not (await anext(watch)).HasField("live"):
            pass
        kitchen = (await client.rooms.create("kitchen", title="Coffee")).room.room
        assert (await anext(watch)).room.room.room == kitchen
        async with connect(service, scheme, "bob") as bob:
            await client.rooms[kitchen].join("bob")
            await bob.rooms[kitchen].send("hi")
        while not (item := await anext(watch)).room.unread:
            pass
        assert (item.room.unread, item.room.last.posted.text) == (1, "hi")
        await client.rooms[kitchen].mark(read=item.room.room.head.seq)
        while (await anext(watch)).room.unread:
            pass


async def test_every_call_of_a_room_is_carried_out(scheme: str, tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, connect(service, scheme) as client:
        reply = await client.rooms.create("kitchen", kind=v1.OPEN, members=["bob"])
        room = client.rooms["kitchen"]
        assert (reply.role, (await room.get()).room.members) == (v1.OWNER, 2)
        first = (await room.send("coffee?", client_id="mine")).cursor.seq
        assert (await room.send("coffee?", client_id="mine")).duplicate
        await room.edit(first, "tea?")
        await room.react(first, "🍵")
        await room.react(first, "🍵", remove=True)
        second = (await room.send("cake", reply_to=first)).cursor.seq
        await room.delete(second)
        await room.typing()
        await room.typing(stopped=True)
        assert (await room.mark(read=first)).read == first
        assert [member.user for member in (await room.members()).members] == ["alice", "bob"]
        assert [event.posted.text for event in (await room.search("tea")).events] == ["tea?"]
        await room.join("carol", role=v1.READER)
        await room.leave("carol")
        assert [state.room.room for state in (await client.rooms.list()).rooms] == ["kitchen"]
        assert "kitchen" in [state.room.room for state in (await client.rooms.list(public=True)).rooms]
        assert [event.seq for event in (await room.history(after=0, limit=2)).events] == [1, 2]
        assert list((await room.history(before=0)).events) == []
        assert [event.seq async for event in room.read(to=0)] == []
        events = {event.seq: event async for event in room.read()}
        assert (events[first].posted.text, events[second].posted.deleted) == ("tea?", True)
        assert (await client.session.info()).user == client.user == "alice"


def sign_token(user: str, seconds: float) -> str:
    """A token that holds for so long."""
    now_ms = time.time_ns() // 1_000_000
    return issue_token(user, secret=SECRET.encode(), ttl_seconds=seconds, now_ms=now_ms)  # type: ignore[arg-type]


async def test_a_token_says_who_is_there_and_a_wrong_one_is_refused(scheme: str, tmp_path: Path) -> None:
    async with running_service(tmp_path, dev=False, auth__secret=SECRET) as service:
        url = url_of(service, scheme)
        async with tidings_client.connect(url, sign_token("alice", 60)) as client:
            assert client.user == "alice"
        for token in ("nonsense", sign_token("alice", -60)):
            with pytest.raises(ApiError) as raised:
                async with tidings_client.connect(url, token, wait=True):
                    pass
            assert raised.value.code is Code.UNAUTHENTICATED


@pytest.mark.parametrize("scheme", ["ws"])
async def test_with_a_function_for_tokens_nothing_is_interrupted_when_they_run_out(scheme: str, tmp_path: Path) -> None:
    made: list[str] = []

    def fresh() -> str:
        made.append(sign_token("alice", 2))
        return made[-1]

    async with (
        running_service(tmp_path, dev=False, auth__secret=SECRET) as service,
        tidings_client.connect(url_of(service, scheme), fresh, backoff=FAST_BACKOFF) as client,
    ):
        changes: list[ClientState] = []

        async def note() -> None:
            changes.extend([state async for state in client.states()])

        noting = asyncio.create_task(note())
        await client.rooms.create("attic", kind=v1.OPEN)
        async with client.rooms["attic"].watch(after=0) as watch:
            while len(made) < 4:
                await client.rooms["attic"].send("still here")
                await take(watch, 1)
        await client.aclose()
        await noting
    assert changes == [ClientState.CONNECTED, ClientState.CLOSED]


@pytest.mark.parametrize("scheme", ["tcp"])
async def test_a_token_that_runs_out_and_cannot_be_renewed_ends_in_refused(scheme: str, tmp_path: Path) -> None:
    async with (
        running_service(tmp_path, dev=False, auth__secret=SECRET) as service,
        tidings_client.connect(url_of(service, scheme), sign_token("alice", 1), backoff=FAST_BACKOFF) as client,
    ):
        await client.rooms.create("attic", kind=v1.OPEN)
        async with asyncio.timeout(30):
            with pytest.raises(ApiError) as raised:
                async for _ in client.rooms["attic"].watch():
                    pass
        assert raised.value.code is Code.UNAUTHENTICATED
        async with asyncio.timeout(30):
            async for state in client.states():
                if state is ClientState.REFUSED:
                    break
