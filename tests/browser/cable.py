"""The cable between a browser and the service: a TCP proxy that a test can cut and mend."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from running import free_port

READ_BYTES = 65_536


class Cable:
    """Passes bytes on between its own port and `port`, while it is whole."""

    def __init__(self, port: int) -> None:
        self._far = port
        self.port = free_port()
        self.http_url = f"http://127.0.0.1:{self.port}"
        self._whole = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def mend(self) -> None:
        """What comes is passed on; what was on its way when the cable went silent as well."""
        self._whole.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

    def silence(self) -> None:
        """Nothing arrives any more, and nobody is told: a cable pulled somewhere far away, a tunnel."""
        self._whole.clear()

    async def cut(self) -> None:
        """Connections end and new ones are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        while self._passing:
            for task in self._passing:
                task.cancel()
            await asyncio.wait(self._passing)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._carry(reader, far_writer))
                    both.create_task(self._carry(far_reader, writer))
            finally:
                far_writer.transport.abort()
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass  # one end is gone, so the other goes too
        finally:
            writer.transport.abort()
            self._passing.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(READ_BYTES):
            await self._whole.wait()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


@asynccontextmanager
async def cable_to(port: int) -> AsyncIterator[Cable]:
    """A whole cable to a port of this machine, while the block runs."""
    cable = Cable(port)
    await cable.mend()
    try:
        yield cable
    finally:
        await cable.cut()
