"""Waiting without a task."""

import asyncio

import pytest

from tidings.domain.common.futures import map_future


@pytest.mark.asyncio
async def test_the_answer_is_what_is_made_of_it() -> None:
    number: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    text = map_future(number, str)
    number.set_result(7)
    assert await text == "7"


@pytest.mark.asyncio
async def test_an_error_passes_through() -> None:
    async def broken() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await map_future(broken(), str)


@pytest.mark.asyncio
async def test_an_error_in_what_is_made_of_it_is_the_answer() -> None:
    number: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    number.set_result("seven")
    with pytest.raises(ValueError, match="seven"):
        await map_future(number, int)


@pytest.mark.asyncio
async def test_who_stops_waiting_stops_nothing() -> None:
    number: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    text = map_future(number, str)
    text.cancel()
    number.set_result(7)
    await asyncio.sleep(0)
    assert number.result() == 7
    assert text.cancelled()


@pytest.mark.asyncio
async def test_what_is_cancelled_at_its_source_is_cancelled() -> None:
    number: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    text = map_future(number, str)
    number.cancel()
    with pytest.raises(asyncio.CancelledError):
        await text
