"""Finds the installed Chromium and starts it for tests. Nothing is downloaded."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

# CHROMIUM=/path/to/it says another one.
EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, EXECUTABLES)), None)
# Browser tests need Chromium, and Node to bundle code for pages. In CI both are required.
IS_AVAILABLE = bool((CHROMIUM and shutil.which("node")) or os.environ.get("CI"))

# A guard against a wait that never ends; nothing is measured with it.
TEST_TIMEOUT_MS = 100_000
# The origin of pages that a test creates itself. No server listens there.
PAGE_ORIGIN = "http://localhost:1"

FLAGS = (
    "--no-sandbox",  # which needs rights that containers do not give; the pages here are our own
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page that a test makes itself counts as one from the internet, which has to ask before it speaks to loopback.
    "--disable-features=LocalNetworkAccessChecks",
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Headless Chromium, while the block runs."""
    assert CHROMIUM, f"the tests in a browser need one of {', '.join(EXECUTABLES)} on the PATH, or CHROMIUM=/path/to/it"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()
