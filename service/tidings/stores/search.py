"""Finding messages: queries against the index of words.

The index is an FTS5 table without content in a file of its own, `search.sqlite`; a row's number is the event's id, so
a room is one range of it, newest at its end. Newest first over many rooms is a merge of those ranges: of each room only
as much is looked at as the page takes from it. That is right because times in a room never go back (`rules`).

A word that few messages have is looked up once for all rooms. A last word that is unfinished is one lookup in a small
index up to two characters; beyond, SQLite would collect everything that begins so, anew for every room, so that with
many rooms the words themselves are asked for.
"""

import heapq
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import apsw

from tidings.domain.ports import StoredEvent
from tidings.stores.asking import ask, ask_one
from tidings.stores.rows import POSTED, SEQ_BITS, SEQ_MAX
from tidings.stores.sql_tables import bounds
from tidings.stores.tokens import Place
from tidings.stores.words import Phrase

RARE_MAX = 500  # matches in all rooms together that are simply sorted
ROOMS_FEW = 4  # up to here each room is asked as it is
ENDINGS_MAX = 200  # words that one beginning may stand for; beyond, SQLite collects them
INDEXED_PREFIX_CHARS = 2  # as in the index's own definition

RANGE = f"""SELECT e.id, e.at_ms, e.data FROM words w CROSS JOIN events e ON e.id = w.rowid
           WHERE w.words MATCH ? AND w.rowid BETWEEN ? AND ? AND e.kind = {POSTED}
           ORDER BY w.rowid DESC LIMIT ?"""
ANYWHERE = "SELECT rowid FROM words WHERE words MATCH ? LIMIT ?"
EVENT = f"SELECT id, at_ms, data FROM events WHERE id = ? AND kind = {POSTED}"
HEAD = "SELECT id FROM events WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"
AT_MS = "SELECT at_ms FROM events WHERE id = ?"
BEGINNING = "SELECT term FROM terms WHERE term >= ? AND term < ? LIMIT ?"
LAST_CHARACTER = "\U0010ffff"


class Found(NamedTuple):
    """A message that was found."""

    place: Place
    event: StoredEvent


def sender_token(actor: str) -> str:
    """A user's name as one token; all of them begin alike, so that they cost the index of beginnings nothing."""
    return "by" + actor.encode().hex()


def find(
    connection: apsw.Connection,
    rooms: Sequence[int],
    wanted: Sequence[Phrase],
    sender: str,
    behind: Place | None,
    limit: int,
) -> list[Found]:
    """Up to `limit` messages in these rooms with all the phrases, newest first, older than `behind`."""
    connection.execute("BEGIN")
    try:
        query = _query(connection, wanted, sender, complete=len(rooms) > ROOMS_FEW)
        if query is None:
            return []
        if len(rooms) > ROOMS_FEW:
            ids = [found for (found,) in ask(connection, ANYWHERE, (query, RARE_MAX + 1))]
            if len(ids) <= RARE_MAX:
                return _sorted(connection, ids, set(rooms), behind)[:limit]
        first = limit if len(rooms) <= ROOMS_FEW else max(2, 2 * limit // len(rooms))
        streams = [_newest_first(connection, query, number, behind, first, limit) for number in rooms]
        merged = heapq.merge(*streams, key=_place, reverse=True)
        return [found for found, _ in zip(merged, range(limit), strict=False)]
    finally:
        connection.execute("ROLLBACK")


def _place(found: Found) -> Place:
    return found.place


def _found(event_id: int, at_ms: int, data: bytes) -> Found:
    return Found(Place(at_ms, event_id), StoredEvent(event_id & SEQ_MAX, data))


def _sorted(connection: apsw.Connection, ids: Sequence[int], rooms: set[int], behind: Place | None) -> list[Found]:
    """The messages of these ids that lie in these rooms."""
    found = [
        _found(*row) for event_id in ids if event_id >> SEQ_BITS in rooms for row in ask(connection, EVENT, (event_id,))
    ]
    return sorted((one for one in found if behind is None or one.place < behind), key=_place, reverse=True)


def _newest_first(
    connection: apsw.Connection, query: str, number: int, behind: Place | None, first: int, limit: int
) -> Iterator[Found]:
    """One room's matches, read in growing pieces."""
    oldest, newest = bounds(number)
    top = newest if behind is None else _top(connection, number, behind)
    wanted = first
    while True:
        rows = list(ask(connection, RANGE, (query, oldest, top, wanted)))
        for row in rows:
            yield _found(*row)
        if len(rows) < wanted:
            return
        top = rows[-1][0] - 1
        wanted = min(2 * wanted, limit)


def _top(connection: apsw.Connection, number: int, behind: Place) -> int:
    """The newest id of a room that lies behind a place: a binary search, as times in a room never go back."""
    oldest, newest = bounds(number)
    if behind.number >> SEQ_BITS == number:
        return behind.number - 1
    (end,) = ask_one(connection, HEAD, (oldest, newest)) or (oldest,)
    low, high = oldest, end + 1  # the answer is in low … high - 1; `oldest` itself is no event
    while high - low > 1:
        middle = (low + high) // 2
        (at_ms,) = ask_one(connection, AT_MS, (middle,)) or (0,)
        if Place(at_ms, middle) < behind:
            low = middle
        else:
            high = middle
    return low


def _query(connection: apsw.Connection, wanted: Sequence[Phrase], sender: str, *, complete: bool) -> str | None:
    """What FTS5 is asked; None when nothing can match. Built of tokens only, which hold no quote."""
    parts = []
    for phrase in wanted:
        choices = _choices(connection, phrase) if complete else None
        if choices is None:
            parts.append(f'"{" ".join(phrase.tokens)}"' + ("*" if phrase.unfinished else ""))
        elif choices:
            *whole, _ = phrase.tokens
            parts.append("(" + " OR ".join(f'"{" ".join([*whole, choice])}"' for choice in choices) + ")")
        else:
            return None
    query = f"text : ({' AND '.join(parts)})"
    return f'{query} AND sender : "{sender_token(sender)}"' if sender else query


def _choices(connection: apsw.Connection, phrase: Phrase) -> list[str] | None:
    """The words that an unfinished last word may be; None where that is not to be asked."""
    beginning = phrase.tokens[-1]
    if not phrase.unfinished or len(beginning) <= INDEXED_PREFIX_CHARS:
        return None
    rows = ask(connection, BEGINNING, (beginning, beginning + LAST_CHARACTER, ENDINGS_MAX + 1))
    words = [word for (word,) in rows]
    return words if len(words) <= ENDINGS_MAX else None
