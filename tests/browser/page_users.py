"""Users of the chat page. They find everything by role and accessible name, as a screen reader does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Locator, Page, expect

from browser.profiles import Profile, profile


class PageUser:
    """A user with one tab of the chat page."""

    def __init__(self, page: Page, profile: Profile, name: str) -> None:
        self.page = page
        self.profile = profile
        self.name = name

    async def sign_in(self) -> None:
        """Sign in with a name, as development mode allows."""
        await self.page.get_by_role("textbox", name="Your name").fill(self.name)
        await self.page.get_by_role("button", name="Sign in").click()

    @property
    def rooms(self) -> Locator:
        """The list of my rooms."""
        return self.page.get_by_role("navigation", name="Rooms")

    @property
    def room(self) -> Locator:
        """The open room, including its header."""
        return self.page.get_by_role("main")

    @property
    def log(self) -> Locator:
        """The message list of the open room."""
        return self.page.get_by_role("log")

    @property
    def messages(self) -> Locator:
        """All messages on the page."""
        return self.log.get_by_role("article")

    def message(self, text: str) -> Locator:
        """The message with this text."""
        return self.messages.filter(has_text=text)

    def waiting(self, text: str) -> Locator:
        """The delivery mark of my message with this text while it is not sent."""
        return self.message(text).get_by_role("img", name="waiting to be sent")

    @property
    def composer(self) -> Locator:
        """The field for messages."""
        return self.page.get_by_role("textbox", name="Message to")

    async def send(self, text: str) -> None:
        """Write a message and press Enter."""
        await self.composer.fill(text)
        await self.composer.press("Enter")

    async def expect_newest(self, *texts: str) -> None:
        """Wait until these are the newest messages and none is waiting to be sent."""
        for index, text in enumerate(reversed(texts), 1):
            await expect(self.messages.nth(-index)).to_contain_text(text)
        await expect(self.log.get_by_role("img", name="waiting to be sent")).to_have_count(0)


@asynccontextmanager
async def page_user(
    browser: Browser, url: str, name: str, *, room: str = "general", allow_outages: bool = False, **options: Any
) -> AsyncIterator[PageUser]:
    """A user with their own browser profile, signed in and in a room. An error that the page reports fails the test."""
    async with profile(browser, allow_outages=allow_outages, **{"locale": "en", **options}) as user_profile:
        user = PageUser(await user_profile.tab(f"{url}/#/{room}"), user_profile, name)
        await user.sign_in()
        await expect(user.composer).to_be_visible()
        yield user
