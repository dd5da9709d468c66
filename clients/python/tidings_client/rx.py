"""The watches as reactivex Observables.

    client.rx.watch("general", after=0).pipe(ops.map(lambda event: event.posted.text)).subscribe(print)

Each subscription is a watch of its own, run by a task on the event loop it was subscribed on. Rx has no word for
backpressure: the next item is taken as soon as `on_next` returns, so an observer that works in `on_next` slows the
service, and one that hands items on (`observe_on`, `buffer`) keeps them itself. Disposing ends the watch on the
service. What would be raised from `async for` goes to `on_error`; closing the client completes the sequence.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

import reactivex
from reactivex import abc
from reactivex.disposable import Disposable

from tidings.contract import v1
from tidings_client.presence import Presence
from tidings_client.resume_point import After
from tidings_client.rooms import Rooms
from tidings_client.watch import Watch

T = TypeVar("T")


class Rx:
    """`client.rx`. Subscribe on the client's event loop."""

    def __init__(self, rooms: Rooms, presence: Presence) -> None:
        self._rooms = rooms
        self._presence = presence

    def watch(
        self, room: str, *, after: After = None, lag: "v1.Lag.ValueType" = v1.CATCH_UP
    ) -> reactivex.Observable[v1.Event]:
        """A room's events; see `Room.watch`."""
        return observable(lambda: self._rooms[room].watch(after=after, lag=lag))

    def read(self, room: str, *, after: After = 0, to: int | None = None) -> reactivex.Observable[v1.Event]:
        """A range of a room's log, then completion; see `Room.read`."""
        return observable(lambda: self._rooms[room].read(after=after, to=to))

    def presence(self, users: Iterable[str] = (), *, room: str = "") -> reactivex.Observable[v1.PresenceItem]:
        """Who is there; see `Presence.watch`."""
        names = list(users)
        return observable(lambda: self._presence.watch(names, room=room))

    def rooms(self) -> reactivex.Observable[v1.RoomsItem]:
        """My rooms; see `Rooms.watch`."""
        return observable(self._rooms.watch)


def observable(start_watch: Callable[[], Watch[T]]) -> reactivex.Observable[T]:
    """An Observable that begins a watch of its own for every subscription."""

    def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        loop = asyncio.get_running_loop()
        task = loop.create_task(forward_items(start_watch(), observer))

        def dispose() -> None:
            # Allowed from any thread; a task may only be touched on its loop.
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)

        return Disposable(dispose)

    return reactivex.create(subscribe)


async def forward_items(watch: Watch[T], observer: abc.ObserverBase[T]) -> None:
    """Hand every item to the observer, then how it ended."""
    try:
        async with watch:
            async for item in watch:
                observer.on_next(item)
    except Exception as error:
        observer.on_error(error)
    else:
        observer.on_completed()
