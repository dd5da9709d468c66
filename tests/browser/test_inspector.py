"""The inspector while the page stops reading, reads slowly, or is disconnected."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, expect

from browser.load_users import send_numbered_messages
from browser.metrics import ServiceMetrics
from browser.page_users import PageUser, page_user
from browser.scrolling import scroll_up_to
from service_runner import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def ada(browser: Browser, service: RunningService) -> AsyncIterator[PageUser]:
    """Ada, with the panel open and one message read."""
    async with page_user(browser, service.http_url, "ada") as ada:
        await send_numbered_messages(service, 1, 1)
        await ada.expect_newest("message 1")
        await ada.room.get_by_role("button", name="Inspector: connection and streams").click()
        await expect(panel(ada)).to_contain_text("Online")
        yield ada


def panel(user: PageUser) -> Locator:
    return user.page.get_by_role("complementary", name="Inspector")


@pytest.mark.timeout(400)
async def test_a_stopped_reader_uses_up_its_credit_costs_the_service_nothing_and_catches_up(
    ada: PageUser, service: RunningService
) -> None:
    messages, spent = 3_000, 300
    metrics = ServiceMetrics(service.http_url)
    await panel(ada).get_by_role("radio", name="Stop reading").check()
    await send_numbered_messages(service, 2, spent)
    await expect(panel(ada).get_by_role("img", name=re.compile("^0 items may still be sent"))).to_be_visible()
    before = await metrics.read()
    await send_numbered_messages(service, spent + 1, messages)
    await expect(panel(ada)).to_contain_text("behind")
    after = await metrics.read()
    assert after["tidings_deliveries_total"] == before["tidings_deliveries_total"]
    assert after["tidings_outbound_queue_bytes"] == 0
    await expect(ada.message("message 1")).to_be_visible()

    await panel(ada).get_by_role("radio", name="Read normally").check()
    await ada.expect_newest(f"message {messages}")
    read = await scroll_up_to(ada.log)
    assert read.errors == []
    assert sorted(read.numbers) == list(range(1, messages + 1))


async def test_the_lag_of_a_stopped_reader_counts_every_message_that_is_not_on_the_page(
    ada: PageUser, service: RunningService
) -> None:
    await expect(panel(ada)).to_contain_text("0 events behind")
    await panel(ada).get_by_role("radio", name="Stop reading").check()
    await expect(panel(ada)).to_contain_text("Closing this panel resumes reading.")
    for count, said in enumerate(("1 event behind", "2 events behind"), 1):
        await send_numbered_messages(service, 1 + count, 1 + count)
        await expect(panel(ada)).to_contain_text(said)
        held = re.compile(f" items may still be sent, {count} received and not yet read")
        await expect(
            panel(ada).get_by_role("region", name="The open room").get_by_role("img", name=held)
        ).to_be_visible()
        await expect(ada.message(f"message {1 + count}")).to_have_count(0)
    await panel(ada).get_by_role("radio", name="Read normally").check()
    await ada.expect_newest("message 2", "message 3")
    await expect(panel(ada)).to_contain_text("0 events behind")


async def test_a_slow_reader_sees_one_message_after_the_other(ada: PageUser, service: RunningService) -> None:
    await panel(ada).get_by_role("radio", name="Read slowly").check()
    await send_numbered_messages(service, 2, 200)
    await expect(ada.message("message 3")).to_be_visible()
    # At one a second the rest would take three minutes.
    await expect(ada.message("message 200")).to_have_count(0)
    await expect(panel(ada)).to_contain_text("behind")
    await panel(ada).get_by_role("radio", name="Read normally").check()
    await ada.expect_newest("message 200")


@pytest.mark.timeout(400)
async def test_a_page_that_was_disconnected_during_5000_messages_has_no_gap_and_no_duplicate(
    ada: PageUser, service: RunningService
) -> None:
    # The button disconnects for 30 s. The other button reconnects sooner; the rest is the same.
    messages = 5_000
    await panel(ada).get_by_role("button", name="Disconnect for 30 s").click()
    await expect(panel(ada).get_by_role("timer")).to_be_visible()
    await ada.send("message 0, written meanwhile")
    await expect(ada.message("message 0, written").get_by_role("img", name="waiting to be sent")).to_be_visible()
    await send_numbered_messages(service, 2, messages)
    await panel(ada).get_by_role("button", name="Reconnect now").click()
    await ada.expect_newest(f"message {messages}", "message 0, written meanwhile")
    read = await scroll_up_to(ada.log)
    assert read.errors == []
    assert sorted(read.numbers) == list(range(1, messages + 1))
