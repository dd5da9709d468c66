"""Waiting for the plain state of a service without asking again and again: what changes it rings a bell.

The state has no events of its own. So a test gives what it looks at a class that is the same, and rings.
"""

import asyncio
from collections.abc import Callable
from typing import Any


class Bell:
    """Whoever waits looks again when it rings."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()

    def ring(self) -> None:
        """Something changed."""
        for rung in self._waiting:
            rung.set()

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait until something is so. What it depends on has to ring."""
        rung = asyncio.Event()
        self._waiting.add(rung)
        try:
            while not true():
                await rung.wait()
                rung.clear()
        finally:
            self._waiting.remove(rung)

    def watch(self, thing: object) -> None:
        """Ring whenever an attribute of the thing is set."""
        kind = type(thing)

        def set_and_ring(self_: object, name: str, value: object) -> None:
            kind.__setattr__(self_, name, value)
            self.ring()

        thing.__class__ = type(kind.__name__, (kind,), {"__slots__": (), "__setattr__": set_and_ring})


class RingingDict(dict[Any, Any]):
    """Rings when somebody comes or goes."""

    def __init__(self, bell: Bell) -> None:
        super().__init__()
        self._bell = bell

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self._bell.ring()

    def pop(self, key: Any, *default: Any) -> Any:
        value = super().pop(key, *default)
        self._bell.ring()
        return value


class RingingSet(set[Any]):
    """The same."""

    def __init__(self, bell: Bell) -> None:
        super().__init__()
        self._bell = bell

    def add(self, member: Any) -> None:
        super().add(member)
        self._bell.ring()

    def discard(self, member: Any) -> None:
        super().discard(member)
        self._bell.ring()
