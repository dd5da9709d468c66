"""Reading a long log: pages, the whole of it, words in it."""

import asyncio
import statistics
import time
from typing import Any

from bench import codec
from bench.load.clients import HOST, PATH, connect_all
from bench.load.sequential import BlockingClient, time_calls
from bench.sockets import STREAM_ID, WebSocketClient
from tidings.contract import v1

READ_SECONDS_MAX = 300


async def pages(port: int, room: str, before: int | None, seconds: float, **_: Any) -> dict[str, Any]:
    """The median of history.page of 50 events before a seq, or of the newest, ms."""
    client = BlockingClient(port, "ws")
    request = v1.PageRequest(room=room, before=before, limit=50).SerializeToString()
    reply = v1.PageReply.FromString(client.request("history.page", request))
    last = before - 1 if before else reply.head.seq
    wrong = []
    if [event.seq for event in reply.events] != list(range(last - 49, last + 1)):
        wrong.append(f"the page before {before or 'now'} holds other events")
    took = time_calls(lambda: client.request("history.page", request), seconds)
    return {"value": statistics.median(took) * 1e3, "errors": wrong}


async def search(port: int, room: str, query: str, results_min: int, seconds: float, **_: Any) -> dict[str, Any]:
    """The median of history.search until the first page of results is here, ms."""
    client = BlockingClient(port, "ws")
    request = v1.SearchRequest(query=query, room=room).SerializeToString()
    reply = v1.SearchReply.FromString(client.request("history.search", request))
    wrong = []
    if len(reply.events) < results_min or any(query not in event.posted.text for event in reply.events):
        wrong.append(f"{query}: {len(reply.events)} results, or results without the word")
    took = time_calls(lambda: client.request("history.search", request), seconds, times_min=10)
    return {"value": statistics.median(took) * 1e3, "errors": wrong}


class LogReader(WebSocketClient):
    """Keeps what comes, counts messages, asks for more when half of what it asked for is here."""

    def __init__(self, first: bytes, credit: int) -> None:
        super().__init__(HOST, PATH, first)
        self.chunks: list[bytes] = []
        self.messages = 0
        self.done = asyncio.Event()
        self._buffer = b""
        self._half = credit // 2
        self._last_request_at = 0
        self._request_n = codec.websocket_message(codec.request_n(STREAM_ID, self._half))

    def on_data(self, data: bytes) -> None:
        """Count."""
        buffer = self._buffer + data if self._buffer else data
        found, at = codec.split_websocket_messages(buffer)
        self._buffer = buffer[at:]
        self.chunks.append(buffer[:at])
        self.messages += len(found)
        asks = (self.messages - self._last_request_at) // self._half
        if asks:
            self._last_request_at += asks * self._half
            self.transport.write(self._request_n * asks)
        if found:
            begin, _ = found[-1]
            flags = int.from_bytes(buffer[begin + 4 : begin + 6], "big")
            if flags & codec.COMPLETE or flags >> 10 == codec.ERROR:
                self.done.set()


async def read(port: int, room: str, events: int, credit: int, **_: Any) -> dict[str, Any]:
    """Events a second of history.read over the whole log."""
    request = v1.ReadRequest(room=room).SerializeToString()
    asked = codec.request_stream(STREAM_ID, "history.read", request, credit)
    reader = LogReader(codec.websocket_message(codec.setup("bench")) + codec.websocket_message(asked), credit)
    begin = time.perf_counter()
    await connect_all(port, [lambda: reader])
    await asyncio.wait_for(reader.done.wait(), READ_SECONDS_MAX)
    took = time.perf_counter() - begin
    reader.transport.close()
    seq = 0
    for chunk in reader.chunks:
        for start, end in codec.split_websocket_messages(chunk)[0]:
            data = chunk[start + 6 : end]
            if data:
                item = v1.WatchItem.FromString(data)
                if not item.HasField("event") or item.event.seq != seq + 1:
                    return {"value": 0.0, "errors": [f"after event {seq} came {item}"]}
                seq += 1
    return {"value": seq / took, "errors": [] if seq == events else [f"{seq} events instead of {events}"]}
