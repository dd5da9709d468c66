"""What one user makes the service hold, in bytes, over all connections.

Whatever is kept because a user asked for it is held on the user's `Account` and released when it goes: open streams,
requests being served, names that a watch wants to hear of, commands and answers of a channel. What it weighs is a
measured number of bytes beside each use, so `user_bytes_max` is as true as these are.

    hold      must be kept: RESOURCE_EXHAUSTED when there is no room for it
    keep      may be kept, to be quick: False when half of the limit is in use; do without it then
    queues    what waits for the user's full sockets; asked for and not counted, since sending must cost nothing

An account lives as long as a session or a holder refers to it, so none is left behind.
"""

from collections.abc import Callable, Mapping
from sys import maxsize
from typing import Final
from weakref import WeakValueDictionary

from tidings.contract.errors import resource_exhausted

RETRY_MS: Final = 1_000


class Account:
    """The bytes of one user, and the requests of this user that are being served."""

    __slots__ = ("__weakref__", "bytes_max", "held", "queues", "refused", "requests", "requests_max", "user")

    def __init__(
        self,
        user: str = "",
        bytes_max: int = maxsize,
        requests_max: int = maxsize,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        self.user = user
        self.bytes_max = bytes_max
        self.requests_max = requests_max
        self.held = 0
        self.requests = 0
        self.refused = refused  # is told of each refusal
        self.queues: dict[object, Callable[[], int]] = {}

    @property
    def queued(self) -> int:
        """Bytes that wait for full sockets now."""
        return sum(waiting() for waiting in self.queues.values())

    def hold(self, size: int) -> None:
        """Count `size` bytes more; RESOURCE_EXHAUSTED, and nothing is counted, beyond `user_bytes_max`."""
        held = self.held + size
        if held > self.bytes_max or (self.queues and held + self.queued > self.bytes_max):
            self.refuse(size)
        self.held = held

    def keep(self, size: int) -> bool:
        """Count `size` bytes more if at most half of the limit is in use then; whether they are counted."""
        held = self.held + size
        if held + self.queued > self.bytes_max // 2:
            return False
        self.held = held
        return True

    def force(self, size: int) -> None:
        """Count `size` bytes more, even beyond the limit: where it is too late to refuse. May be negative."""
        self.held += size

    def release(self, size: int) -> None:
        """So many bytes are held no longer."""
        self.held -= size

    def move(self, size: int, to: "Account") -> None:
        """Somebody else's account has these bytes from now on, even beyond its limit."""
        self.held -= size
        to.held += size

    def check(self, size: int) -> None:
        """RESOURCE_EXHAUSTED unless `size` bytes more could be held; 0: where it is beyond its limit."""
        if self.held + self.queued + size > self.bytes_max:
            self.refuse(size)

    def begin(self, size: int) -> None:
        """Hold `size` bytes for a request; RESOURCE_EXHAUSTED when too many are being served, too.

        `requests` is counted by whoever serves them.
        """
        if self.requests >= self.requests_max:
            self.refused()
            raise resource_exhausted(
                f"{self.requests} requests of {self.user} are being served (user_requests_max); wait for answers",
                retry_after_ms=RETRY_MS,
            )
        self.hold(size)

    def refuse(self, size: int) -> None:
        """Say that there is no room for `size` bytes."""
        self.refused()
        needs = f", and this needs {size} more" if size else ""
        raise resource_exhausted(
            f"{self.user} makes the service hold {self.held + self.queued} of {self.bytes_max} bytes "
            f"(user_bytes_max){needs}; take what was sent, or end what is not needed",
            retry_after_ms=RETRY_MS,
        )


class Accounts:
    """User → account."""

    __slots__ = ("_accounts", "_bytes_max", "_requests_max", "refusals")

    def __init__(self, bytes_max: int = maxsize, requests_max: int = maxsize) -> None:
        self._bytes_max = bytes_max
        self._requests_max = requests_max
        self._accounts: WeakValueDictionary[str, Account] = WeakValueDictionary()
        self.refusals = 0

    def of(self, user: str) -> Account:
        """The user's account."""
        account = self._accounts.get(user)
        if account is None:
            account = self._accounts[user] = Account(user, self._bytes_max, self._requests_max, self._refused)
        return account

    def _refused(self) -> None:
        self.refusals += 1

    @property
    def held(self) -> Mapping[str, int]:
        """Bytes by user, with what waits for full sockets. Costs as much as there are users."""
        return {account.user: account.held + account.queued for account in list(self._accounts.values())}
