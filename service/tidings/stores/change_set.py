"""Telling the listener what was committed."""

import asyncio

from tidings.domain.ports.store import CommitListener
from tidings.stores.mutations import ChangeSet


def notify_commit(
    loop: asyncio.AbstractEventLoop, commit_listener: CommitListener | None, change_set: ChangeSet
) -> None:
    """Call the listener for each room. What it raises is its own fault and goes to the loop: the commit stands."""
    if commit_listener is None:
        return
    for room, events, rewritten, member_changes in change_set.rooms.values():
        try:
            commit_listener(room.name, room.epoch, events, list(rewritten.values()), member_changes)
        except Exception as error:
            loop.call_exception_handler({"message": "the listener of commits failed", "exception": error})
