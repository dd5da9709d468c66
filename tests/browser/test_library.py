"""The browser client in a real browser: shared connections, tokens, the outbox over a reload, demand."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Dialog, Page, expect

import tidings_client
from browser.metrics import ServiceMetrics
from browser.profiles import Profile, profile
from interop.credentials import SECRET, token
from service_runner import RunningService, ServiceProcess, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

TABS = 5
ROOM = "general"


@pytest_asyncio.fixture(loop_scope="session", params=["in a SharedWorker", "in the tab that leads"])
async def ada(request: pytest.FixtureRequest, browser: Browser) -> AsyncIterator[Profile]:
    """The profile of ada; the parameter says where the shared connection is held."""
    async with profile(browser) as ada:
        if request.param == "in the tab that leads":
            await ada.context.add_init_script("delete globalThis.SharedWorker")
        yield ada


async def tab(user_profile: Profile, library: str, **options: Any) -> Page:
    """A tab with a client that is online."""
    page = await user_profile.tab(library)
    await start_client(page, **options)
    await expect(page.get_by_label("states")).to_contain_text("online")
    return page


async def start_client(page: Page, **options: Any) -> None:
    await expect(page.locator("body[data-ready]")).to_be_attached()
    await page.evaluate("options => begin(options)", {"room": ROOM, **options})


async def watch(page: Page, *, allowed: int = 2**31) -> None:
    """Show the room from its beginning in the page; it reads at most `allowed` events."""
    await page.evaluate("([room, allowed]) => void watch(room, 0, allowed)", [ROOM, allowed])


async def send(page: Page, text: str) -> None:
    await page.evaluate("([room, text]) => void tidings.room(room).send(text)", [ROOM, text])


async def texts(page: Page) -> list[str]:
    return await page.get_by_label("seen").locator("li").all_text_contents()


async def test_five_tabs_share_one_connection_and_continue_when_the_first_is_closed(
    ada: Profile, library: str, service: RunningService
) -> None:
    metrics = ServiceMetrics(service.http_url)
    tabs = [await tab(ada, library, url=service.ws_url, user="ada") for _ in range(TABS)]
    for page in tabs:
        await watch(page)
    await send(tabs[-1], "to all")
    for page in tabs:
        await expect(page.get_by_label("seen")).to_have_text("ada: to all")
    numbers = await metrics.read()
    assert (numbers["tidings_connections"], numbers["tidings_connections_opened_total"]) == (1, 1)

    await tabs.pop(0).close()
    for number, page in enumerate(tabs):
        await send(page, f"from tab {number}")
    wanted = {"ada: to all", *(f"ada: from tab {number}" for number in range(len(tabs)))}
    for page in tabs:
        await expect(page.get_by_label("seen").locator("li")).to_have_count(len(wanted))
        assert set(await texts(page)) == wanted
        assert await texts(page) == await texts(tabs[0])
    assert (await metrics.read())["tidings_connections"] == 1
    while tabs:
        await tabs.pop().close()
    await metrics.wait_until(connections=0)


async def test_a_token_is_refreshed_on_the_open_connection_also_after_the_refreshing_tab_closed(
    browser: Browser, library: str, tmp_path: Path
) -> None:
    async with (
        running_service(tmp_path, dev=False, auth__secret=SECRET, http__origins=(library,)) as service,
        profile(browser) as ada,
    ):
        seconds = 2
        asked = asyncio.Semaphore(0)

        def fresh_token() -> str:
            asked.release()
            return token("ada", ttl_seconds=seconds)["token"]

        await ada.context.expose_function("freshToken", fresh_token)
        first = await tab(ada, library, url=service.ws_url, tokens=True, account="ada")
        second = await tab(ada, library, url=service.ws_url, tokens=True, account="ada")
        # Each tab asks once to connect; the others are refreshes.
        for _ in range(4):
            await asked.acquire()
        await first.close()
        seconds = 3_600
        await second.evaluate(
            """async () => {
                for (let left = 0n; left < 60_000n; ) {
                    const {expiresAtMs, nowMs} = await tidings.session.info();
                    left = expiresAtMs - nowMs;
                }
            }"""
        )
        await expect(second.get_by_label("states")).to_have_text("online ")
        numbers = await ServiceMetrics(service.http_url).read()
        assert (numbers["tidings_connections"], numbers["tidings_connections_opened_total"]) == (1, 1)


async def test_a_page_of_an_origin_that_is_not_allowed_says_so_in_the_console(
    ada: Profile, library: str, tmp_path: Path
) -> None:
    warned: list[str] = []
    ada.context.on("console", lambda message: warned.append(message.text) if message.type == "warning" else None)
    async with running_service(tmp_path, dev=False, auth__secret=SECRET) as service:
        page = await ada.tab(library)
        await start_client(page, url=service.ws_url, **token("ada"))
        await expect(page.get_by_label("states")).to_have_text("connecting ")
        for text in [await page.evaluate("tidings.lastError.text"), *warned]:
            assert f"http.origins does not name {library}" in text
        assert len(warned) == 1
        await page.evaluate("tidings.close()")
    # Chromium complains of refused handshakes by itself.
    ada.errors[:] = [text for text in ada.errors if "Unexpected response code: 403" not in text]


async def test_messages_written_while_the_service_is_down_survive_a_reload_and_are_sent_once(
    browser: Browser, library: str, tmp_path: Path
) -> None:
    written = [f"written offline {number}" for number in range(3)]
    async with ServiceProcess(tmp_path) as service, profile(browser, allow_outages=True) as ada:
        page = await tab(ada, library, url=service.ws_url, user="ada")
        await send(page, "before")
        await watch(page)
        await expect(page.get_by_label("seen")).to_have_text("ada: before")
        await service.kill()
        await expect(page.get_by_label("states")).to_contain_text("reconnecting")
        for text in written:
            await send(page, text)
        await expect(page.get_by_label("pending").locator("li")).to_have_text(written)

        await page.reload()
        await start_client(page, url=service.ws_url, user="ada")
        await expect(page.get_by_label("pending").locator("li")).to_have_text(written)

        await service.start()
        await watch(page)
        await expect(page.get_by_label("pending").locator("li")).to_have_count(0)
        # No other message came before or after them.
        await send(page, "after")
        await expect(page.get_by_label("seen").locator("li").last).to_have_text("ada: after")
        assert await texts(page) == [f"ada: {text}" for text in ["before", *written, "after"]]
        await expect(page.get_by_label("refused")).to_have_text("")


@pytest.mark.parametrize("stopped", ["stops taking", "is stopped by the browser"])
async def test_a_tab_that_stops_reading_costs_the_service_nothing_blocks_no_other_tab_and_catches_up(
    stopped: str, browser: Browser, library: str, service: RunningService
) -> None:
    messages, granted_max = 2_000, 64
    metrics = ServiceMetrics(service.http_url)
    async with (
        profile(browser) as ada,
        tidings_client.connect(service.tcp_url, user="bob") as bob,
    ):
        slow = await tab(ada, library, url=service.ws_url, user="ada")
        quick = await tab(ada, library, url=service.ws_url, user="ada")
        await bob.rooms[ROOM].send("message 0")
        await watch(quick)
        await watch(slow, allowed=1 if stopped == "stops taking" else 2**31)
        await expect(slow.get_by_label("read")).to_have_text("1")
        dialog: asyncio.Future[Dialog] = asyncio.get_running_loop().create_future()
        slow.on("dialog", lambda shown: dialog.set_result(shown))
        if stopped != "stops taking":
            # No script, timer or message of this tab runs until the dialog is closed.
            await slow.evaluate("void setTimeout(() => alert('stopped'))")
            await dialog

        for start in range(1, messages, 100):
            await asyncio.gather(
                *(bob.rooms[ROOM].send(f"message {number} {'x' * 4_000}") for number in range(start, start + 100))
            )
        last = (await bob.rooms[ROOM].history(limit=1)).head.seq
        await expect(quick.get_by_label("read")).to_have_text(str(last))
        numbers = await metrics.read()
        # The other tab has asked for more; this one asks for nothing, and nothing is kept for it.
        assert numbers["tidings_outbound_queue_bytes"] == 0
        assert numbers["tidings_outstanding_credit"] <= granted_max
        assert numbers["tidings_deliveries_total"] <= last + granted_max + 1

        if stopped == "stops taking":
            await slow.evaluate("allow(Infinity)")
        else:
            await (await dialog).accept()
        await expect(slow.get_by_label("read")).to_have_text(str(last))
        assert await texts(slow) == await texts(quick)
        assert len(await texts(slow)) == last
