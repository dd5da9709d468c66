"""A real service for tests: in this process, or as a process that can be killed.

Both listen on free ports of loopback and keep their data where the test says.
"""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tidings.app import App
from tidings.config import load

TIDINGS = Path(sys.executable).with_name("tidings")
START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 30
ADDRESS = re.compile(r"\b(ws|tcp|http)://[\d.]+:(\d+)\S*")


class RunningService:
    """A service in this process."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.ws_url = f"ws://127.0.0.1:{app.http_port}/rsocket"
        self.tcp_url = f"tcp://127.0.0.1:{app.tcp_port}"
        self.http_url = f"http://127.0.0.1:{app.http_port}"


@contextlib.asynccontextmanager
async def running_service(data: Path, *, dev: bool = True, **overrides: object) -> AsyncIterator[RunningService]:
    """Serve on free ports while the block runs; `overrides` are settings by dotted name with `__` for the dot."""
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    settings = load(None, {}, {"dev": dev, "data": str(data), "http.port": 0, "tcp.port": 0, **named})
    app = App(settings)
    await app.start()
    try:
        yield RunningService(app)
    finally:
        await app.close()


def free_port() -> int:
    """A port that stays free while its service is down: outgoing connections take theirs from 32,768 on."""
    while True:
        port = random.SystemRandom().randrange(10_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class ServiceProcess:
    """`tidings serve` as a process of its own, startable again on the same ports and data."""

    def __init__(
        self, data: Path, *arguments: str, dev: bool = True, environment: dict[str, str] | None = None
    ) -> None:
        self.data = data
        self.arguments = [*(["--dev"] if dev else []), *arguments]
        self.environment = {**os.environ, **(environment or {})}
        self.ports: dict[str, int] = {}
        self.process: asyncio.subprocess.Process | None = None
        self.output = ""

    @property
    def ws_url(self) -> str:
        """Where RSocket over WebSocket is."""
        return f"ws://127.0.0.1:{self.ports['http']}/rsocket"

    @property
    def tcp_url(self) -> str:
        """Where RSocket over TCP is."""
        return f"tcp://127.0.0.1:{self.ports['tcp']}"

    @property
    def http_url(self) -> str:
        """Where HTTP is."""
        return f"http://127.0.0.1:{self.ports['http']}"

    async def start(self) -> None:
        """Start it and wait until it says where it listens."""
        self.ports = self.ports or {"http": free_port(), "tcp": free_port()}
        self.process = await asyncio.create_subprocess_exec(
            str(TIDINGS),
            "serve",
            *("--port", str(self.ports["http"]), "--tcp-port", str(self.ports["tcp"]), "--data", str(self.data)),
            *self.arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self.environment,
        )
        stdout = self.process.stdout
        assert stdout is not None
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            await self._read_addresses(stdout)
        self._reader_task = asyncio.create_task(self._keep_reading(stdout))

    async def _read_addresses(self, stdout: asyncio.StreamReader) -> None:
        self.output = ""
        found: dict[str, int] = {}
        while not {"ws", "tcp", "http"} <= found.keys():
            line = (await stdout.readline()).decode()
            if not line:
                raise RuntimeError(f"the service ended before it listened:\n{self.output}")
            self.output += line
            found |= {scheme: int(port) for scheme, port in ADDRESS.findall(line)}
        self.ports = {"http": found["http"], "tcp": found["tcp"]}

    async def _keep_reading(self, stdout: asyncio.StreamReader) -> None:
        # A full pipe would stop the service.
        while line := await stdout.readline():
            self.output += line.decode(errors="replace")

    async def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        await self._terminate(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        return await self._terminate(signal.SIGTERM)

    async def _terminate(self, signal_number: signal.Signals) -> int:
        if self.process is None:
            return 0
        process, self.process = self.process, None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal_number)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                code = await process.wait()
                await self._reader_task
        except TimeoutError:
            process.kill()
            raise RuntimeError(f"the service did not end within {STOP_TIMEOUT_SECONDS} s:\n{self.output}") from None
        return code

    async def __aenter__(self) -> "ServiceProcess":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._terminate(signal.SIGTERM)
