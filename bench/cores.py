"""Which core does what: the server has one for itself, everything else runs on the other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def usable() -> list[int]:
    """The cores this process may use; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


ALL = usable()
SERVER = ALL[0] if ALL else None
LOAD = ALL[-1] if ALL else None


@contextmanager
def started_on(core: int | None) -> Iterator[None]:
    """Processes started in this block run on that core only, with all their threads."""
    if core is None:
        yield
        return
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, ALL)
