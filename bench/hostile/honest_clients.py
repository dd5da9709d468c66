"""The honest clients: they send, and measure how long each message takes to be acknowledged; newcomers sign in.

Run as a program: `python -m bench.hostile.honest_clients '{"port": …, "tokens": […], "room": …}'`. It prints `ready`,
then for each line with a number of seconds on its standard input one line of JSON with latencies in milliseconds.
"""

import asyncio
import json
import sys
import time
from typing import Any

import uvloop

from bench import codec
from bench.load.clients import HOST, PATH, RUN_ID, connect_all
from bench.sockets import RequestClient, WebSocketClient
from tidings.contract import v1

SENDS_PER_SECOND = 4.0
NEWCOMERS_PER_SECOND = 2.0
ANSWER_SECONDS = 20.0  # what takes longer counts as that long
TEXT_BYTES = 1_000
FIRST_MESSAGES = 30  # of each client: something to read


class HonestClient:
    """One person who writes: one request at a time."""

    def __init__(self, token: str, room: str, number: int) -> None:
        self.number = number
        self.room = room
        self._answered = asyncio.Event()
        self.client = RequestClient(HOST, PATH, codec.websocket_message(codec.setup_bearer(token)), self._on_replies)
        self._count = 0

    def _on_replies(self, caller: RequestClient, count: int) -> None:
        self._answered.set()

    async def timed_request(self, route: str, data: bytes) -> float:
        """Milliseconds until the answer."""
        self._answered.clear()
        begin = time.perf_counter()
        self.client.send_requests(route, data)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._answered.wait()
        except TimeoutError:
            pass
        return (time.perf_counter() - begin) * 1e3

    async def send(self, size: int) -> float:
        """Send one message."""
        self._count += 1
        client_id = f"{RUN_ID}-{self.number}-{self._count}"
        request = v1.SendRequest(room=self.room, client_id=client_id, text="x" * size)
        return await self.timed_request("chat.send", request.SerializeToString())

    async def send_steadily(self, end: float, took: list[float]) -> None:
        """Send at a fixed pace until `end`."""
        due = time.perf_counter() + self.number / 10 / SENDS_PER_SECOND
        while due < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            took.append(await self.send(100))
            due = max(due + 1 / SENDS_PER_SECOND, time.perf_counter())


class Newcomer(WebSocketClient):
    """Signs in, asks for nothing but a ping, and leaves."""

    def __init__(self, token: str) -> None:
        first = codec.websocket_message(codec.setup_bearer(token)) + codec.websocket_message(
            codec.request_response(1, "session.ping", b"")
        )
        super().__init__(HOST, PATH, first)
        self.accepted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def on_data(self, data: bytes) -> None:
        """Whether the service accepted it."""
        if not self.accepted.done():
            found, _ = codec.split_websocket_messages(data)
            kinds = {codec.frame_type(data, begin) for begin, _ in found}
            self.accepted.set_result(codec.PAYLOAD in kinds)

    def connection_lost(self, error: Exception | None) -> None:
        """Refused."""
        super().connection_lost(error)
        if not self.accepted.done():
            self.accepted.set_result(False)


async def time_sign_in(port: int, token: str) -> float | None:
    """Milliseconds until a new connection is served; None: refused."""
    begin = time.perf_counter()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            transport, newcomer = await asyncio.get_running_loop().create_connection(
                lambda: Newcomer(token), HOST, port
            )
            served = await newcomer.accepted
    except (OSError, TimeoutError):
        return None
    newcomer.ready.cancelled() or newcomer.ready.exception()
    transport.abort()
    return (time.perf_counter() - begin) * 1e3 if served else None


async def sign_in_repeatedly(port: int, token: str, end: float, took: list[float], refused: list[None]) -> None:
    """Newcomers at a fixed pace."""
    while time.perf_counter() < end:
        ms = await time_sign_in(port, token)
        if ms is None:
            refused.append(None)
        else:
            took.append(ms)
        await asyncio.sleep(1 / NEWCOMERS_PER_SECOND)


async def measure(clients: list[HonestClient], port: int, token: str, seconds: float) -> dict[str, Any]:
    """Everybody talks for so long."""
    end = time.perf_counter() + seconds
    sends: list[float] = []
    signed_in: list[float] = []
    refused: list[None] = []
    await asyncio.gather(
        *(client.send_steadily(end, sends) for client in clients),
        sign_in_repeatedly(port, token, end, signed_in, refused),
    )
    failures = [failure.decode(errors="replace") for client in clients for failure in client.client.errors]
    for client in clients:
        client.client.errors.clear()
    return {"sends": sends, "newcomers": signed_in, "refused": len(refused), "failures": failures[:3]}


async def main() -> None:
    """Until the standard input ends."""
    options = json.loads(sys.argv[1])
    port, room, tokens = options["port"], options["room"], options["tokens"]
    clients = [HonestClient(token, room, number) for number, token in enumerate(tokens)]
    await connect_all(port, [lambda client=client: client.client for client in clients])  # type: ignore[misc]
    await clients[0].timed_request("rooms.create", v1.CreateRequest(room=room, kind=v1.OPEN).SerializeToString())
    for client in clients:
        for _ in range(FIRST_MESSAGES):
            await client.send(TEXT_BYTES)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await measure(clients, port, tokens[0], float(line))), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
