"""A long history on the page."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from browser.crowd import say_numbers
from browser.people import person
from browser.reading import climb
from running import running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGES = 10_000


@pytest.mark.timeout(400)
async def test_ten_thousand_messages_are_scrolled_through_without_a_jump_and_without_a_hole(
    browser: Browser, tmp_path: Path
) -> None:
    async with running_service(tmp_path) as service:
        await say_numbers(service, 1, MESSAGES, "words ")
        # A tall window: as many loads, fewer steps.
        async with person(browser, service.http_url, "ada", viewport={"width": 1280, "height": 1800}) as ada:
            await expect(ada.messages.last).to_be_in_viewport()
            read = await climb(ada.log)
            assert read.wrong == []
            assert sorted(read.numbers) == list(range(1, MESSAGES + 1))
            # And back to the present in one step.
            await ada.page.get_by_role("button", name="To the newest message").click()
            await expect(ada.messages.last).to_be_in_viewport()
            await ada.say("I have read it all")
            await ada.sees("I have read it all")
