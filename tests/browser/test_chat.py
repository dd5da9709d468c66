"""Two users of the chat page: each sees what the other does."""

import unicodedata

import pytest
from playwright.async_api import expect

import tidings_client
from browser.page_users import PageUser
from service_runner import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_messages_of_two_users_reach_each_other(ada: PageUser, bob: PageUser) -> None:
    await ada.send("Shall we meet?")
    await bob.expect_newest("Shall we meet?")
    await bob.send("At noon.")
    await ada.expect_newest("Shall we meet?", "At noon.")
    await expect(ada.message("At noon.").get_by_text("bob", exact=True)).to_be_visible()


async def test_a_user_sees_that_another_is_typing(ada: PageUser, bob: PageUser) -> None:
    await bob.composer.press_sequentially("I am")
    await expect(ada.page.get_by_text("bob⁩ is typing…")).to_be_visible()
    await bob.composer.press("Enter")
    await ada.expect_newest("I am")
    await expect(ada.page.get_by_text("is typing…")).to_have_count(0)


async def test_a_message_is_edited_replied_to_reacted_to_and_deleted(ada: PageUser, bob: PageUser) -> None:
    await ada.send("lunch at one?")
    await ada.expect_newest("lunch at one?")
    await ada.composer.press("ArrowUp")
    await expect(ada.composer).to_have_value("lunch at one?")
    await ada.send("lunch at two?")
    lunch = bob.message("lunch at two?")
    await expect(lunch.get_by_text("edited")).to_be_visible()

    await lunch.hover()
    await lunch.get_by_role("button", name="Reply").click()
    await bob.send("two is fine")
    answer = ada.message("two is fine")
    await expect(answer.get_by_role("button", name="Reply to ada: lunch at two?")).to_be_visible()

    await answer.hover()
    await answer.get_by_role("button", name="More").click()
    await ada.page.get_by_role("button", name="React 👍").click()
    await expect(bob.message("two is fine").get_by_role("button", name="👍, 1 reaction: ada")).to_be_visible()

    own = bob.message("two is fine")
    await own.hover()
    await own.get_by_role("button", name="More").click()
    await bob.page.get_by_role("button", name="Delete").click()
    await bob.page.get_by_role("dialog", name="Delete this message?").get_by_role("button", name="Delete").click()
    await expect(ada.messages.last).to_contain_text("This message was deleted.")


async def test_tab_moves_from_the_composer_to_one_message_and_then_to_its_controls(
    ada: PageUser, service: RunningService
) -> None:
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        room = bob.rooms["general"]
        for text in ("one", "two", "three"):
            await room.react((await room.send(text)).cursor.seq, "👍")
    await expect(ada.log.get_by_role("button", name="👍, 1 reaction: bob")).to_have_count(3)
    keyboard = ada.page.keyboard
    await ada.composer.focus()
    await keyboard.press("Shift+Tab")
    await expect(ada.message("three")).to_be_focused()
    await keyboard.press("ArrowUp")
    await expect(ada.message("two")).to_be_focused()
    await keyboard.press("r")
    await expect(ada.composer).to_be_focused()
    await expect(ada.page.get_by_text("Replying to").locator("..")).to_contain_text("two")
    await keyboard.press("Escape")

    await keyboard.press("Shift+Tab")
    await expect(ada.message("two")).to_be_focused()
    reaction = ada.message("two").get_by_role("button", name="👍, 1 reaction: bob")
    await expect(reaction).to_have_attribute("tabindex", "0")  # rendered after the message has the focus
    await keyboard.press("Tab")
    await expect(reaction).to_be_focused()
    await keyboard.press("Shift+Tab")
    await keyboard.press("Shift+Tab")
    await expect(ada.page.locator("[role=log]:focus, [role=log] :focus")).to_have_count(0)
    await keyboard.press("Tab")
    await expect(ada.message("two")).to_be_focused()


async def test_code_is_shown_as_code_and_edited_as_typed(ada: PageUser, bob: PageUser) -> None:
    text = "run `make page` or\n```\n<b>x</b>\n```"
    await ada.send(text)
    code = bob.messages.last.get_by_role("code")
    await expect(code).to_have_text(["make page", "<b>x</b>"])
    await ada.expect_newest("make page")
    await ada.composer.press("ArrowUp")
    await expect(ada.composer).to_have_value(text)


async def test_a_message_shows_who_has_read_it(ada: PageUser, bob: PageUser) -> None:
    await ada.send("read this")
    await bob.expect_newest("read this")
    await expect(ada.message("read this").get_by_role("img", name="read by bob")).to_be_visible()


HOSTILE = {
    "markup": "<img src=x onerror=alert(1)><script>alert(2)</script><b>bold</b> &amp; <a href='javascript:x'>a</a>",
    "addresses that are scripts": "javascript:alert(1) data:text/html,<script>alert(1)</script> vbscript:x",
    "tabs and other spaces": "a\tb\u00a0c\u2003d\u3000e\u200bf\ufeffg\u2028h",
    "bidi controls": "file\u202egpj.exe \u2066isolated \u2067never closed \u200f\u061c",
    "combining marks": "Z" + "\u0335\u0321\u0322\u0327" * 7 + " below",
    "a word without an end": "w" * 65_536,
    "emoji and astral letters": "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠜎",
    "templates": "${alert(1)} {{constructor.constructor('alert(1)')()}} %3Cscript%3E",
    "as many lines as fit": "line\n" * 13_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_text_is_shown_as_text_and_breaks_nothing(
    text: str, ada: PageUser, service: RunningService
) -> None:
    dialogs: list[str] = []
    ada.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    async with tidings_client.connect(service.tcp_url, user="mallory") as mallory:
        await mallory.rooms["general"].send(text)
        await mallory.rooms["general"].send("after it")
    await ada.expect_newest("after it")
    body = ada.messages.nth(-2).locator("[dir=auto]")
    shown = visible(await body.inner_text())
    assert all(word[:100] in shown for word in visible(text).split()[:20]), shown
    # No element comes from the text, and nothing is wider than its place.
    assert await body.locator(":is(img, script, b, iframe, style), a:not([href^='http'])").count() == 0
    assert await ada.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await ada.log.evaluate("log => log.scrollWidth <= log.clientWidth")
    assert dialogs == []


def visible(text: str) -> str:
    """Its letters, digits, punctuation and symbols. The page may show marks and control characters differently."""
    return "".join(char if unicodedata.category(char)[0] in "LNPS" else " " for char in text)


async def test_a_line_of_100_kb_is_refused_with_a_reason_and_one_of_60_kb_is_shown_completely(
    ada: PageUser, bob: PageUser
) -> None:
    line = "a line that goes on " * 5_000
    await ada.composer.fill(line)
    await expect(ada.page.get_by_text("Too long by")).to_be_visible()
    await expect(ada.page.get_by_role("button", name="Send")).to_be_disabled()
    await ada.composer.press("Enter")
    await expect(ada.composer).to_have_value(line)
    await ada.send(line[:60_000])
    message = bob.message("a line that goes on")
    for _ in range(2):
        await message.get_by_role("button", name="Show").click()
    await expect(message).to_contain_text(line[:60_000].strip())
    await expect(message.get_by_role("button", name="Show less")).to_be_visible()


async def test_pasted_control_characters_are_not_sent(ada: PageUser, bob: PageUser) -> None:
    await ada.send("a bell\x07 rings \x1b[31mred")
    await bob.expect_newest("a bell rings [31mred")
