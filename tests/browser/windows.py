"""Browsers as people have them: a profile with tabs. Whatever a page complains of fails the test.

A complaint is a violation of the Content-Security-Policy, an uncaught error, or an error in the console. Chromium
writes one there itself when a connection fails; a test that takes the service or the network away says `outages=True`.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page

from browser.chromium import GUARD_MS

TELL_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', ({violatedDirective, blockedURI, sourceFile, lineNumber}) =>
  console.error(`CSP: ${violatedDirective} forbids ${blockedURI} at ${sourceFile}:${lineNumber}`));
"""
OUTAGE = re.compile(r"WebSocket connection to '\S+' failed|Failed to load resource: net::ERR_|WebSocket.*net::ERR_")


class Profile:
    """One person's browser: what it stores is shared by its tabs and by no one else."""

    def __init__(self, context: BrowserContext, outages: bool) -> None:
        self.context = context
        self.complaints: list[str] = []
        self._outages = outages
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not (self._outages and OUTAGE.search(message.text)):
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    async def tab(self, url: str) -> Page:
        """Open a tab."""
        page = await self.context.new_page()
        await page.goto(url)
        return page


@asynccontextmanager
async def profile(browser: Browser, *, outages: bool = False, **options: Any) -> AsyncIterator[Profile]:
    """A fresh profile while the block runs; `options` are those of Playwright's `new_context`."""
    context = await browser.new_context(**options)
    context.set_default_timeout(GUARD_MS)
    await context.add_init_script(TELL_VIOLATIONS)
    made = Profile(context, outages)
    try:
        yield made
    finally:
        await context.close()
    assert not made.complaints, "\n".join(made.complaints)
