"""The service is killed, the network fails, the page reloads: no message is lost or shown twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

import tidings_client
from browser.load_users import send_numbered_messages
from browser.page_users import page_user
from browser.scrolling import scroll_up_to
from browser.tcp_proxy import TcpProxy, tcp_proxy_to
from service_runner import RunningService, ServiceProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")

MISSED = 5_000
CUT_SECONDS = 30
LOST = "The connection was lost"
# Resolves when the browser has stored everything that the page wrote so far. Without it the test could reload within
# the milliseconds before that, which no user does.
STORED = """async () => {
  for (const {name} of await indexedDB.databases()) {
    const database = await new Promise((opened, failed) => {
      const asked = indexedDB.open(name);
      asked.onsuccess = () => opened(asked.result);
      asked.onerror = () => failed(asked.error);
    });
    await new Promise((done, failed) => {
      const transaction = database.transaction([...database.objectStoreNames], "readwrite");
      transaction.oncomplete = done;
      transaction.onabort = failed;
    });
    database.close();
  }
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(service: RunningService) -> AsyncIterator[TcpProxy]:
    """A proxy between the browser and the service; other clients connect directly."""
    async with tcp_proxy_to(service.app.http_port) as proxy:
        yield proxy


@pytest.mark.timeout(400)
async def test_after_a_kill_and_restart_of_the_service_no_message_is_lost_or_shown_twice(
    browser: Browser, tmp_path: Path
) -> None:
    said: list[str] = []
    async with (
        ServiceProcess(tmp_path) as service,
        page_user(browser, service.http_url, "ada", allow_outages=True) as ada,
        page_user(browser, service.http_url, "bob", allow_outages=True) as bob,
    ):
        for life in range(3):
            for somebody in (ada, bob):
                said.append(f"{somebody.name} in life {life}")
                await somebody.send(said[-1])
            # Not awaited: the messages in flight when the service is killed are the ones that matter.
            await service.kill()
            for somebody in (ada, bob):
                said.append(f"{somebody.name} while it is dead, {life}")
                await somebody.send(said[-1])
            await service.start()
        for somebody in (ada, bob):
            for text in said:
                await expect(somebody.message(text)).to_have_count(1)
            await expect(somebody.messages).to_have_count(len(said))
            await expect(somebody.log.get_by_role("img", name="waiting to be sent")).to_have_count(0)
        async with tidings_client.connect(service.tcp_url, user="eve") as eve:
            page = await eve.rooms["general"].history(limit=len(said) + 10)
        texts = [event.posted.text for event in page.events if event.HasField("posted")]
        assert sorted(texts) == sorted(said)
        for somebody in (ada, bob):
            # Each one's own order is kept, and both see the order of the log.
            own = [text for text in said if text.startswith(somebody.name)]
            assert [text for text in texts if text.startswith(somebody.name)] == own
            shown = await somebody.messages.all_inner_texts()
            assert [next(text for text in said if text in row) for row in shown] == texts


@pytest.mark.timeout(400)
@pytest.mark.parametrize("how", ["connections end", "nothing arrives any more"])
async def test_after_a_network_failure_during_5000_messages_there_is_no_gap_and_no_duplicate(
    how: str, browser: Browser, service: RunningService, proxy: TcpProxy
) -> None:
    await send_numbered_messages(service, 1, 3)
    async with page_user(browser, proxy.http_url, "ada", allow_outages=True) as ada:
        await ada.expect_newest("message 3")
        if how == "connections end":
            composer = await ada.composer.bounding_box()
            await proxy.cut()
            await expect(ada.page.get_by_text(LOST)).to_be_visible()
            assert await ada.composer.bounding_box() == composer  # nothing has moved
        else:
            proxy.stall()
        await ada.send("message 0, written during the cut")
        # A cut has a length of its own, whatever happens meanwhile: attempts to connect again come further apart.
        await asyncio.gather(send_numbered_messages(service, 4, MISSED), asyncio.sleep(CUT_SECONDS))
        await proxy.resume()
        await expect(ada.page.get_by_text(LOST)).to_have_count(0)
        await ada.expect_newest(f"message {MISSED}", "message 0, written during the cut")
        read = await scroll_up_to(ada.log)
        assert read.errors == []
        assert sorted(read.numbers) == list(range(1, MISSED + 1))


async def test_an_offline_reload_shows_the_room_and_messages_written_offline_are_sent_later(
    browser: Browser, service: RunningService, proxy: TcpProxy
) -> None:
    await send_numbered_messages(service, 1, 30)
    async with page_user(browser, proxy.http_url, "ada", allow_outages=True) as ada:
        await ada.expect_newest("message 29", "message 30")
        await ada.page.evaluate("navigator.serviceWorker.ready")
        await proxy.cut()
        await ada.send("written before the reload")
        await expect(ada.waiting("written before the reload")).to_be_visible()
        await ada.page.evaluate(STORED)
        await ada.page.reload()
        await expect(ada.message("message 30")).to_be_visible()
        await expect(ada.message("message 1").first).to_be_attached()
        await expect(ada.waiting("written before the reload")).to_be_visible()
        await ada.send("written after the reload")
        await expect(ada.waiting("written after the reload")).to_be_visible()
        await send_numbered_messages(service, 31, 40)
        await proxy.resume()
        await ada.expect_newest("message 40", "written before the reload", "written after the reload")
        for text in ("written before the reload", "written after the reload", "message 35"):
            await expect(ada.message(text)).to_have_count(1)
