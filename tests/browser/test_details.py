"""Details of the page: double-clicks, banners, markup, user cards, searches without results."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from playwright.async_api import Browser, Locator, async_playwright, expect

import tidings_client
from browser import chromium
from browser.load_users import send_numbered_messages
from browser.page_users import PageUser, page_user
from browser.tcp_proxy import tcp_proxy_to
from service_runner import RunningService
from tidings.contract import v1

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Blink's own numbers: a touch screen that cannot hover comes first, a mouse is there as well.
TOUCH_FIRST = "--blink-settings=primaryPointerType=2,availablePointerTypes=6,primaryHoverType=1,availableHoverTypes=3"


async def box(locator: Locator) -> dict[str, float]:
    found = await locator.bounding_box()
    assert found
    return dict(found)


# --- buttons that ask before something is gone


async def test_a_double_click_on_delete_only_asks_and_the_dialog_stays_open(ada: PageUser) -> None:
    await ada.send("not to be deleted")
    await ada.expect_newest("not to be deleted")
    await ada.message("not to be deleted").hover()
    await ada.message("not to be deleted").get_by_role("button", name="More").click()
    await ada.page.get_by_role("dialog", name="Actions").get_by_role("button", name="Delete").dblclick()
    asked = ada.page.get_by_role("dialog", name="Delete this message?")
    await expect(asked).to_contain_text("not to be deleted")
    await asked.get_by_role("button", name="Cancel").click()
    await expect(ada.message("not to be deleted")).to_be_focused()
    # With the keys as well: a key that is held down cancels.
    await ada.page.keyboard.press("Delete")
    await expect(asked.get_by_role("button", name="Cancel")).to_be_focused()
    await expect(asked.get_by_role("button", name="Delete")).to_be_enabled()
    await asked.get_by_role("button", name="Delete").click()
    await expect(ada.messages.last).to_contain_text("This message was deleted.")


async def test_a_member_is_removed_only_after_a_confirmation(ada: PageUser) -> None:
    await create_group(ada, "Books", "bob")
    await ada.page.keyboard.press("Alt+m")
    panel = ada.page.get_by_role("complementary")
    await panel.get_by_role("button", name="Change bob").click()
    await panel.get_by_role("menuitem", name="Remove from the room").dblclick()
    asked = ada.page.get_by_role("dialog", name="Remove bob?")
    await asked.get_by_role("button", name="Cancel").click()
    await expect(panel.get_by_role("listitem")).to_have_count(2)
    await panel.get_by_role("button", name="Change bob").click()
    await panel.get_by_role("menuitem", name="Remove from the room").click()
    await asked.get_by_role("button", name="Remove").click()
    await expect(panel.get_by_role("listitem")).to_have_count(1)


async def test_a_failed_message_is_discarded_only_after_a_confirmation(ada: PageUser) -> None:
    await ada.page.evaluate(
        """localStorage.setItem('tidings.failed ada general', JSON.stringify(
          [{clientId: 'x', text: 'not taken', replyTo: 0, atMs: Date.now(), state: 'failed', errorText: 'no'}]))"""
    )
    await ada.page.reload()
    await ada.message("not taken").get_by_role("button", name="Discard").dblclick()
    asked = ada.page.get_by_role("dialog", name="Discard this message?")
    await expect(asked).to_be_visible()
    await asked.get_by_role("button", name="Discard").click()
    await expect(ada.message("not taken")).to_have_count(0)


async def create_group(user: PageUser, title: str, *members: str) -> None:
    await user.page.keyboard.press("Alt+n")
    dialog = user.page.get_by_role("dialog", name="New conversation")
    await dialog.get_by_role("radio", name="Group").check(force=True)
    await dialog.get_by_role("textbox", name="Name").fill(title)
    await dialog.get_by_role("textbox", name="Members").fill(", ".join(members))
    await dialog.get_by_role("button", name="Create").click()
    await expect(user.page.get_by_role("heading", name=title)).to_be_visible()


# --- layout


async def test_the_banner_covers_no_message_and_moves_nothing_below_it(
    browser: Browser, service: RunningService
) -> None:
    await send_numbered_messages(service, 1, 100)
    async with (
        tcp_proxy_to(service.app.http_port) as proxy,
        page_user(browser, proxy.http_url, "ada", allow_outages=True) as ada,
    ):
        await ada.expect_newest("message 99", "message 100")
        before = [await box(part) for part in (ada.composer, ada.messages.last)]
        await proxy.cut()
        banner = ada.page.get_by_role("status").filter(has_text="The connection was lost")
        await expect(banner).to_be_visible()
        assert [await box(part) for part in (ada.composer, ada.messages.last)] == before
        at = await box(banner)
        log = await box(ada.log)
        assert log["y"] >= at["y"] + at["height"] - 1
        await proxy.resume()
        await expect(banner).to_have_count(0)
        # A user who is scrolled up keeps the message in sight at its place.
        await ada.log.evaluate("log => (log.scrollTop -= 500)")
        read = ada.message("message 90")
        await expect(read).to_be_in_viewport()
        place = await box(read)
        await proxy.cut()
        await expect(banner).to_be_visible()
        assert abs((await box(read))["y"] - place["y"]) < 2


async def test_the_delivery_mark_is_beside_the_text_of_a_message(ada: PageUser) -> None:
    await ada.send("ok")
    await ada.expect_newest("ok")
    await ada.send("words that fill a line " * 12 + "and end")
    await ada.expect_newest("and end")
    ends = """row => {
      const text = document.createRange();
      text.selectNodeContents(row.querySelector('.body').firstChild);
      const last = [...text.getClientRects()].at(-1);
      const mark = row.querySelector('[role=img]').getBoundingClientRect();
      return [mark.left - last.right, Math.abs(mark.bottom - last.bottom)];
    }"""
    for message in (ada.message("ok"), ada.message("and end")):
        beside, below = await message.evaluate(ends)
        assert 0 < beside < 24
        assert below < 12


async def test_the_typing_line_has_three_dots_and_does_not_touch_the_composer(ada: PageUser, bob: PageUser) -> None:
    await bob.composer.press_sequentially("I am")
    line = ada.page.get_by_text("is typing…")
    await expect(line).to_be_visible()
    at = await box(line)
    assert (await box(ada.composer.locator("..")))["y"] - (at["y"] + at["height"]) >= 4
    dots = [await box(dot) for dot in await line.locator("i").all()]
    assert len(dots) == 3
    assert all(right["x"] - (left["x"] + left["width"]) >= 2 for left, right in pairwise(dots))


async def test_an_empty_room_says_so_below_the_line_of_who_was_added(ada: PageUser) -> None:
    await create_group(ada, "Books", "bob", "eve")
    empty = await box(ada.log.get_by_text("No messages yet"))
    added = await box(ada.log.get_by_text("ada⁩ added"))
    assert empty["y"] > added["y"]
    await expect(ada.log.get_by_text("added")).to_have_count(1)


async def test_there_is_one_labelled_button_of_the_inspector(ada: PageUser) -> None:
    button = ada.page.get_by_role("button", name="Inspector")
    await expect(button).to_have_count(1)
    await expect(button).to_have_text("Inspector")
    await button.click()
    await expect(ada.page.get_by_role("complementary", name="Inspector")).to_be_visible()


# --- texts


async def test_markdown_is_shown_formatted_and_edited_as_typed(ada: PageUser, bob: PageUser) -> None:
    text = "**Plan** for _now_:\n- a\n- b\n> said\n[docs](https://example.org/)"
    await ada.composer.fill(text)
    await ada.composer.press("Enter")
    message = bob.messages.last
    await expect(message.get_by_role("strong")).to_have_text("Plan")
    await expect(message.get_by_role("emphasis")).to_have_text("now")
    await expect(message.get_by_role("listitem")).to_have_count(2)
    await expect(message.get_by_role("blockquote")).to_have_text("said")
    await expect(message.get_by_role("link", name="docs")).to_have_attribute("href", "https://example.org/")
    await expect(bob.rooms.get_by_role("link", name="General")).to_contain_text("Plan for now: • a")
    await ada.expect_newest("Plan")
    await ada.composer.press("ArrowUp")
    await expect(ada.composer).to_have_value(text)


async def test_when_the_newest_message_is_deleted_the_list_shows_the_one_before(ada: PageUser, bob: PageUser) -> None:
    entry = ada.rooms.get_by_role("link", name="General")
    await bob.send("stays")
    await bob.send("goes")
    await expect(entry).to_contain_text("goes")
    await bob.expect_newest("stays", "goes")
    await bob.message("goes").hover()
    await bob.message("goes").get_by_role("button", name="More").click()
    await bob.page.get_by_role("button", name="Delete").click()
    await bob.page.get_by_role("dialog", name="Delete this message?").get_by_role("button", name="Delete").click()
    await expect(entry).to_contain_text("stays")
    await expect(entry).not_to_contain_text("deleted")


async def test_a_click_on_a_name_or_avatar_opens_the_card_of_the_user(ada: PageUser, bob: PageUser) -> None:
    await bob.send("hello")
    await ada.expect_newest("hello")
    await ada.message("hello").get_by_role("button", name="bob").click()
    card = ada.page.get_by_role("dialog", name="About bob")
    await expect(card).to_contain_text("online")
    await ada.composer.fill("Ask")
    await ada.message("hello").get_by_role("button", name="bob").click()
    await card.get_by_role("button", name="Mention").click()
    await expect(ada.composer).to_have_value("Ask @bob ")
    await expect(ada.composer).to_be_focused()
    await ada.message("hello").locator(".picture").click()
    await card.get_by_role("button", name="Message").click()
    await expect(ada.page.get_by_role("heading", name="bob")).to_be_visible()


# --- searching


async def test_a_search_in_a_room_of_a_non_member_says_so_and_works_after_joining(
    ada: PageUser, service: RunningService
) -> None:
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        await bob.rooms.create("lobby", kind=v1.OPEN, title="The lobby")
        await bob.rooms["lobby"].send("the needle is here")
    await ada.page.goto(f"{service.http_url}/#/lobby")
    await expect(ada.message("the needle")).to_be_visible()
    await ada.room.get_by_role("button", name="Search in this room").click()
    dialog = ada.page.get_by_role("dialog", name="Search")
    await dialog.get_by_role("searchbox").fill("needle")
    await expect(dialog.get_by_text("Only rooms that you are a member of are searched")).to_be_visible()
    await dialog.get_by_role("button", name="Join this room").click()
    await expect(dialog.get_by_role("button", name="the needle is here")).to_be_visible()
    await dialog.get_by_role("searchbox").press("Escape")
    await expect(dialog).to_have_count(0)


async def test_the_inspector_says_why_a_non_member_has_no_lag(ada: PageUser, service: RunningService) -> None:
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        await bob.rooms.create("lobby", kind=v1.OPEN, title="The lobby")
        await bob.rooms["lobby"].send("welcome")
    await ada.page.goto(f"{service.http_url}/#/lobby")
    await expect(ada.message("welcome")).to_be_visible()
    await ada.page.keyboard.press("Alt+w")
    panel = ada.page.get_by_role("complementary", name="Inspector")
    await expect(panel.get_by_text("The lag is known only for rooms that you are a member of")).to_be_visible()
    await expect(panel.get_by_text("No room is open")).to_have_count(0)
    await ada.page.get_by_role("button", name="Join this room").click()
    await expect(panel.get_by_text("0 events behind")).to_be_visible()


# --- devices


@asynccontextmanager
async def touch_first() -> AsyncIterator[Browser]:
    """Chromium on a device whose primary pointer is touch, and which has a mouse, too."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.CHROMIUM, args=[*chromium.FLAGS, TOUCH_FIRST]
        )
        yield browser
        await browser.close()


async def test_with_a_mouse_beside_a_touch_screen_the_actions_of_a_message_are_reached(service: RunningService) -> None:
    async with touch_first() as browser, page_user(browser, service.http_url, "ada") as ada:
        assert await ada.page.evaluate(
            "matchMedia('(hover: none)').matches && matchMedia('(any-hover: hover)').matches"
        )
        await ada.send("point at me")
        await ada.expect_newest("point at me")
        await ada.message("point at me").hover()
        await ada.message("point at me").get_by_role("button", name="Edit").click()
        await expect(ada.composer).to_have_value("point at me")
