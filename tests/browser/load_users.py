"""Users that send many messages."""

import asyncio

import tidings_client
from service_runner import RunningService

SENDS_IN_FLIGHT_MAX = 500


async def send_numbered_messages(service: RunningService, first: int, last: int, padding: str = "") -> None:
    """Bob sends "message 1" and so on to `general`; `filling` follows the number, up to 39 times."""
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        for start in range(first, last + 1, SENDS_IN_FLIGHT_MAX):
            numbers = range(start, min(start + SENDS_IN_FLIGHT_MAX, last + 1))
            texts = (f"message {number} {padding * (number % 40)}".rstrip() for number in numbers)
            await asyncio.gather(*(bob.rooms["general"].send(text) for text in texts))
