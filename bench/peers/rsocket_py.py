"""rsocket-py 0.4.20 on aiohttp and uvloop: rooms in memory, nothing kept, no permission asked.

Less than the service does, with the library doing what it does: it is the measure of the library.
"""

import asyncio
import json
import sys
from typing import Any

from aiohttp import web
from reactivestreams.publisher import Publisher
from reactivestreams.subscriber import Subscriber
from reactivestreams.subscription import Subscription
from rsocket.extensions.composite_metadata import CompositeMetadata
from rsocket.helpers import create_future
from rsocket.payload import Payload
from rsocket.request_handler import BaseRequestHandler
from rsocket.transports.aiohttp_websocket import websocket_handler_factory

from bench.peers.message_log import LIVE, MessageLog
from tidings.contract import v1

LOG = MessageLog()
READERS: dict[str, list[Subscriber]] = {}


class RoomSubscription(Publisher, Subscription):
    """One reader of a room; every reader of the benchmark has asked for everything."""

    def __init__(self, room: str) -> None:
        self.room = room

    def subscribe(self, subscriber: Subscriber) -> None:
        """The stream is open."""
        subscriber.on_subscribe(self)
        subscriber.on_next(Payload(LIVE))
        self.subscriber = subscriber
        READERS.setdefault(self.room, []).append(subscriber)

    def request(self, n: int) -> None:
        """Nothing is held back."""

    def cancel(self) -> None:
        """The reader is gone."""
        READERS[self.room].remove(self.subscriber)


class Handler(BaseRequestHandler):
    """Routes as the service has them."""

    async def request_response(self, payload: Payload) -> Any:
        """`chat.send`, `session.ping`; every other request gets an empty reply."""
        if route_of(payload) != "chat.send":
            return create_future(Payload(b""))
        room, item, reply = LOG.append(payload.data)
        message = Payload(item)
        for reader in READERS.get(room, ()):
            reader.on_next(message)
        return create_future(Payload(reply))

    async def request_stream(self, payload: Payload) -> Publisher:
        """`chat.watch`."""
        return RoomSubscription(v1.WatchRequest.FromString(payload.data).room)


def route_of(payload: Payload) -> str:
    """The route in the composite metadata."""
    metadata = CompositeMetadata()
    metadata.parse(payload.metadata)
    route: bytes = metadata.items[0].tags[0]
    return route.decode()


async def main() -> None:
    """Listen on a free port and print it."""
    application = web.Application()
    application.router.add_get("/rsocket", websocket_handler_factory(handler_factory=Handler))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    print(json.dumps({"ws": runner.addresses[0][1]}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    import logging

    import uvloop

    logging.disable(logging.CRITICAL)
    uvloop.run(main())
