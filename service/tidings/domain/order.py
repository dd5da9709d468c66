"""First come, first served, also while something has to be looked up.

Who writes into a room that nobody has asked about for a while waits until the store has said who may. The next one may
find the answer in memory and would be first. So as long as anybody of the same line waits, the others wait behind; and
once the first has its answer, all behind it who need none go in the same turn: a line that moved one place a turn would
not end while its user went on writing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from tidings.domain.waiting import hand_on, same

D = TypeVar("D")
S = TypeVar("S")
R = TypeVar("R")

Line = dict[asyncio.Future[R], D]


class Order(Generic[D, S, R]):
    """Lines by key. A line is there only while somebody waits, so there are never more than requests under way.

    `find` says at once what has to be known before a draft is appended, or None; then `look_up` is asked. `append`
    takes the draft's place in the log and comes back; its answer may come later, and nobody in the line waits for that.
    What any of them raises, `put` raises where nobody waits; else it is the answer.
    """

    __slots__ = ("_append", "_find", "_lines", "_look_up")

    def __init__(
        self,
        find: Callable[[D], S | None],
        look_up: Callable[[D], Awaitable[S]],
        append: Callable[[D, S], asyncio.Future[R]],
    ) -> None:
        self._find = find
        self._look_up = look_up
        self._append = append
        # Of each line, the first is being looked up, as long as the line is there.
        self._lines: dict[object, Line[R, D]] = {}

    def put(self, key: object, draft: D) -> asyncio.Future[R]:
        """Append behind those of the same key who came before; their appends have begun by then, and need not be
        durable. The place in the line is taken at once; who gives up the answer before it is their turn leaves it."""
        line = self._lines.get(key)
        if line is not None:
            answer = self._wait(line, draft)
            answer.add_done_callback(partial(_left, line))
            return answer
        found = self._find(draft)
        if found is not None:
            return self._append(draft, found)
        line = self._lines[key] = {}
        answer = self._wait(line, draft)
        self._look_up_first(key, line, answer)
        return answer

    def _wait(self, line: Line[R, D], draft: D) -> asyncio.Future[R]:
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        line[answer] = draft
        return answer

    def _look_up_first(self, key: object, line: Line[R, D], answer: asyncio.Future[R]) -> None:
        looking = asyncio.ensure_future(self._look_up(line[answer]))
        answer.add_done_callback(lambda _: looking.cancel())
        looking.add_done_callback(partial(self._looked_up, key, line, answer))

    def _looked_up(self, key: object, line: Line[R, D], answer: asyncio.Future[R], looking: asyncio.Future[S]) -> None:
        draft = line.pop(answer, None)
        error = None if looking.cancelled() else looking.exception()
        if answer.done() or draft is None:
            pass  # nobody waits for it any more
        elif looking.cancelled():
            answer.cancel()
        elif error is not None:
            answer.set_exception(error)
        else:
            self._begin(draft, answer, looking.result())
        self._advance(key, line)

    def _advance(self, key: object, line: Line[R, D]) -> None:
        """Append for one after the other, until something has to be looked up."""
        for answer, draft in list(line.items()):
            if not answer.done():
                try:
                    found = self._find(draft)
                except Exception as error:
                    answer.set_exception(error)
                else:
                    if found is None:
                        self._look_up_first(key, line, answer)
                        return
                    self._begin(draft, answer, found)
            line.pop(answer, None)
        del self._lines[key]

    def _begin(self, draft: D, answer: asyncio.Future[R], found: S) -> None:
        try:
            appended = self._append(draft, found)
        except Exception as error:
            answer.set_exception(error)
        else:
            appended.add_done_callback(partial(hand_on, answer, same))


def _left(line: Line[R, D], answer: asyncio.Future[R]) -> None:
    """Somebody has an answer, or gave it up: nothing of theirs stays in the line."""
    line.pop(answer, None)
