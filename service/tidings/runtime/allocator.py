"""Gives freed memory back to the system.

glibc keeps what was freed in the middle of its arenas. After 24 connections had 64 MiB of answers waiting the process
kept 107 MB for nothing; `malloc_trim` gives it back in 10 ms, in a thread, without Python's lock. Python's own arenas
of 1 MiB go back by themselves, those in which nothing lives any more; the rest is used again.
"""

import ctypes
import ctypes.util
import sys
from functools import cache
from typing import Any, Final

TRIM_BYTES_MIN: Final = 16_777_216  # less is not worth the look: it will be used again


class _MallInfo2(ctypes.Structure):
    """`struct mallinfo2` of malloc.h."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


@cache
def _libc() -> Any:
    """The C library if it is glibc 2.33 or later, else None."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim") or not hasattr(library, "mallinfo2"):
        return None
    library.mallinfo2.restype = _MallInfo2
    library.malloc_trim.argtypes = (ctypes.c_size_t,)
    return library


def free_bytes() -> int:
    """What was freed and the process still has; 0 where that cannot be told."""
    library = _libc()
    return int(library.mallinfo2().fordblks) if library is not None else 0


def trim() -> None:
    """Give it back, if it is much. Takes some milliseconds, so call it in a thread."""
    if free_bytes() >= TRIM_BYTES_MIN:
        _libc().malloc_trim(0)
