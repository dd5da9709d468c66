"""Telling the listener what was committed."""

import asyncio

from tidings.domain.ports import Committed
from tidings.stores.rules import Journal


def tell(loop: asyncio.AbstractEventLoop, listener: Committed | None, journal: Journal) -> None:
    """Call the listener for each room. What it raises is its own fault and goes to the loop: the commit stands."""
    if listener is None:
        return
    for room, events, rewritten, members in journal.rooms.values():
        try:
            listener(room.name, room.epoch, events, list(rewritten.values()), members)
        except Exception as error:
            loop.call_exception_handler({"message": "the listener of commits failed", "exception": error})
