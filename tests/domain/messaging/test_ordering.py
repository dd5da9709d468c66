"""First come, first served, also while something has to be looked up."""

import asyncio
import weakref

import pytest

from tidings.domain.messaging.ordering import KeyedFifo

KEY = "alice in den"


class AppendRecorder:
    """Notes what was begun, and in which order. What is in `known` need not be looked up."""

    def __init__(self) -> None:
        self.fifo: KeyedFifo[str, str, str] = KeyedFifo(self.find, self.load, self.append)
        self.cached: dict[str, str] = {}
        self.pending_loads: dict[str, asyncio.Future[None]] = {}
        self.started: list[str] = []
        self.durable = asyncio.Event()

    def find(self, word: str) -> str | None:
        return self.cached.get(word)

    async def load(self, word: str) -> str:
        if word in self.pending_loads:
            await self.pending_loads[word]
        return word

    def append(self, _draft: str, word: str) -> "asyncio.Future[str]":
        self.started.append(word)

        async def answer() -> str:
            await self.durable.wait()
            return word

        return asyncio.ensure_future(answer())

    def submit(self, word: str, looked_up: "asyncio.Future[None] | None" = None) -> "asyncio.Future[str]":
        if looked_up is not None:
            self.pending_loads[word] = looked_up
        return self.fifo.submit(KEY, word)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_what_is_loaded_sooner_waits_behind_what_was_submitted_before() -> None:
    log, looked_up = AppendRecorder(), asyncio.get_running_loop().create_future()
    first, second = log.submit("first", looked_up), log.submit("second")
    await settle()
    assert log.started == []
    looked_up.set_result(None)
    await settle()
    assert log.started == ["first", "second"]
    log.durable.set()
    assert await asyncio.gather(first, second) == ["first", "second"]


@pytest.mark.asyncio
async def test_an_append_does_not_wait_until_an_earlier_one_is_durable() -> None:
    log = AppendRecorder()
    for word in ("first", "second", "third"):
        log.submit(word)
    await settle()
    assert log.started == ["first", "second", "third"]


@pytest.mark.asyncio
async def test_a_refusal_and_a_cancellation_let_the_next_one_go() -> None:
    log = AppendRecorder()
    refused, never = (asyncio.get_running_loop().create_future() for _ in range(2))
    first, second, third = log.submit("first", refused), log.submit("second", never), log.submit("third")
    await settle()
    refused.set_exception(ValueError("no"))
    await settle()
    second.cancel()
    await settle()
    assert log.started == ["third"]
    assert isinstance(first.exception(), ValueError)
    log.durable.set()
    assert await third == "third"


@pytest.mark.asyncio
async def test_who_is_cancelled_before_anything_was_done_leaves_the_line() -> None:
    log = AppendRecorder()
    first, second = log.submit("first"), log.submit("second")
    first.cancel()
    await settle()
    assert log.started == ["second"]
    log.durable.set()
    assert await second == "second"


@pytest.mark.asyncio
async def test_with_an_empty_queue_and_a_cached_value_the_append_is_immediate() -> None:
    log = AppendRecorder()
    log.cached["first"] = "first"
    log.submit("first")
    assert log.started == ["first"]


@pytest.mark.asyncio
async def test_all_cached_entries_behind_a_load_are_appended_in_the_round_of_its_result() -> None:
    log, looked_up = AppendRecorder(), asyncio.get_running_loop().create_future()
    words = [f"word {number}" for number in range(1_000)]
    log.submit("first", looked_up)
    log.cached |= {word: word for word in words}
    for word in words:
        log.submit(word)
    looked_up.set_result(None)
    await settle()  # a turn each would take a thousand
    assert log.started == ["first", *words]
    log.cached["next"] = "next"
    log.submit("next")
    assert log.started[-1] == "next"


@pytest.mark.asyncio
async def test_what_the_append_refuses_is_the_answer_and_the_next_one_goes() -> None:
    log, looked_up = AppendRecorder(), asyncio.get_running_loop().create_future()
    append = log.append

    def refuses_the_second(draft: str, word: str) -> "asyncio.Future[str]":
        if word == "second":
            raise ValueError("too fast")
        return append(draft, word)

    log.fifo = KeyedFifo(log.find, log.load, refuses_the_second)
    log.submit("first", looked_up)
    second, _ = log.submit("second"), log.submit("third")
    looked_up.set_result(None)
    await settle()
    assert log.started == ["first", "third"]
    assert isinstance(second.exception(), ValueError)


@pytest.mark.asyncio
async def test_a_cancelled_entry_behind_a_load_is_released_at_once() -> None:
    class Draft(str):
        """A text that can be watched."""

    log, never = AppendRecorder(), asyncio.get_running_loop().create_future()
    log.submit("first", never)
    draft = Draft("second")
    kept = weakref.ref(draft)
    answer = log.fifo.submit(KEY, draft)
    del draft
    answer.cancel()
    await settle()
    assert kept() is None
    third = log.submit("third")
    never.set_result(None)
    log.durable.set()
    assert await third == "third"
    assert log.started == ["first", "third"]


@pytest.mark.asyncio
async def test_a_queue_whose_entries_were_all_cancelled_goes_on_with_later_ones() -> None:
    log, never = AppendRecorder(), asyncio.get_running_loop().create_future()
    log.submit("first", never).cancel()
    second = log.submit("second")
    await settle()
    log.durable.set()
    assert await second == "second"
    assert log.started == ["second"]


@pytest.mark.asyncio
async def test_with_an_empty_queue_an_error_is_raised() -> None:
    log = AppendRecorder()

    def refuses(_draft: str) -> str | None:
        raise ValueError("no")

    log.fifo = KeyedFifo(refuses, log.load, log.append)
    with pytest.raises(ValueError, match="no"):
        log.submit("first")
