"""A long history on the page."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from browser.load_users import send_numbered_messages
from browser.page_users import page_user
from browser.scrolling import scroll_up_to
from service_runner import running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGES = 10_000


@pytest.mark.timeout(400)
async def test_ten_thousand_messages_are_scrolled_through_without_a_jump_and_without_a_hole(
    browser: Browser, tmp_path: Path
) -> None:
    async with running_service(tmp_path) as service:
        await send_numbered_messages(service, 1, MESSAGES, "words ")
        # A tall window: as many loads, fewer steps.
        async with page_user(browser, service.http_url, "ada", viewport={"width": 1280, "height": 1800}) as ada:
            await expect(ada.messages.last).to_be_in_viewport()
            read = await scroll_up_to(ada.log)
            assert read.errors == []
            assert sorted(read.numbers) == list(range(1, MESSAGES + 1))
            # And back to the present in one step.
            await ada.page.get_by_role("button", name="Jump to the newest message").click()
            await expect(ada.messages.last).to_be_in_viewport()
            await ada.send("I have read it all")
            await ada.expect_newest("I have read it all")
