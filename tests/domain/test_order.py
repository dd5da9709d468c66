"""First come, first served, also while something has to be looked up."""

import asyncio

import pytest

from tidings.domain.order import Order


class Log:
    """Notes what was begun, and in which order."""

    def __init__(self) -> None:
        self.order = Order()
        self.begun: list[str] = []
        self.durable = asyncio.Event()

    def say(self, word: str, known: bool, looked_up: "asyncio.Future[None] | None" = None) -> "asyncio.Task[str]":
        async def draft() -> str:
            if looked_up is not None:
                await looked_up
            return word

        async def append(word: str) -> str:
            self.begun.append(word)
            await self.durable.wait()
            return word

        return asyncio.create_task(self.order.keep("alice in den", known, draft(), append))


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_what_needs_no_look_up_waits_behind_what_does() -> None:
    log, looked_up = Log(), asyncio.get_running_loop().create_future()
    first, second = log.say("first", False, looked_up), log.say("second", True)
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
    log.say("first", False)
    log.say("second", False)
    log.say("third", True)
    await settled()
    assert log.begun == ["first", "second", "third"]


@pytest.mark.asyncio
async def test_a_refusal_and_a_cancellation_let_the_next_one_go() -> None:
    log = Log()
    refused, never = (asyncio.get_running_loop().create_future() for _ in range(2))
    first, second, third = log.say("first", False, refused), log.say("second", False, never), log.say("third", True)
    await settled()
    refused.set_exception(ValueError("no"))
    await settled()
    second.cancel()
    await settled()
    assert log.begun == ["third"]
    assert isinstance(first.exception(), ValueError)
    log.durable.set()
    assert await third == "third"
