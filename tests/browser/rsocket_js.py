"""The interop tests' driver of a line of rsocket-js, in a page of Chromium: `python rsocket_js.py legacy|alpha`.

Commands on stdin, answers and events on stdout, as `tests/interop/driver.cjs` says; the driver is that very program,
bundled for a page. It ends when its input ends.
"""

import asyncio
import sys
from pathlib import Path

from playwright.async_api import Page

from browser.chromium import PAGE_ORIGIN, chromium

BUNDLER = Path(__file__).with_name("bundle.mjs")
LINE_BYTES_MAX = 1 << 26


async def bundle_driver(library: str) -> str:
    """The driver as a script for a page."""
    process = await asyncio.create_subprocess_exec(
        "node", str(BUNDLER), "rsocket-js", library, stdout=asyncio.subprocess.PIPE
    )
    script, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"{BUNDLER.name} ended with {process.returncode}")
    return script.decode()


async def stdin() -> asyncio.StreamReader:
    """Reads standard input, line by line."""
    lines = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    return lines


def print_line(line: str) -> None:
    """Writes one line to the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def prepare(page: Page, script: str) -> None:
    """Run the driver in the page."""
    await page.route(
        f"{PAGE_ORIGIN}/**", lambda route: route.fulfill(content_type="text/html", body="<title>rsocket-js</title>")
    )
    await page.expose_function("tidingsSay", print_line)
    page.on("pageerror", lambda error: print(error, file=sys.stderr))
    await page.goto(PAGE_ORIGIN)
    await page.add_script_tag(content=script)


async def main(library: str) -> None:
    """Forward lines until the input ends."""
    script, lines = await asyncio.gather(bundle_driver(library), stdin())
    async with chromium() as browser:
        page = await browser.new_page()
        await prepare(page, script)
        while command := await lines.readline():
            # Only handed over: its answer is a line of its own.
            await page.evaluate("line => void tidingsHear(line)", command.decode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
