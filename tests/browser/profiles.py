"""Browser profiles with tabs. An error that a page reports fails the test.

An error is a violation of the Content-Security-Policy, an uncaught error, or an error in the console. Chromium
writes one there itself when a connection fails; a test that stops the service or the network passes
`allow_outages=True`.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page

from browser.chromium import TEST_TIMEOUT_MS

REPORT_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', ({violatedDirective, blockedURI, sourceFile, lineNumber}) =>
  console.error(`CSP: ${violatedDirective} forbids ${blockedURI} at ${sourceFile}:${lineNumber}`));
"""
CONNECTION_ERROR = re.compile(
    r"WebSocket connection to '\S+' failed|Failed to load resource: net::ERR_|WebSocket.*net::ERR_"
)


class Profile:
    """The browser profile of one user: its tabs share its storage."""

    def __init__(self, context: BrowserContext, allow_outages: bool) -> None:
        self.context = context
        self.errors: list[str] = []
        self._allow_outages = allow_outages
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.errors.append(f"uncaught: {error.error}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not (self._allow_outages and CONNECTION_ERROR.search(message.text)):
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    async def tab(self, url: str) -> Page:
        """Open a tab."""
        page = await self.context.new_page()
        await page.goto(url)
        return page


@asynccontextmanager
async def profile(browser: Browser, *, allow_outages: bool = False, **options: Any) -> AsyncIterator[Profile]:
    """A fresh profile while the block runs; `options` are those of Playwright's `new_context`."""
    context = await browser.new_context(**options)
    context.set_default_timeout(TEST_TIMEOUT_MS)
    await context.add_init_script(REPORT_VIOLATIONS)
    new_profile = Profile(context, allow_outages)
    try:
        yield new_profile
    finally:
        await context.close()
    assert not new_profile.errors, "\n".join(new_profile.errors)
