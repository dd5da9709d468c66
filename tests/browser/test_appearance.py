"""The appearance of the page: accessible in both themes, not cut at both widths, in both languages.

The pictures are kept under .tmp/screenshots, to be looked at.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

import tidings_client
from browser.page_users import PageUser
from browser.profiles import profile
from service_runner import RunningService, running_service
from tidings.contract import v1

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / ".tmp" / "screenshots"
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 360, "height": 740}}
THEMES = ("light", "dark")
LANGUAGES = ("en", "zh")
SEVERE_IMPACTS = {"serious", "critical"}


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """A service with realistic rooms and messages."""
    async with running_service(tmp_path_factory.mktemp("looks")) as service:
        async with (
            tidings_client.connect(service.tcp_url, user="ada") as ada,
            tidings_client.connect(service.tcp_url, user="Grace-Hopper") as grace,
            tidings_client.connect(service.tcp_url, user="林小明") as lin,
        ):
            await ada.rooms["general"].join()
            await grace.rooms["general"].join()
            await populate(ada, grace, lin)
        yield service


async def populate(ada: tidings_client.Client, grace: tidings_client.Client, lin: tidings_client.Client) -> None:
    """Send messages of every kind."""
    members = ["Grace-Hopper", "林小明"]
    await ada.rooms.create("lisbon", kind=v1.GROUP, title="Trip to Lisbon", members=members)
    weekend = (await lin.rooms.create("weekend", kind=v1.GROUP, title="周末去哪儿", members=["ada"])).room.room
    await lin.rooms[weekend].send("周六爬山怎么样？")
    general = [client.rooms["general"] for client in (ada, grace, lin)]
    first = await general[0].send("Good morning! The new release is out: https://example.org/releases/0.2.0")
    await general[1].send("Congratulations 🎉", reply_to=first.cursor.seq)
    await general[1].react(first.cursor.seq, "🎉")
    await general[2].react(first.cursor.seq, "👍")
    await general[2].send("太好了！升级之后重启只要两秒，谢谢大家。")
    long = await general[1].send(
        "I have measured it on the old laptop as well: one connection for all tabs, and one that sleeps costs nothing. "
        "The curve stays flat up to eighteen thousand connections, which is what the file descriptors allow."
    )
    await general[1].send("shalom: \u05e9\u05dc\u05d5\u05dd \u05dc\u05db\u05d5\u05dc\u05dd")
    await general[0].send("👍")
    await general[0].send("Shall we talk about it at noon?\nI would bring:\n• the numbers\n• the cake")
    gone = await general[0].send("wrong room")
    await general[0].delete(gone.cursor.seq)
    await general[1].edit(long.cursor.seq, "The curve stays flat up to eighteen thousand connections. " * 3)
    await lin.rooms["general"].send("中午见 🍰")


@asynccontextmanager
async def ada_at(
    browser: Browser, service: RunningService, *, theme: str, width: str, language: str = "en"
) -> AsyncIterator[PageUser]:
    """Ada, on such a device."""
    phone: dict[str, Any] = {"is_mobile": True, "has_touch": True} if width == "phone" else {}
    locale = {"en": "en", "zh": "zh-CN"}[language]
    async with profile(browser, color_scheme=theme, viewport=WIDTHS[width], locale=locale, **phone) as user_profile:
        yield PageUser(await user_profile.tab(service.http_url), user_profile, "ada")


async def open_room(user: PageUser) -> None:
    """Sign in, in any language."""
    await user.page.get_by_role("textbox").fill(user.name)
    await user.page.keyboard.press("Enter")
    await expect(user.page.get_by_role("navigation").get_by_role("link").nth(2)).to_be_visible()


class LookChecker:
    """Takes screenshots and collects the errors of each."""

    def __init__(self, page: Page, kind: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self._kind = kind

    async def check(self, what: str) -> None:
        """Take a screenshot; nothing may be wider than the window, and axe may report no serious violation."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{what}-{self._kind}.png", animations="disabled")
        if await self.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            self.errors.append(f"{what} is wider than the window")
        self.errors += [f"{what}: {offence}" for offence in await self._accessibility_errors()]

    async def _accessibility_errors(self) -> list[str]:
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE.read_text())
        found = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{violation['id']}: {violation['help']}: {[node['html'][:200] for node in violation['nodes'][:5]]}"
            for violation in found["violations"]
            if violation["impact"] in SEVERE_IMPACTS
        ]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
async def test_the_page_is_whole_and_readable(
    theme: str, width: str, language: str, browser: Browser, service: RunningService
) -> None:
    async with ada_at(browser, service, theme=theme, width=width, language=language) as ada:
        page = ada.page
        looker = LookChecker(page, f"{theme}-{width}-{language}")
        await looker.check("sign-in")
        await open_room(ada)
        await looker.check("rooms")
        await page.goto(f"{service.http_url}/#/general")
        await expect(ada.message("🍰")).to_be_visible()
        await looker.check("conversation")
        for panel, key in {"members": "Alt+m", "inspector": "Alt+w"}.items():
            await page.keyboard.press(key)
            await expect(page.get_by_role("complementary")).to_be_visible()
            if panel == "members":
                await expect(page.get_by_role("complementary").get_by_role("listitem").first).to_be_visible()
            await looker.check(panel)
            await page.keyboard.press(key)
            await expect(page.get_by_role("complementary")).to_have_count(0)
        for dialog, keys in {"search": "Control+k", "new": "Alt+n", "help": "Control+/"}.items():
            await page.keyboard.press(keys)
            await expect(page.get_by_role("dialog")).to_be_visible()
            await looker.check(dialog)
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("dialog")).to_have_count(0)
        assert not looker.errors, "\n".join(looker.errors)
