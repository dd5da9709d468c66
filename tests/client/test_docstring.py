"""The manual is true: every example in it runs, as it is printed, against the real service."""

import asyncio
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import tidings_client
from service_runner import RunningService, running_service
from tidings_client import v1

pytestmark = pytest.mark.asyncio

EXAMPLE = re.compile(r"^(\S[^\n]*)\n=+\n\n::\n\n((?:    [^\n]*\n|\n)+)", re.MULTILINE)
EXAMPLES = {title: textwrap.dedent(code) for title, code in EXAMPLE.findall(tidings_client.__doc__ or "")}
PROGRAM = "A first program"
URL = "ws://127.0.0.1:7878/rsocket"


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> Any:
    async with running_service(tmp_path) as running:
        yield running


async def test_the_manual_has_examples() -> None:
    assert len(EXAMPLES) >= 8
    assert len(EXAMPLES[PROGRAM].strip().splitlines()) < 20


async def test_the_first_program_runs_as_it_is_printed(
    service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert URL in EXAMPLES[PROGRAM]
    program = compile(EXAMPLES[PROGRAM].replace(URL, service.ws_url), PROGRAM, "exec")
    # A thread of its own, because the program runs an event loop of its own.
    await asyncio.to_thread(exec, program, {"__name__": "__main__"})
    assert "alice hello" in capsys.readouterr().out


@pytest.mark.parametrize("title", [title for title in EXAMPLES if title != PROGRAM])
async def test_an_example_runs_as_it_is_printed(title: str, service: RunningService) -> None:
    names: dict[str, Any] = {"tidings_client": tidings_client, "v1": v1, "asyncio": asyncio}
    exec(f"async def example(client):\n{textwrap.indent(EXAMPLES[title], '    ')}", names)
    for url in (service.ws_url, service.tcp_url):
        async with asyncio.timeout(20), tidings_client.connect(url, user="alice") as client:
            for text in ("lunch?", "one", "two"):
                await client.rooms["general"].send(text)
            await names["example"](client)
