"""Freed memory goes back to the system."""

import ctypes
import sys
from typing import Any

import pytest

from tidings.runtime import allocator


def test_where_there_is_no_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_libc", lambda: None)
    assert allocator.free_bytes() == 0
    allocator.trim()


def test_it_is_given_back_where_it_is_much_and_kept_where_it_is_little(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []

    class Library:
        malloc_trim = staticmethod(trimmed.append)

    free = allocator.TRIM_BYTES_MIN - 1
    monkeypatch.setattr(allocator, "_libc", Library)
    monkeypatch.setattr(allocator, "free_bytes", lambda: free)
    allocator.trim()
    assert trimmed == []
    free += 1
    allocator.trim()
    assert trimmed == [0]


@pytest.mark.skipif(allocator._libc() is None, reason="the C library is not glibc")
def test_glibc_says_what_is_free_and_takes_it() -> None:
    library: Any = ctypes.CDLL(None)
    assert sys.platform == "linux"
    blocks = [ctypes.create_string_buffer(60_000) for _ in range(600)]
    kept, blocks[:] = blocks[::50], []
    assert allocator.free_bytes() >= allocator.TRIM_BYTES_MIN
    allocator.trim()
    assert len(kept) == 12
    assert library.malloc_trim(0) in (0, 1)
