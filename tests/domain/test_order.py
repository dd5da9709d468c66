"""First come, first served, also while something has to be looked up."""

import asyncio
import weakref

import pytest

from tidings.domain.order import Order

LINE = "alice in den"


class Log:
    """Notes what was begun, and in which order. What is in `known` need not be looked up."""

    def __init__(self) -> None:
        self.order: Order[str, str, str] = Order(self.find, self.look_up, self.append)
        self.known: dict[str, str] = {}
        self.asked: dict[str, asyncio.Future[None]] = {}
        self.begun: list[str] = []
        self.durable = asyncio.Event()

    def find(self, word: str) -> str | None:
        return self.known.get(word)

    async def look_up(self, word: str) -> str:
        if word in self.asked:
            await self.asked[word]
        return word

    def append(self, _draft: str, word: str) -> "asyncio.Future[str]":
        self.begun.append(word)

        async def answer() -> str:
            await self.durable.wait()
            return word

        return asyncio.ensure_future(answer())

    def say(self, word: str, looked_up: "asyncio.Future[None] | None" = None) -> "asyncio.Future[str]":
        if looked_up is not None:
            self.asked[word] = looked_up
        return self.order.put(LINE, word)


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
async def test_who_is_cancelled_before_anything_was_done_leaves_the_line() -> None:
    log = Log()
    first, second = log.say("first"), log.say("second")
    first.cancel()
    await settled()
    assert log.begun == ["second"]
    log.durable.set()
    assert await second == "second"


@pytest.mark.asyncio
async def test_whoever_finds_nobody_waiting_and_everything_known_is_appended_at_once() -> None:
    log = Log()
    log.known["first"] = "first"
    log.say("first")
    assert log.begun == ["first"]


@pytest.mark.asyncio
async def test_all_that_is_known_behind_a_look_up_is_appended_in_the_turn_of_its_answer() -> None:
    log, looked_up = Log(), asyncio.get_running_loop().create_future()
    words = [f"word {number}" for number in range(1_000)]
    log.say("first", looked_up)
    log.known |= {word: word for word in words}
    for word in words:
        log.say(word)
    looked_up.set_result(None)
    await settled()  # a turn each would take a thousand
    assert log.begun == ["first", *words]
    log.known["next"] = "next"
    log.say("next")
    assert log.begun[-1] == "next"


@pytest.mark.asyncio
async def test_what_the_append_refuses_is_the_answer_and_the_next_one_goes() -> None:
    log, looked_up = Log(), asyncio.get_running_loop().create_future()
    append = log.append

    def refuses_the_second(draft: str, word: str) -> "asyncio.Future[str]":
        if word == "second":
            raise ValueError("too fast")
        return append(draft, word)

    log.order = Order(log.find, log.look_up, refuses_the_second)
    log.say("first", looked_up)
    second, _ = log.say("second"), log.say("third")
    looked_up.set_result(None)
    await settled()
    assert log.begun == ["first", "third"]
    assert isinstance(second.exception(), ValueError)


@pytest.mark.asyncio
async def test_what_was_given_up_behind_a_look_up_is_not_kept_until_its_end() -> None:
    class Draft(str):
        """A text that can be watched."""

    log, never = Log(), asyncio.get_running_loop().create_future()
    log.say("first", never)
    draft = Draft("second")
    kept = weakref.ref(draft)
    answer = log.order.put(LINE, draft)
    del draft
    answer.cancel()
    await settled()
    assert kept() is None
    third = log.say("third")
    never.set_result(None)
    log.durable.set()
    assert await third == "third"
    assert log.begun == ["first", "third"]


@pytest.mark.asyncio
async def test_a_line_that_everybody_left_goes_on_with_who_comes_before_its_look_up_has_ended() -> None:
    log, never = Log(), asyncio.get_running_loop().create_future()
    log.say("first", never).cancel()
    second = log.say("second")
    await settled()
    log.durable.set()
    assert await second == "second"
    assert log.begun == ["second"]


@pytest.mark.asyncio
async def test_where_nobody_waits_a_refusal_is_raised() -> None:
    log = Log()

    def refuses(_draft: str) -> str | None:
        raise ValueError("no")

    log.order = Order(refuses, log.look_up, log.append)
    with pytest.raises(ValueError, match="no"):
        log.say("first")
