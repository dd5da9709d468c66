"""Which core does what: the server has one for itself, everything else runs on the other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def usable_cores() -> list[int]:
    """The cores this process may use; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


ALL_CORES = usable_cores()
SERVER_CORE = ALL_CORES[0] if ALL_CORES else None
LOAD_CORE = ALL_CORES[-1] if ALL_CORES else None


@contextmanager
def pinned_to(core: int | None) -> Iterator[None]:
    """Processes started in this block run on that core only, with all their threads."""
    if core is None:
        yield
        return
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, ALL_CORES)
