"""The JavaScript that the README and the guides show runs as it stands and does what they say."""

import asyncio
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from interop.foreign import ANSWER_SECONDS, HERE, LINES, NODE
from running import running_service

TOP = HERE.parent.parent
PAGES = [TOP / "README.md", *sorted((TOP / "docs" / "guides").glob("*.md"))]
# A block of JavaScript that is a whole program says in its title which line of rsocket-js it is for.
BLOCK = re.compile(r'^```js title="(rsocket-js [^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
ADDRESS = "ws://127.0.0.1:7878/rsocket"
FOLDERS = {line.name: Path(line.command[1]).parent for line in LINES}


class Tutorial(NamedTuple):
    """A program on a page."""

    page: str
    line: str
    program: str

    def __str__(self) -> str:
        return f"{self.line} in {self.page}"


TUTORIALS = [
    Tutorial(page.name, line, program)
    for page in PAGES
    for line, program in BLOCK.findall(page.read_text())
    if line in FOLDERS
]


def test_the_readme_shows_a_program_for_each_line_of_rsocket_js() -> None:
    shown = {line for line, _ in BLOCK.findall((TOP / "README.md").read_text())}
    assert shown == {"rsocket-js 0.0.27", "rsocket-js 1.0.0-alpha.3"}


@pytest.mark.asyncio
@pytest.mark.parametrize("tutorial", TUTORIALS, ids=str)
async def test_a_program_of_the_documentation_sends_a_message_and_shows_it(tutorial: Tutorial, tmp_path: Path) -> None:
    assert ADDRESS in tutorial.program
    async with running_service(tmp_path) as service:
        process = await asyncio.create_subprocess_exec(
            NODE or "node",
            "-",
            cwd=FOLDERS[tutorial.line],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(tutorial.program.replace(ADDRESS, service.ws_url).encode())
        process.stdin.close()
        said = ""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while "sent as" not in said or "Hello from JavaScript" not in said:
                    line = await process.stdout.readline()
                    assert line, f"the program ended after it said:\n{said}"
                    said += line.decode()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
