"""A socket that takes nothing: judged by progress, not by size. A slow one lives, one that has stopped does not."""


class WriteStallTimer:
    """Since when a socket is full, and how many bytes waited for it then."""

    __slots__ = ("_buffered_bytes", "_since")

    def __init__(self, now: float, buffered_bytes: int) -> None:
        self._since = now
        self._buffered_bytes = buffered_bytes

    def deadline(self, timeout_seconds: float) -> float:
        """When to judge it."""
        return self._since + timeout_seconds

    def has_expired(self, now: float, buffered_bytes: int, timeout_seconds: float) -> bool:
        """Whether nothing was taken for so long. If something was, its time begins anew."""
        if now < self.deadline(timeout_seconds):
            return False
        if buffered_bytes < self._buffered_bytes:
            self._since, self._buffered_bytes = now, buffered_bytes
            return False
        return True
