"""A TCP proxy between a browser and the service, which a test can stall, cut and resume."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service_runner import free_port

READ_BYTES = 65_536


class TcpProxy:
    """Forwards bytes between its own port and `port`, unless it is stalled or cut."""

    def __init__(self, port: int) -> None:
        self._upstream_port = port
        self.port = free_port()
        self.http_url = f"http://127.0.0.1:{self.port}"
        self._is_forwarding = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def resume(self) -> None:
        """Forward again, including the bytes that were held while stalled."""
        self._is_forwarding.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", self.port)

    def stall(self) -> None:
        """Forward nothing, without closing connections: as a network that fails silently, for example in a tunnel."""
        self._is_forwarding.clear()

    async def cut(self) -> None:
        """Close all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._forward(reader, upstream_writer))
                    both.create_task(self._forward(upstream_reader, writer))
            finally:
                upstream_writer.transport.abort()
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass  # one end is gone, so the other goes too
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(READ_BYTES):
            await self._is_forwarding.wait()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


@asynccontextmanager
async def tcp_proxy_to(port: int) -> AsyncIterator[TcpProxy]:
    """A proxy to a port of this machine, while the block runs."""
    proxy = TcpProxy(port)
    await proxy.resume()
    try:
        yield proxy
    finally:
        await proxy.cut()
