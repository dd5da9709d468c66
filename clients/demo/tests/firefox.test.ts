/**
 * The page in Firefox, over WebDriver BiDi: what everybody needs of it works there as well. The other tests in a browser
 * (tests/browser) use Chromium. FIREFOX=/path/to/it says which one; without any these are left out, except in CI.
 */
import assert from "node:assert/strict";
import {accessSync, constants, mkdirSync} from "node:fs";
import {delimiter, join} from "node:path";
import {after, before, describe, test} from "node:test";
import {launch} from "puppeteer-core";
import type {TidingsClient} from "@tidings/client";
import {TestService, waitUntil} from "../../browser/tests/test-service.ts";

const SCREENSHOTS = join(process.cwd(), "../../.tmp/screenshots");
const GUARD_MS = 60_000;
const FIREFOX = process.env.FIREFOX ?? onPath("firefox-esr", "firefox");
const skip = FIREFOX === undefined && !process.env.CI ? "Firefox is not on the PATH" : false;

type Browser = Awaited<ReturnType<typeof launch>>;
type Page = Awaited<ReturnType<Browser["newPage"]>>;

describe("in Firefox", {skip}, () => {
  let service: TestService;
  let browser: Browser;
  let bob: TidingsClient;

  before(async () => {
    assert.ok(FIREFOX, "the page's tests need Firefox on the PATH, or FIREFOX=/path/to/it");
    service = await TestService.start();
    bob = service.client("bob");
    await bob.room("general").join();
    browser = await launch({browser: "firefox", executablePath: FIREFOX, headless: true, extraPrefsFirefox: {"intl.accept_languages": "en"}});
  });
  after(async () => {
    await browser?.close();
    await service?.stop();
  });

  /** Somebody with a profile of their own, signed in and in `general`. What the page complains of fails the test. */
  async function person(name: string, use: (page: Page) => Promise<void>, {outages = false} = {}): Promise<void> {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    const complaints: string[] = [];
    page.setDefaultTimeout(GUARD_MS);
    page.on("pageerror", (error) => complaints.push(`uncaught: ${error instanceof Error ? error.message : String(error)}`));
    page.on("console", (message) => message.type() === "error" && !outages && complaints.push(message.text()));
    await page.setViewport({width: 1280, height: 800});
    await page.goto(`${service.url.replace("ws", "http").replace("/rsocket", "")}/#/general`);
    await page.locator("#who").fill(name);
    await page.keyboard.press("Enter");
    await composer(page).wait();
    await use(page);
    await context.close();
    assert.deepEqual(complaints, []);
  }

  test("two users sign in and receive each other's messages", async () => {
    const heard: string[] = [];
    bob.room("general").on("event", ({what}) => void (what.case === "posted" && heard.push(what.value.text)));
    await person("ada", async (page) => {
      await say(page, "Hello from **Firefox**");
      await waitUntil(() => heard.includes("Hello from **Firefox**"), "the message at bob's");
      await bob.room("general").send("Hello, ada. مرحبا 你好");
      await sees(page, "Hello, ada. مرحبا 你好");
      assert.equal(await page.$eval("[role=log] strong", (strong) => strong.textContent), "Firefox");
      await gone(page, "[role=img][aria-label='waiting to be sent']");
      await page.reload();
      await sees(page, "Hello, ada. مرحبا 你好");
    });
  });

  test("a message is deleted after a confirmation, which a double-click does not confirm", async () => {
    await person("ada", async (page) => {
      await say(page, "to be deleted");
      await sees(page, "to be deleted");
      await gone(page, "[role=img][aria-label='waiting to be sent']");
      const rows = await page.$$("article[data-seq]");
      await rows.at(-1)!.hover();
      await page.locator(".toolbar [aria-label='More']").click();
      await page.locator(".message-menu .delete").click({count: 2});
      await page.locator("dialog[open] .danger:not(:disabled)").wait();await page.locator("dialog[open] .danger:not(:disabled)").wait();
      assert.equal(await page.$$eval("article .deleted", ({length}) => length), 0);
      await page.locator("dialog[open] .danger").click();
      await sees(page, "This message was deleted.");
    });
  });

  test("scrolling up loads older history without a gap", async () => {
    await Promise.all(Array.from({length: 300}, (_, at) => bob.room("general").send(`straw ${at + 1}.`)));
    await person("eve", async (page) => {
      await sees(page, "straw 300.");
      const seen = new Set<number>();
      await waitUntil(async () => {
        const numbers = await page.$$eval("article[data-seq]", (rows) => rows.map(({textContent}) => Number(/straw (\d+)\./.exec(textContent)?.[1] ?? 0)));
        for (const number of numbers) if (number) seen.add(number);
        await page.$eval("[role=log]", (log) => void (log.scrollTop = 0));
        return seen.has(1);
      }, "the first message");
      assert.equal(seen.size, 300);
    });
  });

  test("after a kill of the service the page reconnects, and no message is lost or shown twice", async () => {
    await person(
      "ada",
      async (page) => {
        await say(page, "before the kill");
        await sees(page, "before the kill");
        await service.kill();
        await sees(page, "The connection was lost");
        await say(page, "while it is dead");
        await service.run();
        await bob.room("general").send("after the kill");
        await sees(page, "after the kill");
        await gone(page, "[role=img][aria-label='waiting to be sent']");
        await gone(page, ".banner");
        for (const text of ["before the kill", "while it is dead", "after the kill"]) {
          assert.equal(await page.$$eval("article", (rows, wanted) => rows.filter(({textContent}) => textContent.includes(wanted)).length, text), 1, text);
        }
      },
      {outages: true},
    );
  });

  test("the page fits both widths, in both themes and languages", async () => {
    mkdirSync(SCREENSHOTS, {recursive: true});
    await bob.room("general").send(`A list:\n- one\n- **two**\n> quoted\n\`\`\`\ncode\n\`\`\`\n${"long".repeat(100)}`);
    await person("ada", async (page) => {
      for (const [width, theme, language] of [
        [1280, "light", "en"],
        [1280, "dark", "zh"],
        [390, "dark", "en"],
        [390, "light", "zh"],
      ] as const) {
        await page.setViewport({width, height: 800});
        await page.evaluate((kept) => Object.assign(localStorage, kept), {"tidings.theme": theme, "tidings.language": language});
        await page.reload();
        await sees(page, "quoted");
        await page.screenshot({path: join(SCREENSHOTS, `firefox-${width}-${theme}-${language}.png`)});
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} ${theme} ${language}`);
      }
    });
  });
});

const composer = (page: Page) => page.locator(".composer textarea");

async function say(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await page.keyboard.press("Enter");
}

/** Waits until this is somewhere on the page. */
async function sees(page: Page, text: string): Promise<void> {
  await page.waitForFunction((wanted) => document.body.innerText.includes(wanted), {}, text);
}

async function gone(page: Page, selector: string): Promise<void> {
  await page.waitForFunction((wanted) => !document.querySelector(wanted), {}, selector);
}

function onPath(...names: string[]): string | undefined {
  const places = (process.env.PATH ?? "").split(delimiter);
  return names.flatMap((name) => places.map((place) => join(place, name))).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
