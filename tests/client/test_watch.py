"""Watches: every event once, at the consumer's pace, over any number of connections."""

import asyncio
import gc
from collections.abc import Callable

import pytest

from client.fake_service import FakeService, FakeSession, texts
from tidings.contract import v1
from tidings.contract.errors import cursor_lost, internal, not_found, resource_exhausted, too_slow, unavailable
from tidings.protocols.rsocket import ErrorCode, Stream
from tidings_client import ApiError, Client, ClientState, Code, Watch

pytestmark = pytest.mark.asyncio
MakeClient = Callable[..., Client]


async def take(watch: Watch[v1.Event], count: int) -> list[int]:
    """The seqs of the next so many events."""
    seqs: list[int] = []
    async with asyncio.timeout(20):
        while len(seqs) < count:
            seqs.append((await anext(watch)).seq)
    return seqs


async def test_a_watch_begins_behind_its_cursor_and_goes_on_live(service: FakeService, client: MakeClient) -> None:
    service.post(5)
    async with client() as me, me.rooms["general"].watch(after=2) as watch:
        assert await take(watch, 3) == [3, 4, 5]
        service.post(2)
        assert await take(watch, 2) == [6, 7]
        assert watch.cursor == v1.Cursor(epoch="e1", seq=7)
        assert watch.live


async def test_a_watch_without_cursor_begins_now(service: FakeService, client: MakeClient) -> None:
    service.post(5)
    async with client() as me, me.rooms["general"].watch() as watch:
        await watch.wait_started()
        service.post(1)
        assert await take(watch, 1) == [6]


async def test_the_marks_come_when_they_are_asked_for(service: FakeService, client: MakeClient) -> None:
    service.post(1)
    async with client() as me, me.rooms["general"].watch(after=0, items=True) as watch:
        kinds = [(await anext(watch)).WhichOneof("item") for _ in range(2)]
    assert kinds == ["event", "live"]


async def test_a_connection_that_is_cut_at_any_frame_costs_no_event_and_doubles_none(
    service: FakeService, client: MakeClient
) -> None:
    service.post(20)
    for frames in range(0, 60, 3):
        service.cut_after_frames = frames
        async with client(wait=True, window_items=4) as me, me.rooms["general"].watch(after=0) as watch:
            assert await take(watch, 20) == list(range(1, 21))
        if frames < 24:
            assert service.cut_after_frames is None, "the connection was not cut"


async def test_events_during_an_outage_come_after_it(service: FakeService, client: MakeClient) -> None:
    service.post(3)
    async with client() as me, me.rooms["general"].watch(after=0) as watch:
        assert await take(watch, 3) == [1, 2, 3]
        for round_ in range(5):
            service.stop()
            async for state in me.states():
                if state is ClientState.RECONNECTING:
                    break
            service.post(4)
            await service.start()
            assert await take(watch, 4) == [4 + 4 * round_ + n for n in range(4)]


async def test_a_watch_from_now_on_keeps_its_place_from_the_moment_the_service_answered(
    service: FakeService, client: MakeClient
) -> None:
    service.post(3)
    async with client() as me, me.rooms["general"].watch() as watch:
        await watch.wait_started()
        service.stop()
        service.post(2)
        await service.start()
        assert await take(watch, 2) == [4, 5]


async def test_what_comes_twice_at_the_seam_is_dropped(service: FakeService, client: MakeClient) -> None:
    service.repeated_events = 7
    service.post(10)
    async with client() as me, me.rooms["general"].watch(after=0) as watch:
        assert await take(watch, 10) == list(range(1, 11))
        service.stop()
        service.post(2)
        await service.start()
        assert await take(watch, 2) == [11, 12]


async def test_events_out_of_order_at_the_seam_move_forward_only(service: FakeService, client: MakeClient) -> None:
    def answer(session: FakeSession, stream: Stream, request: v1.WatchRequest) -> bool:
        for seq in (3, 1, 2, 3, 4):
            cursor = v1.Cursor(epoch="e1", seq=seq)
            session.send_item(stream, v1.WatchItem(cursor=cursor, event=v1.Event(room="general", seq=seq)))
        return True

    service.handlers["chat.watch"] = answer
    async with client() as me, me.rooms["general"].watch(after=v1.Cursor(epoch="e1", seq=2)) as watch:
        assert await take(watch, 2) == [3, 4]


async def test_what_has_arrived_and_was_not_taken_is_not_asked_for_again(
    service: FakeService, client: MakeClient
) -> None:
    service.post(30)
    async with client(window_items=8) as me, me.rooms["general"].watch(after=0) as watch:
        assert await take(watch, 1) == [1]
        await service.wait_until(lambda: service.items_sent == 8)
        service.stop()
        await service.start()
        assert await take(watch, 29) == list(range(2, 31))
        resumed = [request.after.seq for route, request in service.requests if route == "chat.watch"]
        assert resumed == [0, 8]


async def test_a_slow_consumer_slows_the_service(service: FakeService, client: MakeClient) -> None:
    service.post(1000)
    async with client(window_items=16) as me, me.rooms["general"].watch(after=0) as watch:
        for taken in range(1, 301):
            await take(watch, 1)
            # Two turns there and back: whatever was on its way has arrived.
            if taken % 10 == 0:
                await me.session.ping()
                await me.session.ping()
            assert service.items_sent <= taken + 16
        assert service.credit_seen_max <= 16


async def test_a_consumer_that_stops_stops_the_service(service: FakeService, client: MakeClient) -> None:
    service.post(1000)
    async with client() as me, me.rooms["general"].watch(after=0) as watch:
        await take(watch, 10)
        for _ in range(20):
            await me.session.ping()
        assert service.items_sent == 64
        service.post(100)
        for _ in range(20):
            await me.session.ping()
        assert service.items_sent == 64
        assert service.credit_seen_max == 64


async def test_a_stopped_consumer_asks_for_nothing_after_a_reconnect_either(
    service: FakeService, client: MakeClient
) -> None:
    service.post(1000)
    async with client() as me, me.rooms["general"].watch(after=0) as watch:
        await watch.wait_started()
        await service.wait_until(lambda: service.items_sent == 64)
        service.stop()
        await service.start()
        async for state in me.states():
            if state is ClientState.CONNECTED and service.sessions:
                break
        await me.session.ping()
        assert service.items_sent == 64
        assert service.counts["chat.watch"] == 1
        assert await take(watch, 100) == list(range(1, 101))


async def test_big_events_hold_the_refill_back_by_their_bytes(service: FakeService, client: MakeClient) -> None:
    for n in range(100):
        service.room().append("bob", str(n), "x" * 60_000)
    async with client(window_bytes=100_000, window_items=8) as me, me.rooms["general"].watch(after=0) as watch:
        assert await take(watch, 100) == list(range(1, 101))


async def test_leaving_the_loop_cancels_the_watch_on_the_service(service: FakeService, client: MakeClient) -> None:
    service.post(100)
    async with client() as me:
        async for event in me.rooms["general"].watch(after=0):
            if event.seq == 3:
                break
        gc.collect()
        await service.wait_until(lambda: service.cancelled["chat.watch"] == 1)


async def test_an_exception_in_the_loop_cancels_the_watch_on_the_service(
    service: FakeService, client: MakeClient
) -> None:
    service.post(100)

    async def consume(me: Client) -> None:
        async for _ in me.rooms["general"].watch(after=0):
            raise ValueError("mine")

    async with client() as me:
        with pytest.raises(ValueError, match="mine"):
            await consume(me)
        gc.collect()
        await service.wait_until(lambda: service.cancelled["chat.watch"] == 1)


async def test_a_watch_that_is_kept_may_be_iterated_further(service: FakeService, client: MakeClient) -> None:
    service.post(10)
    async with client() as me:
        watch = me.rooms["general"].watch(after=0)
        async for event in watch:
            if event.seq == 3:
                break
        assert await take(watch, 2) == [4, 5]


async def test_a_cancelled_task_harms_neither_its_watch_nor_the_connection(
    service: FakeService, client: MakeClient
) -> None:
    async with client() as me, me.rooms["general"].watch(after=0) as watch:
        for n in range(1, 20):
            waiting = asyncio.create_task(anext(watch))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            service.post(1)
            assert await take(watch, 1) == [n]


async def test_many_watches_share_one_connection_and_all_come_back(service: FakeService, client: MakeClient) -> None:
    async with client() as me:
        watches = [me.rooms[f"room{n}"].watch(after=0) for n in range(50)]
        for n in range(50):
            service.post(2, f"room{n}")
        assert [await take(watch, 2) for watch in watches] == [[1, 2]] * 50
        assert len(service.sessions) == 1
        service.stop()
        for n in range(50):
            service.post(1, f"room{n}")
        await service.start()
        assert [await take(watch, 1) for watch in watches] == [[3]] * 50


@pytest.mark.parametrize(
    "failure",
    [
        unavailable("the service is stopping"),
        too_slow("no progress for 30 s; resume from the cursor", epoch="e1", seq=3),
        resource_exhausted("too many watches; try again in 5 ms", retry_after_ms=5),
    ],
    ids=lambda failure: failure.code.name,
)
async def test_a_failure_that_passes_is_not_seen(service: FakeService, client: MakeClient, failure: ApiError) -> None:
    service.post(3)
    async with client() as me, me.rooms["general"].watch(after=0) as watch:
        assert await take(watch, 3) == [1, 2, 3]
        watching = next(iter(service.sessions[0].watches.values()))
        watching.stream.fail(failure.mapping.rsocket, failure.rsocket_data)
        service.sessions[0].watches.clear()
        service.sessions[0].flush()
        service.post(2)
        assert await take(watch, 2) == [4, 5]
        resumed = [request.after for route, request in service.requests if route == "chat.watch"]
        assert resumed[-1] == v1.Cursor(epoch="e1", seq=3)


async def test_a_watch_that_the_service_ends_goes_on(service: FakeService, client: MakeClient) -> None:
    service.post(3)
    async with client() as me, me.rooms["general"].watch(after=0) as watch:
        assert await take(watch, 3) == [1, 2, 3]
        next(iter(service.sessions[0].watches.values())).stream.complete()
        service.sessions[0].watches.clear()
        service.sessions[0].flush()
        service.post(1)
        assert await take(watch, 1) == [4]


@pytest.mark.parametrize(
    "failure",
    [cursor_lost("the log begins later"), not_found("no such room"), internal("fault 17")],
    ids=lambda failure: failure.code.name,
)
async def test_a_failure_that_does_not_pass_is_raised_behind_what_came_before_it(
    service: FakeService, client: MakeClient, failure: ApiError
) -> None:
    def answer(session: FakeSession, stream: Stream, request: v1.WatchRequest) -> bool:
        session.send_item(stream, v1.WatchItem(cursor=v1.Cursor(epoch="e1", seq=1), event=v1.Event(seq=1)))
        stream.fail(failure.mapping.rsocket, failure.rsocket_data)
        return True

    service.handlers["chat.watch"] = answer
    async with client() as me:
        watch = me.rooms["general"].watch(after=0)
        assert await take(watch, 1) == [1]
        for _ in range(2):
            with pytest.raises(ApiError) as raised:
                await anext(watch)
            assert (raised.value.code, raised.value.text) == (failure.code, failure.text)


async def test_a_watch_rejected_unprocessed_is_asked_for_again(service: FakeService, client: MakeClient) -> None:
    def reject_once(session: FakeSession, stream: Stream, request: object) -> bool:
        del service.handlers["chat.watch"]
        stream.fail(ErrorCode.REJECTED, "draining")
        return True

    service.handlers["chat.watch"] = reject_once
    service.post(1)
    async with client() as me:
        assert await take(me.rooms["general"].watch(after=0), 1) == [1]


async def test_what_is_no_item_is_an_internal_failure(service: FakeService, client: MakeClient) -> None:
    def answer(session: FakeSession, stream: Stream, request: object) -> bool:
        stream.next(b"\xff\xff")
        return True

    service.handlers["chat.watch"] = answer
    async with client() as me:
        with pytest.raises(ApiError) as raised:
            await anext(me.rooms["general"].watch())
    assert raised.value.code is Code.INTERNAL
    await service.wait_until(lambda: not service.sessions)


async def test_what_cannot_be_asked_for_is_raised_and_harms_nobody(service: FakeService, client: MakeClient) -> None:
    service.post(1)
    async with client() as me:
        with pytest.raises(TypeError):
            await anext(me.rooms["general"].watch(after="seven"))  # type: ignore[arg-type]
        service.sessions[0].abort()
        assert await take(me.rooms["general"].watch(after=0), 1) == [1]


async def test_closing_the_client_ends_the_loops_over_its_watches(service: FakeService, client: MakeClient) -> None:
    service.post(3)
    seen: list[v1.Event] = []
    async with client() as me:

        async def consume() -> None:
            seen.extend([event async for event in me.rooms["general"].watch(after=0)])

        consuming = asyncio.create_task(consume())
        await service.wait_until(lambda: service.items_sent == 3)
        await me.session.ping()
    await consuming
    assert texts(seen) == ["text 1", "text 2", "text 3"]


async def test_a_range_ends_by_itself(service: FakeService, client: MakeClient) -> None:
    service.post(200)
    async with client() as me:
        assert [event.seq async for event in me.rooms["general"].read(after=50)] == list(range(51, 201))


async def test_a_range_that_is_cut_at_any_frame_is_whole_all_the_same(service: FakeService, client: MakeClient) -> None:
    service.post(20)
    for frames in range(0, 45, 3):
        service.cut_after_frames = frames
        async with client(wait=True, window_items=4) as me:
            assert [event.seq async for event in me.rooms["general"].read()] == list(range(1, 21))


async def test_a_range_of_a_closed_client_does_not_look_complete(service: FakeService, client: MakeClient) -> None:
    service.post(200)
    async with client() as me:
        reading = me.rooms["general"].read()
        await anext(reading)
    with pytest.raises(ApiError, match="the client is closed"):
        _ = [event async for event in reading]


async def test_a_page_and_its_head_begin_a_watch_that_misses_nothing(service: FakeService, client: MakeClient) -> None:
    service.post(10)
    async with client() as me:
        page = await me.rooms["general"].history(limit=3)
        service.post(2)
        assert [event.seq for event in page.events] == [8, 9, 10]
        assert await take(me.rooms["general"].watch(after=page.head), 2) == [11, 12]
