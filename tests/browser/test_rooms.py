"""Rooms and members on the page: creating and joining rooms, the room list, presence, search."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

import tidings_client
from browser.page_users import PageUser, page_user
from browser.profiles import profile
from service_runner import RunningService, running_service
from tidings.contract import v1

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def service(tmp_path: Path) -> AsyncIterator[RunningService]:
    # A user who disconnects is offline at once, not after the grace period of 30 s for a change of networks.
    async with running_service(tmp_path, domain__grace_seconds=0.1) as service:
        yield service


async def test_a_direct_message_reaches_the_other_user_with_presence(
    ada: PageUser, browser: Browser, service: RunningService
) -> None:
    async with page_user(browser, service.http_url, "bob") as bob:
        await ada.page.get_by_role("button", name="New conversation").click()
        dialog = ada.page.get_by_role("dialog", name="New conversation")
        await dialog.get_by_role("textbox", name="To", exact=True).fill("bob")
        await dialog.get_by_role("button", name="Start").click()
        await expect(ada.page.get_by_role("heading", name="bob")).to_be_visible()
        await ada.send("only for you")

        entry = bob.rooms.get_by_role("link", name="ada")
        await expect(entry).to_contain_text("only for you")
        await expect(entry).to_contain_text("1 unread")
        await entry.click()
        await bob.expect_newest("only for you")
        await expect(entry).not_to_contain_text("unread")
        await expect(ada.message("only for you").get_by_role("img", name="read by bob")).to_be_visible()
        await expect(ada.room.get_by_text("online", exact=True)).to_be_visible()
    await expect(ada.room.get_by_text("last seen just now")).to_be_visible()


async def test_a_name_with_a_space_is_shown_as_invalid_and_adds_no_member(
    ada: PageUser, service: RunningService
) -> None:
    await ada.page.get_by_role("button", name="New conversation").click()
    dialog = ada.page.get_by_role("dialog", name="New conversation")
    await dialog.get_by_role("radio", name="Group").check(force=True)
    await dialog.get_by_role("textbox", name="Name").fill("Engines")
    members = dialog.get_by_role("textbox", name="Members")
    await members.press_sequentially("finn, Ada Lovelace")
    await members.press("Enter")
    problem = dialog.get_by_role("alert").filter(has_text="Try Ada.Lovelace")
    await expect(problem).to_be_visible()
    await dialog.get_by_role("button", name="Create").click()
    await expect(problem).to_be_visible()
    await dialog.get_by_role("button", name="Remove Ada Lovelace").click()
    await expect(problem).to_have_count(0)
    await members.fill("Ada.Lovelace")
    # As a script or a screen reader does it: the field keeps the focus, and its name was not ended.
    await dialog.get_by_role("button", name="Create").evaluate("button => button.click()")
    await expect(ada.page.get_by_role("heading", name="Engines")).to_be_visible()
    await ada.page.keyboard.press("Alt+m")
    people = ada.page.get_by_role("complementary", name="About this room").get_by_role("listitem")
    await expect(people).to_have_count(3)
    for at, name in enumerate(("Ada.Lovelace", "ada", "finn")):
        await expect(people.nth(at)).to_contain_text(name)


async def test_groups_with_the_same_title_show_different_names_that_can_be_copied(
    browser: Browser, service: RunningService
) -> None:
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        made = [await bob.rooms.create(kind=v1.GROUP, title="Twins", members=["ada"]) for _ in range(2)]
    allowed = ["clipboard-read", "clipboard-write"]
    async with page_user(browser, service.http_url, "ada", permissions=allowed) as ada:
        copied = set()
        for at in range(2):
            await ada.rooms.get_by_role("link", name="Twins").nth(at).click()
            if not at:
                await ada.page.keyboard.press("Alt+m")
            about = ada.page.get_by_role("complementary", name="About this room")
            room = ada.page.url.rpartition("/")[2].replace("%3A", ":")
            await expect(about.get_by_role("code")).to_have_text(room)
            await about.get_by_role("button", name="Copy this name").click()
            await expect(about.get_by_role("status")).to_have_text("Copied")
            copied.add(await ada.page.evaluate("navigator.clipboard.readText()"))
    assert copied == {reply.room.room for reply in made}


async def test_a_direct_conversation_is_hidden_until_its_next_message(ada: PageUser, service: RunningService) -> None:
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        room = (await bob.rooms.create(kind=v1.DIRECT, members=["ada"])).room.room
        await bob.rooms[room].send("hello")
        entry = ada.rooms.get_by_role("link", name="bob")
        await entry.click()
        await ada.page.get_by_role("button", name="More about this room").click()
        await ada.page.get_by_role("menuitem", name="Hide conversation").click()
        await ada.page.get_by_role("dialog").get_by_role("button", name="Hide").click()
        await expect(entry).to_have_count(0)
        await ada.page.reload()
        await expect(ada.rooms.get_by_role("link", name="General")).to_be_visible()
        await expect(entry).to_have_count(0)
        await bob.rooms[room].send("are you there?")
        await expect(entry).to_contain_text("are you there?")


async def test_an_open_room_is_found_viewed_joined_and_left(ada: PageUser, service: RunningService) -> None:
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        await bob.rooms.create("lobby", kind=v1.OPEN, title="The lobby")
    await ada.page.get_by_role("button", name="Browse open rooms").click()
    await ada.page.get_by_role("dialog").get_by_role("button", name="Open: The lobby").click()
    await expect(ada.page.get_by_role("heading", name="The lobby")).to_be_visible()
    entry = ada.rooms.get_by_role("link", name="The lobby")
    await expect(entry).to_have_count(0)
    await ada.page.get_by_role("button", name="Join this room").click()
    await expect(entry).to_be_visible()
    await expect(ada.page.get_by_role("button", name="Join this room")).to_have_count(0)
    await ada.page.get_by_role("button", name="More about this room").click()
    await ada.page.get_by_role("menuitem", name="Leave room").click()
    await ada.page.get_by_role("dialog").get_by_role("button", name="Leave").click()
    await expect(entry).to_have_count(0)


async def test_a_message_is_found_by_its_words_and_shown_in_its_room(ada: PageUser, service: RunningService) -> None:
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        for number in range(300):
            text = "the needle in the haystack" if number == 20 else f"straw {number}"
            await bob.rooms["general"].send(text)
    await ada.expect_newest("straw 299")
    await ada.page.keyboard.press("Control+k")
    await ada.page.get_by_role("searchbox", name="Words in messages, or a room").fill("needle hay")
    await ada.page.get_by_role("dialog").get_by_role("button", name="the needle in the haystack").click()
    await expect(ada.message("the needle in the haystack")).to_be_in_viewport()


async def test_a_room_that_another_user_added_one_to_is_marked_as_new_and_on_top_until_it_is_opened(
    ada: PageUser, service: RunningService
) -> None:
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        books = bob.rooms[(await bob.rooms.create("books", kind=v1.GROUP, title="Books")).room.room]
        await books.send("said before")
        await bob.rooms["general"].send("said later")
        await expect(ada.rooms.get_by_role("link", name="general")).to_contain_text("said later")
        await books.join("ada")
    entry = ada.rooms.get_by_role("link").first
    await expect(entry).to_contain_text("Books")
    mark = entry.get_by_text("new", exact=True)
    await expect(mark).to_be_visible()
    await ada.page.reload()
    await expect(entry).to_contain_text("Books")
    await expect(mark).to_be_visible()
    await entry.click()
    await expect(mark).to_have_count(0)
    await expect(entry).to_contain_text("Books")
    await ada.page.reload()
    await expect(ada.page.get_by_role("heading", name="Books")).to_be_visible()
    await expect(mark).to_have_count(0)


async def test_a_returning_user_is_in_the_room_that_was_open_last(
    ada: PageUser, browser: Browser, service: RunningService
) -> None:
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        await bob.rooms.create("second", kind=v1.GROUP, title="The second room", members=["ada", "eve"])
    await ada.rooms.get_by_role("link", name="The second room").click()
    await expect(ada.page.get_by_role("heading", name="The second room")).to_be_visible()
    await ada.page.goto("about:blank")
    await ada.page.goto(service.http_url)
    await expect(ada.page.get_by_role("heading", name="The second room")).to_be_visible()
    # On a narrow screen the list comes first.
    await ada.page.set_viewport_size({"width": 360, "height": 740})
    await ada.page.goto("about:blank")
    await ada.page.goto(service.http_url)
    await expect(ada.rooms.get_by_role("link", name="The second room")).to_be_visible()
    await expect(ada.room).to_be_hidden()


async def test_the_only_room_of_a_user_whom_another_user_added_is_listed_and_opened_on_click(
    browser: Browser, service: RunningService
) -> None:
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        second = bob.rooms[(await bob.rooms.create(kind=v1.GROUP, title="The second room", members=["eve"])).room.room]
        await second.send("hello eve")
        async with profile(browser, locale="en") as user_profile:
            eve = PageUser(await user_profile.tab(service.http_url), user_profile, "eve")
            await eve.sign_in()
            entry = eve.rooms.get_by_role("link", name="The second room")
            await expect(entry.get_by_text("new", exact=True)).to_be_visible()
            await expect(eve.page.get_by_role("heading", name="Choose a conversation")).to_be_visible()
            assert await read_position(service, second.name, "eve") == 0
            await entry.click()
            await expect(eve.message("hello eve")).to_be_visible()
            while not await read_position(service, second.name, "eve"):
                await eve.page.wait_for_timeout(50)
        # On another device it is a room that she has read: it opens by itself.
        async with profile(browser, locale="en") as user_profile:
            eve = PageUser(await user_profile.tab(service.http_url), user_profile, "eve")
            await eve.sign_in()
            await expect(eve.page.get_by_role("heading", name="The second room")).to_be_visible()


async def read_position(service: RunningService, room: str, user: str) -> int:
    """The read position of a user in a room, as the service has stored it."""
    async with tidings_client.connect(service.tcp_url, user=user) as client:
        async for item in client.rooms.watch():
            if item.WhichOneof("item") == "room" and item.room.room.room == room:
                return item.room.read
    raise AssertionError(f"{user} is not in {room}")


@pytest.mark.parametrize("title", ["<b>bold</b><img src=x onerror=alert(1)>", "من اليمين إلى اليسار!", "长" * 80])
async def test_a_hostile_title_is_shown_as_text_and_breaks_nothing(
    title: str, ada: PageUser, service: RunningService
) -> None:
    async with tidings_client.connect(service.tcp_url, user="mallory") as mallory:
        made = await mallory.rooms.create("trap", kind=v1.GROUP, title=title, members=["ada"])
        await mallory.rooms[made.room.room].send(title)
    entry = ada.rooms.get_by_role("link").first
    await expect(entry).to_contain_text("mallory:")
    await entry.click()
    await expect(ada.messages.last).to_be_visible()
    assert await ada.page.locator("b:text('bold'), img[src=x]").count() == 0
    assert await ada.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_the_keyboard_alone_reaches_everything(ada: PageUser, service: RunningService) -> None:
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        await bob.rooms.create("second", kind=v1.GROUP, title="The second room", members=["ada"])
    await expect(ada.rooms.get_by_role("link", name="The second room")).to_be_visible()
    keyboard = ada.page.keyboard
    await keyboard.press("Alt+ArrowDown")
    await expect(ada.page.get_by_role("heading", name="The second room")).to_be_visible()
    await expect(ada.composer).to_be_focused()
    await keyboard.type("first line")
    await keyboard.press("Shift+Enter")
    await keyboard.type("second line")
    await keyboard.press("Enter")
    await ada.expect_newest("first line")
    await expect(ada.message("first line")).to_contain_text("second line")
    await keyboard.press("Shift+Tab")
    await keyboard.press("Control+/")
    help_ = ada.page.get_by_role("dialog", name="Keyboard shortcuts")
    await expect(help_).to_be_visible()
    await keyboard.press("Escape")
    await expect(help_).to_have_count(0)
