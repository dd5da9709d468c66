"""Photographs the chat page for the README: a real service, a real browser, people who talk.

Run it with .venv/bin/python docs/images/photograph.py; it needs Chromium (CHROMIUM=/path/to/it) and a font with emoji.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

import tidings_client
from tidings_client import Client

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from service_runner import running_service  # noqa: E402

PEOPLE = ("bob", "zoé", "小林", "amal")
TALK = (
    ("bob", "Morning! The import of the old archive went through last night: 412,000 messages, nothing doubled."),
    ("bob", "Search finds things from 2019 now."),
    ("zoé", "Lovely. I restarted the service in the middle of a demo and nobody noticed 😅"),
    ("小林", "手机端试过了，地铁里断网两分钟，回来一条都没少 👍"),
    ("amal", "صباح الخير جميعاً"),
    ("amal", "Reading along from the train. Slowly, one message a second."),
    ("bob", "That is fine: who reads slowly costs the service a number, not a queue."),
)
# What comes quickly while the page reads slowly: the panel shows how far it is behind, and how it catches up.
BUILDS = tuple(f"Build {number} passed." for number in range(1041, 1059))
HEARTS = {3: ("❤️", ("bob", "小林")), 4: ("👍", ("bob", "zoé", "amal"))}


async def main() -> None:
    with tempfile.TemporaryDirectory() as data:
        async with running_service(Path(data)) as service, AsyncExitStack() as stack:
            clients = {
                name: await stack.enter_async_context(tidings_client.connect(service.ws_url, user=name))
                for name in (*PEOPLE, "ada")
            }
            await talk(clients)
            playwright = await stack.enter_async_context(async_playwright())
            browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            await photograph(browser, service.http_url, clients)
            await browser.close()


def chromium() -> str:
    """The browser on this machine."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "the picture needs a Chromium: CHROMIUM=/path/to/it"
    return found


async def talk(clients: dict[str, Client]) -> None:
    """Rooms, and what is said in them."""
    for client in clients.values():
        await client.rooms["general"].join()
    ada = clients["ada"]
    release = (await ada.rooms.create(title="Release 1.0", members=["bob", "zoé"])).room.room
    direct = (await ada.rooms.create(kind=tidings_client.v1.DIRECT, members=["小林"])).room.room
    await clients["小林"].rooms[direct].send("下午三点一起看一下？")
    await clients["zoé"].rooms[release].send("Changelog is ready for your eyes.")
    await clients["bob"].rooms[release].send("Tagging at five.")
    seqs = [(await clients[name].rooms["general"].send(text)).cursor.seq for name, text in TALK]
    for number, (emoji, names) in HEARTS.items():
        for name in names:
            await clients[name].rooms["general"].react(seqs[number - 1], emoji)


async def photograph(browser: Browser, url: str, clients: dict[str, Client]) -> None:
    """The page on a desktop in light mode with the inspector open, and on a phone in dark mode."""
    desktop = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en", device_scale_factor=1.5)
    wide = await opened(await desktop.new_page(), url, "ada")
    seq = (await clients["bob"].rooms["general"].send("Who is up for lunch at noon?")).cursor.seq
    await say(wide, "Me! Ramen?")
    await clients["zoé"].rooms["general"].send("Ramen 🍜", reply_to=seq)
    await wide.keyboard.press("Escape")
    await wide.get_by_role("main").get_by_role("button", name="wire").first.click()
    await asyncio.sleep(8)
    await wide.get_by_role("complementary", name="Inspector").get_by_role("radio", name="Read slowly").check()
    for text in BUILDS:
        await clients["amal"].rooms["general"].send(text)
    await asyncio.sleep(7)
    await clients["bob"].rooms["general"].typing()
    await asyncio.sleep(1)
    await wide.screenshot(path=HERE / "page.png")
    phone = await browser.new_context(
        viewport={"width": 360, "height": 800}, locale="zh-CN", color_scheme="dark", device_scale_factor=1.5
    )
    narrow = await opened(await phone.new_page(), url, "小林")
    await asyncio.sleep(2)
    await narrow.screenshot(path=HERE / "page-phone.png")


async def opened(page: Page, url: str, name: str) -> Page:
    """The page, signed in."""
    await page.goto(f"{url}/#/general")
    await page.get_by_role("textbox").first.fill(name)
    await page.keyboard.press("Enter")
    await page.get_by_role("log").get_by_text("costs the service a number").wait_for()
    return page


async def say(page: Page, text: str) -> None:
    """Type a message, send it."""
    box = page.get_by_role("main").get_by_role("textbox")
    await box.fill(text)
    await box.press("Enter")


if __name__ == "__main__":
    asyncio.run(main())
