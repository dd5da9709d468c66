"""The real `tidings`, run as a process of its own."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from cli import forkserver
from service_runner import RunningService

TIDINGS = Path(sys.executable).with_name("tidings")
# A guard against a wait that never ends; nothing is measured with it.
TEST_TIMEOUT_SECONDS = 60
# What the caller's own environment says must not decide a test.
INHERITED_PREFIXES = ("TIDINGS_", "NO_COLOR", "FORCE_COLOR", "TTY_")


class CommandResult(NamedTuple):
    """What a command did."""

    exit_code: int
    stdout: str
    stderr: str


def environment(**variables: str) -> dict[str, str]:
    """The environment without what would change the command's ways, with `variables`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(INHERITED_PREFIXES)}
    return {**inherited, "TZ": "UTC", "TIDINGS_USER": "alice", **variables}


async def tidings(
    *arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None, cwd: Path | None = None
) -> CommandResult:
    """Run it to its end, in a process that was warm already."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        (files / "stdin").write_bytes(stdin)
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            code = await forkserver.run(TIDINGS, arguments, environment(**(env or {})), cwd or files, files)
        assert code is not None
        return CommandResult(code, (files / "stdout").read_text(), (files / "stderr").read_text())


async def tidings_from_file(*arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> CommandResult:
    """Run it to its end as a shell would: the program from its file."""
    process = await asyncio.create_subprocess_exec(
        str(TIDINGS),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**(env or {})),
    )
    try:
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return CommandResult(process.returncode, out.decode(), err.decode())


class CommandRunner:
    """Runs commands against one service."""

    def __init__(self, service: RunningService) -> None:
        self.service = service

    async def __call__(
        self, *arguments: str, stdin: bytes = b"", user: str = "alice", **variables: str
    ) -> CommandResult:
        """Run a command to its end as `user`."""
        env = {"TIDINGS_URL": self.service.ws_url, "TIDINGS_USER": user, **variables}
        return await tidings(*arguments, stdin=stdin, env=env)

    async def succeed(self, *arguments: str, stdin: bytes = b"", user: str = "alice", **variables: str) -> str:
        """Run a command that must succeed; what it printed."""
        result = await self(*arguments, stdin=stdin, user=user, **variables)
        assert result.exit_code == 0, result
        return result.stdout

    @asynccontextmanager
    async def running(
        self, *arguments: str, user: str = "alice", stdout: int = asyncio.subprocess.PIPE
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """A command that goes on by itself, ended at the end of the block if it has not ended before."""
        process = await asyncio.create_subprocess_exec(
            str(TIDINGS),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            env=environment(TIDINGS_URL=self.service.ws_url, TIDINGS_USER=user),
        )
        try:
            async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
                yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def next_line(stream: asyncio.StreamReader | None) -> str:
    """The next line that a command prints, without its end."""
    assert stream is not None
    line = await stream.readline()
    assert line, "it ended"
    return line.decode().rstrip("\n")
