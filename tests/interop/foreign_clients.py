"""Clients of other people, driven by a test: each runs as a process of its own that takes commands line by line.

A test speaks of connections, calls, watches and channels; which library carries them out is the `Line`'s affair. The
processes' side is `driver.cjs` for rsocket-js, `rsocket_py/client.py` for rsocket-py, and `java/` for rsocket-java and
Spring's RSocketRequester. Both lines of rsocket-js run twice: in Node, and in a page of Chromium, which
`tests/browser/rsocket_js.py` drives.
"""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from browser import chromium

HERE = Path(__file__).parent
NODE = shutil.which("node")
JAVA = shutil.which("java") and shutil.which("mvn")
JAVA_CLASSES = HERE / "java" / "target"
JAVA_PATH = f"{JAVA_CLASSES / 'classes'}{os.pathsep}{JAVA_CLASSES / 'libs'}/*"
# A page of 1 MiB and more is one line.
LINE_BYTES_MAX = 1 << 26
# A guard against a wait that never ends; nothing is measured with it.
REPLY_TIMEOUT_SECONDS = 100
DEFAULT_KEEPALIVE_MS = 60_000
DEFAULT_LIFETIME_MS = 300_000
EMPTY_MESSAGE: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Library:
    """One line of a library: how its driver is started and what the library can do."""

    name: str
    command: tuple[str, ...]
    # Sends its requests in fragments when asked to.
    supports_fragments: bool
    schemes: tuple[str, ...] = ("ws", "tcp")


def in_chromium(library: Library, folder: str) -> Library:
    """The same line of rsocket-js in a page, where there are WebSockets alone."""
    command = (sys.executable, "-m", "browser.rsocket_js", folder)
    return Library(
        f"{library.name} in Chromium", command, supports_fragments=library.supports_fragments, schemes=("ws",)
    )


def in_java(name: str, main: str) -> Library:
    """A library of Java; `make test` compiles its driver with Maven."""
    # The JVM is there for the length of a test file: quick to start matters more than quick to run.
    options = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
    return Library(name, ("java", *options, "-cp", JAVA_PATH, f"tidings.interop.{main}"), supports_fragments=True)


LEGACY = Library("rsocket-js 0.0.27", ("node", str(HERE / "legacy" / "client.cjs")), supports_fragments=False)
ALPHA = Library("rsocket-js 1.0.0-alpha.3", ("node", str(HERE / "alpha" / "client.cjs")), supports_fragments=True)
LEGACY_IN_CHROMIUM = in_chromium(LEGACY, "legacy")
ALPHA_IN_CHROMIUM = in_chromium(ALPHA, "alpha")
PYTHON = Library("rsocket-py 0.4.20", (sys.executable, str(HERE / "rsocket_py" / "client.py")), supports_fragments=True)
RSOCKET_JAVA = in_java("rsocket-java 1.1.5", "RSocketJava")
SPRING = in_java("Spring's RSocketRequester", "SpringRequester")

# On a machine without Node the lines of rsocket-js are left out, and without a JDK and Maven those of Java, and
# `conftest.py` says so. Where CI is set they stay, and their tests fail: there a missing program must be noticed.
LIBRARIES = [
    PYTHON,
    *([RSOCKET_JAVA, SPRING] if JAVA or os.environ.get("CI") else []),
    *([LEGACY, ALPHA] if NODE or os.environ.get("CI") else []),
    *([LEGACY_IN_CHROMIUM, ALPHA_IN_CHROMIUM] if chromium.IS_AVAILABLE else []),
]


class Combination(NamedTuple):
    """A library and the transport it is tried over."""

    library: Library
    scheme: str

    def __str__(self) -> str:
        return f"{self.library.name} over {TRANSPORTS[self.scheme]}"


TRANSPORTS = {"ws": "WebSocket", "tcp": "TCP"}
COMBINATIONS = [Combination(line, scheme) for line in LIBRARIES for scheme in line.schemes]


class ForeignError(Exception):
    """An error as the foreign library told it: `code` is RSocket's, None where the library keeps it to itself."""

    def __init__(self, code: int | str | None, text: str) -> None:
        super().__init__(f"{code:#x}: {text}" if isinstance(code, int) else text)
        self.code = code
        self.text = text


class Driver:
    """A process with a foreign library in it. Holds any number of connections."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._connections: dict[int, Connection] = {}
        self._streams: dict[int, Stream] = {}

    async def start(self) -> None:
        """Start the process."""
        assert shutil.which(self.library.command[0]), f"{self.library.name} needs {self.library.command[0]} on the PATH"
        self._process = await asyncio.create_subprocess_exec(
            *self.library.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            cwd=HERE.parent,
        )
        self._reader_task = asyncio.create_task(self._read())

    async def stop(self) -> None:
        """End the process: it goes when its input ends."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
        await self._reader_task

    async def request(self, command: str, **arguments: Any) -> Any:
        """Have a command carried out; its result."""
        if self._reader_task.done():
            raise self._ended_error()
        number = next(self.numbers)
        answer = self._replies[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "do": command, **arguments}).encode() + b"\n")
        async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
            return await answer

    async def connect(
        self,
        url: str,
        *,
        keepalive_ms: int = DEFAULT_KEEPALIVE_MS,
        lifetime_ms: int = DEFAULT_LIFETIME_MS,
        data_mime: str | None = None,
        auth: Mapping[str, str] | None = None,
        fragment_bytes: int | None = None,
        leases: bool | None = None,
    ) -> "Connection":
        """Connect and send SETUP. The libraries do not wait for its acceptance. `leases`: make no request without."""
        connection = Connection(self)
        self._connections[connection.number] = connection
        options = {"dataMime": data_mime, "auth": auth, "fragmentBytes": fragment_bytes, "leases": leases}
        await self.request(
            "connect",
            connection=connection.number,
            url=url,
            keepaliveMs=keepalive_ms,
            lifetimeMs=lifetime_ms,
            **{name: value for name, value in options.items() if value is not None},
        )
        return connection

    def open_stream(self) -> "Stream":
        """A number for a new stream, and the place its items come to."""
        stream = Stream(self, next(self.numbers))
        self._streams[stream.number] = stream
        return stream

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self._on_message(json.loads(line))
        await self._process.wait()
        for answer in self._replies.values():
            if not answer.done():
                answer.set_exception(self._ended_error())

    def _ended_error(self) -> ForeignError:
        return ForeignError(None, f"the driver of {self.library.name} ended with {self._process.returncode}")

    def _on_message(self, message: dict[str, Any]) -> None:
        if "id" in message:
            answer = self._replies.pop(message["id"])
            if answer.done():
                return  # its test gave up waiting
            if "error" in message:
                answer.set_exception(ForeignError(**message["error"]))
            else:
                answer.set_result(message["result"])
        elif "stream" in message:
            self._streams[message["stream"]].on_message(message)
        else:
            self._connections[message["connection"]].on_message(message)


class Connection:
    """One RSocket connection of a foreign client."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.number = next(driver.numbers)
        self.keepalives = {"echo": 0, "ask": 0}
        self._closed: asyncio.Future[ForeignError] = asyncio.get_running_loop().create_future()
        self._keepalive_event = asyncio.Event()

    async def call(self, route: str, message: Mapping[str, Any] = EMPTY_MESSAGE, **options: Any) -> Any:
        """REQUEST_RESPONSE; `options` are `mime` of this request and `auth` of this request."""
        return await self.driver.request("call", **self._request(route, message, options))

    async def fire(self, route: str, message: Mapping[str, Any], **options: Any) -> None:
        """FIRE_AND_FORGET; returns when the library took it."""
        await self.driver.request("fire", **self._request(route, message, options))

    async def watch(self, route: str, message: Mapping[str, Any], *, n: int, **options: Any) -> "Stream":
        """REQUEST_STREAM with an initial credit of n."""
        return await self._open("watch", n, self._request(route, message, options))

    async def channel(self, route: str, message: Mapping[str, Any], *, n: int, **options: Any) -> "Stream":
        """REQUEST_CHANNEL with `message` as its first item and an initial credit of n."""
        return await self._open("channel", n, self._request(route, message, options))

    async def _open(self, kind: str, n: int, request: dict[str, Any]) -> "Stream":
        stream = self.driver.open_stream()
        await self.driver.request(kind, stream=stream.number, n=n, **request)
        return stream

    def _request(self, route: str, message: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        return {"connection": self.number, "route": route, "message": message, **options}

    async def keepalive(self, kind: str, count: int) -> None:
        """Wait until `count` KEEPALIVEs of this kind came: "echo" answers the client's own, "ask" wants an answer."""
        async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
            while self.keepalives[kind] < count:
                self._keepalive_event.clear()
                await self._keepalive_event.wait()

    async def wait_closed(self) -> ForeignError:
        """Wait until the client sees the connection closed; why, as it saw it."""
        async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
            return await asyncio.shield(self._closed)

    @property
    def is_closed(self) -> bool:
        """The client has seen the connection close."""
        return self._closed.done()

    async def close(self) -> None:
        """Close from the client's side, unless it is closed."""
        if not self.is_closed:
            await self.driver.request("close", connection=self.number)

    def on_message(self, message: dict[str, Any]) -> None:
        """An event of this connection."""
        if "keepalive" in message:
            self.keepalives[message["keepalive"]] += 1
            self._keepalive_event.set()
        elif not self._closed.done():
            self._closed.set_result(ForeignError(**message["closed"]))


# Makes a connection with the library that a test is about; the options are those of `Driver.connect`.
Connect = Callable[..., Awaitable[Connection]]


class Stream:
    """A watch or a channel of a foreign client: what came, in order."""

    def __init__(self, driver: Driver, number: int) -> None:
        self.driver = driver
        self.number = number
        self.received_count = 0
        self.completed = False
        self.error: ForeignError | None = None
        self._items: deque[Any] = deque()
        self._changed = asyncio.Event()

    def on_message(self, message: dict[str, Any]) -> None:
        """An event of this stream."""
        if "item" in message:
            self.received_count += 1
            self._items.append(message["item"])
        elif "error" in message:
            self.error = ForeignError(**message["error"])
        else:
            self.completed = True
        self._changed.set()

    async def next(self) -> Any:
        """The next item; raises the stream's error, or EOFError where it completed."""
        await self._wait_until(lambda: bool(self._items) or self.is_ended)
        if self._items:
            return self._items.popleft()
        raise self.error or EOFError("the stream completed")

    async def take(self, count: int) -> list[Any]:
        """The next items."""
        return [await self.next() for _ in range(count)]

    async def wait_end(self) -> ForeignError | None:
        """Wait until the stream ends; its error, None where it completed."""
        await self._wait_until(lambda: self.is_ended)
        return self.error

    @property
    def is_ended(self) -> bool:
        """The stream completed or failed."""
        return self.completed or self.error is not None

    async def request(self, n: int) -> None:
        """Grant n more items."""
        await self.driver.request("request", stream=self.number, n=n)

    async def cancel(self) -> None:
        """Want no more."""
        await self.driver.request("cancel", stream=self.number)

    async def send(self, message: Mapping[str, Any]) -> None:
        """The next item of a channel; the library sends it when the service grants it."""
        await self.driver.request("send", stream=self.number, message=message)

    async def complete(self) -> None:
        """Nothing more is sent on this channel."""
        await self.driver.request("complete", stream=self.number)

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
