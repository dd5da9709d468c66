"""The JavaScript and Java that the README and the guides show runs as it stands and does what it says."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import tidings_client
from interop.foreign_clients import (
    ALPHA,
    HERE,
    JAVA_PATH,
    LEGACY,
    LIBRARIES,
    REPLY_TIMEOUT_SECONDS,
    RSOCKET_JAVA,
    Library,
)
from service_runner import ServiceProcess, running_service

GUIDE = (HERE.parent.parent / "docs" / "guides" / "rsocket-js.md").read_text()
JS_BLOCK = re.compile(r"^```js\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README = (HERE.parent.parent / "README.md").read_text()
# A whole program says in its title which line of rsocket-js it is for.
BLOCK = re.compile(r'^```js title="(rsocket-js [^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
OTHER_CLIENTS = (HERE.parent.parent / "docs" / "guides" / "other-clients.md").read_text()
JAVA_BLOCK = re.compile(r'^```java title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
ADDRESS = "ws://127.0.0.1:7878/rsocket"


@pytest.mark.asyncio
@pytest.mark.parametrize("line", [LEGACY, ALPHA], ids=lambda line: line.name)
async def test_the_readmes_program_sends_a_message_and_shows_it(line: Library, tmp_path: Path) -> None:
    program = dict(BLOCK.findall(README))[line.name]
    assert ADDRESS in program
    async with running_service(tmp_path) as service:
        text = program.replace(ADDRESS, service.ws_url).encode()
        folder = Path(line.command[1]).parent
        await assert_prints([line.command[0], "-"], ["sent as", "Hello from JavaScript"], folder, text)


JAVA_PROGRAMS = {"Hello.java": "Hello from Java", "HelloSpring.java": "Hello from Spring"}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", JAVA_PROGRAMS if RSOCKET_JAVA in LIBRARIES else ())
async def test_the_guides_java_program_sends_a_message_and_shows_it(name: str, tmp_path: Path) -> None:
    program = dict(JAVA_BLOCK.findall(OTHER_CLIENTS))[name]
    assert ADDRESS in program
    async with running_service(tmp_path / "data") as service:
        (tmp_path / name).write_text(program.replace(ADDRESS, service.ws_url))
        await assert_prints(["java", "-cp", JAVA_PATH, name], ["sent as", JAVA_PROGRAMS[name]], tmp_path)


async def assert_prints(command: Sequence[str], expected: Sequence[str], folder: Path, text: bytes = b"") -> None:
    """The program, with `text` as its standard input, prints all of this; then it is ended."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(text)
    process.stdin.close()
    said = ""
    try:
        async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
            while not all(part in said for part in expected):
                printed = await process.stdout.readline()
                assert printed, f"the program ended after it printed:\n{said}"
                said += printed.decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.asyncio
@pytest.mark.parametrize("line", [LEGACY], ids=lambda line: line.name)
async def test_the_guides_program_stays_in_the_room_while_the_service_is_killed_and_started_again(
    tmp_path: Path, line: Library
) -> None:
    program = next(block for block in JS_BLOCK.findall(GUIDE) if block.startswith("// stay.cjs"))
    messages = 30
    async with ServiceProcess(tmp_path / "data") as service, tidings_client.connect(service.ws_url, user="ann") as ann:
        process = await asyncio.create_subprocess_exec(
            line.command[0],
            "-",
            cwd=Path(line.command[1]).parent,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(program.replace(ADDRESS, service.ws_url).encode())
        process.stdin.close()
        try:
            shown = []
            for number in range(1, messages + 1):
                await ann.rooms["general"].send(f"message {number}")
                if number % 10 == 0:
                    await service.kill()
                    await service.start()
            async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
                shown = [(await process.stdout.readline()).decode().strip() for _ in range(messages)]
        finally:
            process.kill()
            await process.wait()
    assert shown == [f"{number} message {number}" for number in range(1, messages + 1)]
