"""First come, first served, also while something has to be looked up."""

import asyncio

import pytest

from tidings.domain.order import Order

LINE = "alice in den"


class Log:
    """Notes what was begun, and in which order."""

    def __init__(self) -> None:
        self.order = Order()
        self.begun: list[str] = []
        self.durable = asyncio.Event()

    def say(self, word: str, looked_up: "asyncio.Future[None] | None" = None) -> "asyncio.Future[str]":
        async def look_up() -> str:
            if looked_up is not None:
                await looked_up
            return word

        async def append(word: str) -> str:
            self.begun.append(word)
            await self.durable.wait()
            return word

        return self.order.keep(LINE, look_up, append)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_what_is_looked_up_sooner_waits_behind_what_came_before() -> None:
    log, looked_up = Log(), asyncio.get_running_loop().create_future()
    first, second = log.say("first", looked_up), log.say("second")
    await settled()
    assert log.begun == []
    looked_up.set_result(None)
    await settled()
    assert log.begun == ["first", "second"]
    log.durable.set()
    assert await asyncio.gather(first, second) == ["first", "second"]


@pytest.mark.asyncio
async def test_nobody_waits_until_an_earlier_one_is_durable() -> None:
    log = Log()
    for word in ("first", "second", "third"):
        log.say(word)
    await settled()
    assert log.begun == ["first", "second", "third"]


@pytest.mark.asyncio
async def test_a_refusal_and_a_cancellation_let_the_next_one_go() -> None:
    log = Log()
    refused, never = (asyncio.get_running_loop().create_future() for _ in range(2))
    first, second, third = log.say("first", refused), log.say("second", never), log.say("third")
    await settled()
    refused.set_exception(ValueError("no"))
    await settled()
    second.cancel()
    await settled()
    assert log.begun == ["third"]
    assert isinstance(first.exception(), ValueError)
    log.durable.set()
    assert await third == "third"


@pytest.mark.asyncio
async def test_a_line_is_there_from_the_first_call_until_nobody_waits_in_it() -> None:
    log = Log()
    assert log.order.is_free(LINE)
    log.say("first")
    assert not log.order.is_free(LINE)
    await settled()
    assert log.begun == ["first"]
    assert log.order.is_free(LINE)


@pytest.mark.asyncio
async def test_who_is_cancelled_before_anything_was_done_leaves_the_line() -> None:
    log = Log()
    first, second = log.say("first"), log.say("second")
    first.cancel()
    await settled()
    assert log.begun == ["second"]
    log.durable.set()
    assert await second == "second"
    assert log.order.is_free(LINE)
