"""Work that nobody waits for."""

import asyncio

import pytest

from tidings.domain.common.background import BackgroundTasks


def fail_on_report(error: BaseException, where: str) -> None:
    raise AssertionError(f"{where}: {error}")


@pytest.mark.asyncio
async def test_a_task_passes_on_its_result_or_its_exception() -> None:
    background = BackgroundTasks(fail_on_report)
    answers: list[object] = []

    async def work(answer: int) -> int:
        if answer < 0:
            raise OSError("no")
        return answer

    background.start(work(7), answers.append)
    background.start(work(-1), answers.append)
    await background.join()
    assert answers[0] == 7
    assert isinstance(answers[1], OSError)


@pytest.mark.asyncio
async def test_the_failure_of_a_spawned_task_is_reported() -> None:
    reports: list[tuple[str, str]] = []
    background = BackgroundTasks(lambda error, where: reports.append((str(error), where)))

    async def work(fails: bool) -> None:
        if fails:
            raise OSError("no disk")

    background.spawn(work(True), "writing")
    background.spawn(work(False), "nothing")
    await background.join()
    assert reports == [("no disk", "writing")]


@pytest.mark.asyncio
async def test_join_waits_for_tasks_started_by_tasks_too() -> None:
    background = BackgroundTasks(fail_on_report)
    done: list[str] = []

    async def second() -> None:
        await asyncio.sleep(0)
        done.append("second")

    async def first() -> None:
        background.spawn(second(), "second")

    background.spawn(first(), "first")
    await background.join()
    assert done == ["second"]
