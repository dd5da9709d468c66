"""What one user makes the service hold, in bytes, over all connections.

Whatever is kept because a user asked for it is held on the user's `MemoryAccount` and released when it goes: open
streams,
requests being served, names that a watch wants to hear of, commands and answers of a channel. What it weighs is a
measured number of bytes beside each use, so `user_bytes_max` is as true as these are.

    reserve      must be kept: RESOURCE_EXHAUSTED when there is no room for it
    try_reserve  may be kept, to be quick: False when half of the limit is in use; do without it then
    queue_sizes  what waits for the user's full sockets; asked for and not counted, since sending must cost nothing

An account lives as long as a session or a holder refers to it, so none is left behind.
"""

from collections.abc import Callable, Mapping
from sys import maxsize
from typing import Final
from weakref import WeakValueDictionary

from tidings.contract.errors import resource_exhausted

RETRY_AFTER_MS: Final = 1_000


class MemoryAccount:
    """The bytes of one user, and the requests of this user that are being served."""

    __slots__ = (
        "__weakref__",
        "active_requests",
        "bytes_max",
        "on_rejected",
        "queue_sizes",
        "requests_max",
        "reserved_bytes",
        "user",
    )

    def __init__(
        self,
        user: str = "",
        bytes_max: int = maxsize,
        requests_max: int = maxsize,
        on_rejected: Callable[[], None] = lambda: None,
    ) -> None:
        self.user = user
        self.bytes_max = bytes_max
        self.requests_max = requests_max
        self.reserved_bytes = 0
        self.active_requests = 0
        self.on_rejected = on_rejected  # is told of each refusal
        self.queue_sizes: dict[object, Callable[[], int]] = {}

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for full sockets now."""
        return sum(queue_size() for queue_size in self.queue_sizes.values())

    def reserve(self, size: int) -> None:
        """Count `size` bytes more; RESOURCE_EXHAUSTED, and nothing is counted, beyond `user_bytes_max`."""
        reserved = self.reserved_bytes + size
        if reserved > self.bytes_max or (self.queue_sizes and reserved + self.queued_bytes > self.bytes_max):
            self.reject(size)
        self.reserved_bytes = reserved

    def try_reserve(self, size: int) -> bool:
        """Count `size` bytes more if at most half of the limit is in use then; whether they are counted."""
        reserved = self.reserved_bytes + size
        if reserved + self.queued_bytes > self.bytes_max // 2:
            return False
        self.reserved_bytes = reserved
        return True

    def reserve_unchecked(self, size: int) -> None:
        """Count `size` bytes more, even beyond the limit: where it is too late to refuse. May be negative."""
        self.reserved_bytes += size

    def release(self, size: int) -> None:
        """So many bytes are held no longer."""
        self.reserved_bytes -= size

    def transfer(self, size: int, to: "MemoryAccount") -> None:
        """Somebody else's account has these bytes from now on, even beyond its limit."""
        self.reserved_bytes -= size
        to.reserved_bytes += size

    def check(self, size: int) -> None:
        """RESOURCE_EXHAUSTED unless `size` bytes more could be held; 0: where it is beyond its limit."""
        if self.reserved_bytes + self.queued_bytes + size > self.bytes_max:
            self.reject(size)

    def reserve_request(self, size: int) -> None:
        """Hold `size` bytes for a request; RESOURCE_EXHAUSTED when too many are being served, too.

        `requests` is counted by whoever serves them.
        """
        if self.active_requests >= self.requests_max:
            self.on_rejected()
            raise resource_exhausted(
                f"{self.active_requests} requests of {self.user} are being served (user_requests_max); wait for "
                f"answers",
                retry_after_ms=RETRY_AFTER_MS,
            )
        self.reserve(size)

    def reject(self, size: int) -> None:
        """Say that there is no room for `size` bytes."""
        self.on_rejected()
        needs = f", and this needs {size} more" if size else ""
        raise resource_exhausted(
            f"{self.user} makes the service hold {self.reserved_bytes + self.queued_bytes} of {self.bytes_max} bytes "
            f"(user_bytes_max){needs}; take what was sent, or end what is not needed",
            retry_after_ms=RETRY_AFTER_MS,
        )


class MemoryAccounts:
    """User → account."""

    __slots__ = ("_accounts", "_bytes_max", "_requests_max", "rejections")

    def __init__(self, bytes_max: int = maxsize, requests_max: int = maxsize) -> None:
        self._bytes_max = bytes_max
        self._requests_max = requests_max
        self._accounts: WeakValueDictionary[str, MemoryAccount] = WeakValueDictionary()
        self.rejections = 0

    def get(self, user: str) -> MemoryAccount:
        """The user's account."""
        account = self._accounts.get(user)
        if account is None:
            account = self._accounts[user] = MemoryAccount(user, self._bytes_max, self._requests_max, self._on_rejected)
        return account

    def _on_rejected(self) -> None:
        self.rejections += 1

    @property
    def reserved_bytes(self) -> Mapping[str, int]:
        """Bytes by user, with what waits for full sockets. Costs as much as there are users."""
        return {
            account.user: account.reserved_bytes + account.queued_bytes for account in list(self._accounts.values())
        }
