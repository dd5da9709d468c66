"""Other people, who talk much."""

import asyncio

import tidings_client
from running import RunningService

AT_ONCE = 500


async def say_numbers(service: RunningService, first: int, last: int, filling: str = "") -> None:
    """Bob says "message 1" and so on in `general`; `filling` stands behind the number, up to 39 times."""
    async with tidings_client.connect(service.tcp_url, user="bob") as bob:
        for start in range(first, last + 1, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, last + 1))
            texts = (f"message {number} {filling * (number % 40)}".rstrip() for number in numbers)
            await asyncio.gather(*(bob.rooms["general"].send(text) for text in texts))
