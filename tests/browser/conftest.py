"""One Chromium per test process; each test has its own profiles and its own service."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from browser import chromium
from browser.page_users import PageUser, page_user
from browser.static_site import static_site
from service_runner import RunningService, running_service

if not chromium.IS_AVAILABLE:
    warnings.warn("Chromium or Node is not on the PATH: the browser tests are skipped", stacklevel=1)
    collect_ignore_glob = ["test_*.py"]

HERE = Path(__file__).parent
expect.set_options(timeout=chromium.TEST_TIMEOUT_MS)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium."""
    async with chromium.chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def library(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The origin of a page with only the browser client, as it ships."""
    folder = tmp_path_factory.mktemp("library")
    bundler = await asyncio.create_subprocess_exec("node", str(HERE / "bundle.mjs"), "library", str(folder))
    assert await bundler.wait() == 0
    async with static_site(folder, HERE / "library") as origin:
        yield origin


@pytest_asyncio.fixture(loop_scope="session")
async def service(tmp_path: Path) -> AsyncIterator[RunningService]:
    """A service in development mode, in this process."""
    async with running_service(tmp_path) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def ada(browser: Browser, service: RunningService) -> AsyncIterator[PageUser]:
    """The user ada on the page, in `general`."""
    async with page_user(browser, service.http_url, "ada") as ada:
        yield ada


@pytest_asyncio.fixture(loop_scope="session")
async def bob(browser: Browser, service: RunningService) -> AsyncIterator[PageUser]:
    """The user bob, with his own browser profile."""
    async with page_user(browser, service.http_url, "bob") as bob:
        yield bob
