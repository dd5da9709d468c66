"""People at the chat page. They find everything by its role and its name, as somebody with a screen reader does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Locator, Page, expect

from browser.profiles import Profile, profile


class PageUser:
    """Somebody at a tab of the chat page."""

    def __init__(self, page: Page, profile: Profile, name: str) -> None:
        self.page = page
        self.profile = profile
        self.name = name

    async def sign_in(self) -> None:
        """Say who I am, in development."""
        await self.page.get_by_role("textbox", name="Your name").fill(self.name)
        await self.page.get_by_role("button", name="Sign in").click()

    @property
    def rooms(self) -> Locator:
        """The list of my rooms."""
        return self.page.get_by_role("navigation", name="Rooms")

    @property
    def room(self) -> Locator:
        """The room that is open, its head included."""
        return self.page.get_by_role("main")

    @property
    def log(self) -> Locator:
        """The messages of the room that is open."""
        return self.page.get_by_role("log")

    @property
    def messages(self) -> Locator:
        """Each of them."""
        return self.log.get_by_role("article")

    def message(self, text: str) -> Locator:
        """The message that says this."""
        return self.messages.filter(has_text=text)

    @property
    def composer(self) -> Locator:
        """Where one writes."""
        return self.page.get_by_role("textbox", name="Message to")

    async def send(self, text: str) -> None:
        """Write a message and press Enter."""
        await self.composer.fill(text)
        await self.composer.press("Enter")

    async def expect_newest(self, *texts: str) -> None:
        """Wait until the newest messages are these and each has its place in the log."""
        for index, text in enumerate(reversed(texts), 1):
            await expect(self.messages.nth(-index)).to_contain_text(text)
        await expect(self.log.get_by_role("img", name="on its way")).to_have_count(0)


@asynccontextmanager
async def page_user(
    browser: Browser, url: str, name: str, *, room: str = "general", allow_outages: bool = False, **options: Any
) -> AsyncIterator[PageUser]:
    """Somebody with a browser of their own, signed in and in a room. What the page complains of fails the test."""
    async with profile(browser, outages=allow_outages, **{"locale": "en", **options}) as user_profile:
        user = PageUser(await user_profile.tab(f"{url}/#/{room}"), user_profile, name)
        await user.sign_in()
        await expect(user.composer).to_be_visible()
        yield user
