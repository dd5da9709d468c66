"""The same as Observables."""

import asyncio
from collections.abc import Callable

import pytest
from reactivex import operators as ops

from client.fake_service import FakeService
from tidings.contract.errors import not_found
from tidings_client import ApiError, Client

pytestmark = pytest.mark.asyncio
MakeClient = Callable[..., Client]


async def test_events_come_to_the_observer_and_dispose_cancels_on_the_service(
    service: FakeService, client: MakeClient
) -> None:
    service.post(3)
    seen: asyncio.Queue[str] = asyncio.Queue()
    async with client() as me:
        texts = me.rx.watch("general", after=0).pipe(ops.map(lambda event: event.posted.text))
        subscription = texts.subscribe(seen.put_nowait)
        assert [await seen.get() for _ in range(3)] == ["text 1", "text 2", "text 3"]
        service.sessions[0].abort()
        service.post(1)
        assert await seen.get() == "text 4"
        subscription.dispose()
        await service.wait_until(lambda: service.cancelled["chat.watch"] == 1)


async def test_an_operator_that_has_enough_ends_the_watch(service: FakeService, client: MakeClient) -> None:
    service.post(1000)
    async with client() as me:
        done: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        first = me.rx.watch("general", after=0).pipe(ops.take(3), ops.map(lambda event: event.seq), ops.to_list())
        first.subscribe(done.set_result)
        assert await done == [1, 2, 3]
        await service.wait_until(lambda: service.cancelled["chat.watch"] == 1)
        assert service.items_sent == 64


async def test_a_range_completes(service: FakeService, client: MakeClient) -> None:
    service.post(100)
    async with client() as me:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        me.rx.read("general").pipe(ops.count()).subscribe(done.set_result)
        assert await done == 100


async def test_a_failure_goes_to_the_observer(service: FakeService, client: MakeClient) -> None:
    def answer(session: object, stream: object, request: object) -> bool:
        raise not_found("there is no room attic")

    service.handlers["chat.watch"] = answer
    async with client() as me:
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        me.rx.watch("attic").subscribe(on_error=failed.set_result)
        assert isinstance(await failed, ApiError)


async def test_closing_the_client_completes_the_sequence(service: FakeService, client: MakeClient) -> None:
    completed = asyncio.Event()
    async with client() as me:
        me.rx.presence(["alice"]).subscribe(on_completed=completed.set)
        await service.wait_until(lambda: service.counts["presence.watch"] == 1)
    await completed.wait()


async def test_each_subscription_is_a_watch_of_its_own(service: FakeService, client: MakeClient) -> None:
    async with client() as me:
        events = me.rx.watch("general")
        for _ in range(2):
            events.subscribe()
        await service.wait_until(lambda: service.counts["chat.watch"] == 2)
