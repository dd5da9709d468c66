"""Work that nobody waits for."""

import asyncio

import pytest

from tidings.domain.errands import Errands


def nobody_reports(error: BaseException, where: str) -> None:
    raise AssertionError(f"{where}: {error}")


@pytest.mark.asyncio
async def test_an_errand_brings_its_answer_or_its_exception() -> None:
    errands = Errands(nobody_reports)
    answers: list[object] = []

    async def work(answer: int) -> int:
        if answer < 0:
            raise OSError("no")
        return answer

    errands.run(work(7), answers.append)
    errands.run(work(-1), answers.append)
    await errands.finish()
    assert answers[0] == 7
    assert isinstance(answers[1], OSError)


@pytest.mark.asyncio
async def test_what_fails_and_was_spawned_is_reported() -> None:
    reports: list[tuple[str, str]] = []
    errands = Errands(lambda error, where: reports.append((str(error), where)))

    async def work(fails: bool) -> None:
        if fails:
            raise OSError("no disk")

    errands.spawn(work(True), "writing")
    errands.spawn(work(False), "nothing")
    await errands.finish()
    assert reports == [("no disk", "writing")]


@pytest.mark.asyncio
async def test_finishing_waits_for_what_an_errand_begins_too() -> None:
    errands = Errands(nobody_reports)
    done: list[str] = []

    async def second() -> None:
        await asyncio.sleep(0)
        done.append("second")

    async def first() -> None:
        errands.spawn(second(), "second")

    errands.spawn(first(), "first")
    await errands.finish()
    assert done == ["second"]
