"""Memory held for one user, in bytes, over all connections.

What the service holds at a user's request is reserved on the user's `MemoryAccount` and released with it: open streams,
requests being served, the users that a watch names, commands and replies of a channel. The sizes are measured constants
beside each use; `user_bytes_max` is as exact as they are.

    reserve      for required memory: RESOURCE_EXHAUSTED above the limit
    try_reserve  for optional memory, such as caches: False when half of the limit is in use
    queue_sizes  bytes queued for the user's full sockets; read when needed, so that sending needs no accounting

An account exists as long as a session or a reservation refers to it.
"""

from collections.abc import Callable, Mapping
from sys import maxsize
from typing import Final
from weakref import WeakValueDictionary

from tidings.contract.errors import resource_exhausted

RETRY_AFTER_MS: Final = 1_000


class MemoryAccount:
    """The bytes held for one user, and the number of the user's requests that are being served."""

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
        self.on_rejected = on_rejected  # called for each rejection
        self.queue_sizes: dict[object, Callable[[], int]] = {}

    @property
    def queued_bytes(self) -> int:
        """Bytes queued for full sockets now."""
        return sum(queue_size() for queue_size in self.queue_sizes.values())

    def reserve(self, size: int) -> None:
        """Reserve `size` bytes. Raises RESOURCE_EXHAUSTED, and reserves none, above `user_bytes_max`."""
        reserved = self.reserved_bytes + size
        if reserved > self.bytes_max or (self.queue_sizes and reserved + self.queued_bytes > self.bytes_max):
            self.reject(size)
        self.reserved_bytes = reserved

    def try_reserve(self, size: int) -> bool:
        """Reserve `size` bytes if at most half of the limit is in use then; returns whether it did."""
        reserved = self.reserved_bytes + size
        if reserved + self.queued_bytes > self.bytes_max // 2:
            return False
        self.reserved_bytes = reserved
        return True

    def reserve_unchecked(self, size: int) -> None:
        """Reserve `size` bytes even above the limit, where it is too late to reject. May be negative."""
        self.reserved_bytes += size

    def release(self, size: int) -> None:
        """Release `size` reserved bytes."""
        self.reserved_bytes -= size

    def transfer(self, size: int, to: "MemoryAccount") -> None:
        """Move `size` reserved bytes to another account, even above its limit."""
        self.reserved_bytes -= size
        to.reserved_bytes += size

    def check(self, size: int) -> None:
        """Raise RESOURCE_EXHAUSTED unless `size` bytes could be reserved; 0: if the account is above its limit."""
        if self.reserved_bytes + self.queued_bytes + size > self.bytes_max:
            self.reject(size)

    def reserve_request(self, size: int) -> None:
        """Reserve `size` bytes for a request. Raises RESOURCE_EXHAUSTED above `user_requests_max` as well.

        The dispatcher counts `active_requests`.
        """
        if self.active_requests >= self.requests_max:
            self.on_rejected()
            raise resource_exhausted(
                f"{self.active_requests} requests of {self.user} are being served (user_requests_max); "
                "wait for replies",
                retry_after_ms=RETRY_AFTER_MS,
            )
        self.reserve(size)

    def reject(self, size: int) -> None:
        """Raise RESOURCE_EXHAUSTED for `size` bytes."""
        self.on_rejected()
        needs = f", and this needs {size} more" if size else ""
        raise resource_exhausted(
            f"the service holds {self.reserved_bytes + self.queued_bytes} of {self.bytes_max} bytes for {self.user} "
            f"(user_bytes_max){needs}; read what was sent, or end streams that are not needed",
            retry_after_ms=RETRY_AFTER_MS,
        )


class MemoryAccounts:
    """The accounts by user."""

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
        """Bytes by user, with those queued for full sockets. Costs as much as there are users."""
        return {
            account.user: account.reserved_bytes + account.queued_bytes for account in list(self._accounts.values())
        }
