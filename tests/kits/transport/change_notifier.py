"""Waiting for the plain state of a service without asking again and again: what changes it rings a bell.

The state has no events of its own. So a test gives what it looks at a class that is the same, and rings.
"""

import asyncio
from collections.abc import Callable
from typing import Any


class ChangeNotifier:
    """Whoever waits looks again when it rings."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Event] = set()

    def notify(self) -> None:
        """Something changed."""
        for rung in self._waiters:
            rung.set()

    async def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait until something is so. What it depends on has to ring."""
        rung = asyncio.Event()
        self._waiters.add(rung)
        try:
            while not condition():
                await rung.wait()
                rung.clear()
        finally:
            self._waiters.remove(rung)

    def watch(self, observed: object) -> None:
        """Ring whenever an attribute of the thing is set."""
        kind = type(observed)

        def set_and_notify(self_: object, name: str, value: object) -> None:
            kind.__setattr__(self_, name, value)
            self.notify()

        observed.__class__ = type(kind.__name__, (kind,), {"__slots__": (), "__setattr__": set_and_notify})


class NotifyingDict(dict[Any, Any]):
    """Rings when somebody comes or goes."""

    def __init__(self, notifier: ChangeNotifier) -> None:
        super().__init__()
        self._notifier = notifier

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self._notifier.notify()

    def pop(self, key: Any, *default: Any) -> Any:
        value = super().pop(key, *default)
        self._notifier.notify()
        return value


class NotifyingSet(set[Any]):
    """The same."""

    def __init__(self, notifier: ChangeNotifier) -> None:
        super().__init__()
        self._notifier = notifier

    def add(self, member: Any) -> None:
        super().add(member)
        self._notifier.notify()

    def discard(self, member: Any) -> None:
        super().discard(member)
        self._notifier.notify()
