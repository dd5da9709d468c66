"""What stays in a shared browser after signing out."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from browser.profiles import profile
from interop.credentials import SECRET, token
from service_runner import running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Everything that pages of this origin have stored, as one text.
STORED = """async () => {
  const found = [...Object.entries({...localStorage}), ...Object.entries({...sessionStorage})];
  const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
  for (const {name} of await indexedDB.databases()) {
    const database = await done(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      for (const each of await done(database.transaction(store).objectStore(store).getAll())) {
        found.push([store, each.room, new TextDecoder().decode(each.data ?? new Uint8Array()) + (each.text ?? "")]);
      }
    }
    database.close();
  }
  return JSON.stringify(found);
}"""

# The same, once a text is in it or is not.
STORED_ONCE = f"""async ([text, there]) => {{
  for (;;) {{
    const stored = await ({STORED})();
    if (stored.includes(text) === there) return stored;
    await new Promise(requestAnimationFrame);
  }}
}}"""


async def sign_in(page: Page, name: str) -> None:
    await page.get_by_role("textbox", name="Your name").fill(name)
    await page.get_by_role("button", name="Sign in").click()


async def test_signing_out_removes_everything_that_was_cached_or_drafted(browser: Browser, tmp_path: Path) -> None:
    async with running_service(tmp_path) as service, profile(browser, locale="en") as user_profile:
        page = await user_profile.tab(f"{service.http_url}/#/general")
        await sign_in(page, "ada")
        composer = page.get_by_role("textbox", name="Message to")
        await composer.fill("I was here")
        await composer.press("Enter")
        await expect(page.get_by_role("article").last).to_contain_text("I was here")
        await composer.fill("and this I have not said")
        await page.evaluate(STORED_ONCE, ["I was here", True])
        await page.evaluate(STORED_ONCE, ["have not said", True])
        await page.get_by_role("button", name="More about this room").click()
        await page.get_by_role("menuitem", name="Mute").click()
        await page.evaluate(STORED_ONCE, ["tidings.muted ada", True])

        await page.get_by_role("button", name="Settings").first.click()
        await page.get_by_role("button", name="Sign in as another user").click()
        await expect(page.get_by_role("textbox", name="Your name")).to_be_visible()
        await expect(page.get_by_role("textbox", name="Your name")).to_have_value("")
        assert "ada" not in await page.evaluate(STORED_ONCE, ["I was here", False])


async def test_a_rejected_token_is_not_stored(browser: Browser, tmp_path: Path) -> None:
    forged = f"{token('ada')['token'].rpartition('.')[0]}.{'A' * 43}"
    async with (
        running_service(tmp_path, dev=False, auth__secret=SECRET) as service,
        profile(browser, locale="en", allow_outages=True) as user_profile,
    ):
        page = await user_profile.tab(f"{service.http_url}/#/general")
        await page.get_by_label("Token").fill(forged)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("ask for a new one")
        await expect(page.get_by_role("alert").locator("small")).to_contain_text(
            "The service replied: the token is not a JWT"
        )
        assert "tidings.identity" not in await page.evaluate(STORED)
        await page.reload()
        await expect(page.get_by_label("Token")).to_be_visible()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tidings.muted eve", "{bad"),
        ("tidings.muted eve", "5"),
        ("tidings.rooms eve", "{}"),
        ("tidings.rooms eve", "[null]"),
        ("tidings.failed eve general", "[null]"),
        ("tidings.draft eve general", "5"),
    ],
)
async def test_invalid_stored_values_do_not_prevent_the_page_from_loading(
    browser: Browser, tmp_path: Path, key: str, value: str
) -> None:
    async with running_service(tmp_path) as service, profile(browser, locale="en") as user_profile:
        page = await user_profile.tab(f"{service.http_url}/#/general")
        await page.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, value])
        await page.reload()
        await sign_in(page, "eve")
        await expect(page.get_by_role("textbox", name="Message to")).to_be_visible()
