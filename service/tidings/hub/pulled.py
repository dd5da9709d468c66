"""Readers of a board whose items are read from a store at the moment they are sent.

The board tells which keys changed; what is sent for them is fetched for this reader: the row of a room as one user sees
it. There is one fetch in flight, for at most as many keys as the reader takes. A key that changes meanwhile is fetched
again. What came but cannot be sent, since the reader's demand vanished, is dropped and fetched again later: nothing is
kept for a slow reader but its dirty keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from tidings.hub.board import ENDED, Board, BoardSubscription, LiveMark, Render
from tidings.hub.ports import Sink

T = TypeVar("T")
F = TypeVar("F")

Fetch: TypeAlias = Callable[[Sequence[str], Callable[[Sequence[F] | Exception], None]], None]
"""fetch(keys, done): `done` is called once, on the loop, with one value for each key, in the order of the keys."""


class PulledSubscription(BoardSubscription[F, T]):
    """A reader with an interest, whose values come from `fetch` and not from the board.

    Every key of its interest is sent once, whether it was published or not; then the live mark; then what changes.
    `render` gets the fetched value. If a fetch fails, the subscription fails with its exception.
    """

    __slots__ = ("_fetch", "_taken", "_values")

    def __init__(
        self,
        board: Board[Any],
        keys: Iterable[str],
        sink: Sink[T],
        *,
        fetch: Fetch[F],
        render: Render[F, T],
        live: LiveMark[T],
        after: int | None = None,
        epoch: str = "",
        beat_seconds: float = 0.0,
    ) -> None:
        self._fetch = fetch
        self._taken: dict[str, int] = {}  # the keys being fetched, as they stood in the dirty set
        self._values: dict[str, F] | None = None  # what was fetched, until the next turn
        super().__init__(
            board, keys, sink, render=render, live=live, after=after, epoch=epoch, beat_seconds=beat_seconds
        )

    def _has(self, key: str) -> bool:
        return True

    def _serve(self, demand: int) -> None:
        taken, values = self._taken, self._values
        if values is not None:
            self._taken, self._values = {}, None
            self._send(taken, values, demand)
        elif not taken and self.dirty and not self._live_is_due(self._oldest(self.dirty)):
            self._begin(demand)
        elif not taken:
            self._send({}, {}, demand)

    def _unwanted(self) -> None:
        if self._values is not None:
            taken, self._taken, self._values = self._taken, {}, None
            self._put_back(taken)

    def _begin(self, demand: int) -> None:
        taken = dict(islice(self.dirty.items(), min(demand, self.board.limits.batch_items_max)))
        for key in taken:
            del self.dirty[key]
        self._taken = taken
        self.board.fetches += 1
        try:
            self._fetch(list(taken), self._fetched)
        except Exception as error:
            self._fetched(error)

    def _fetched(self, answer: Sequence[F] | Exception) -> None:
        if self.state is ENDED:
            return
        if isinstance(answer, Exception):
            self._error = answer
        elif len(answer) != len(self._taken):
            self._error = ValueError(f"fetch was asked for {len(self._taken)} keys and gave {len(answer)} values")
        else:
            self._values = dict(zip(self._taken, answer, strict=True))
        self.board.turns.mark(self)
