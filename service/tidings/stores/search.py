"""Finding messages: queries against the index of words.

The index is an FTS5 table without content in a file of its own, `search.sqlite`; a row's number is the event's id, so
a room is one range of it, newest at its end. Newest first over many rooms is a merge of those ranges. It begins with
the rooms that were written to last, and a room is looked into only when the page has come down to the time of its last
event. That is right because times in a room never go back (`rules`).

A word that few messages have is looked up once for all rooms. A last word that is unfinished is one lookup in a small
index up to two characters; beyond, SQLite would collect all messages with a word that begins so, anew for every room:
instead we ask for the words themselves, unless they are too many.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import apsw

from tidings.domain.ports import StoredEvent
from tidings.stores.asking import ask, ask_one
from tidings.stores.rows import POSTED, SEQ_BITS, SEQ_MAX
from tidings.stores.sql_tables import bounds
from tidings.stores.tokens import Place
from tidings.stores.words import Phrase

RARE_MAX = 500  # matches in all rooms together that are simply sorted
ROOMS_FEW = 4  # up to here there is nothing to gain by looking at all rooms first
ENDINGS_MAX = 100  # words that one beginning may stand for, 0.03 ms each; beyond, SQLite collects the messages
FIRST_PIECE = 4  # of a room that may have nothing newer than others have
INDEXED_PREFIX_CHARS = 2  # as in the index's own definition

RANGE = f"""SELECT e.id, e.at_ms, e.data FROM words w CROSS JOIN events e ON e.id = w.rowid
           WHERE w.words MATCH ? AND w.rowid BETWEEN ? AND ? AND e.kind = {POSTED}
           ORDER BY w.rowid DESC LIMIT ?"""
ANYWHERE = "SELECT rowid FROM words WHERE words MATCH ? LIMIT ?"
EVENT = f"SELECT id, at_ms, data FROM events WHERE id = ? AND kind = {POSTED}"
HEAD = "SELECT at_ms, id FROM events WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"
AT_MS = "SELECT at_ms FROM events WHERE id = ?"
ENDING = "SELECT term FROM terms WHERE term >= ? AND term < ? LIMIT 1"
LAST_CHARACTER = "\U0010ffff"
NOTHING = StoredEvent(0, b"")


class Found(NamedTuple):
    """A message that was found."""

    place: Place
    event: StoredEvent


def sender_token(actor: str) -> str:
    """A user's name as one token. It begins with a character that no word has, so that no beginning of one meets it."""
    return "\ue000" + actor.encode().hex()


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
        query = _query(connection, wanted, sender)
        if query is None:
            return []
        if len(rooms) > ROOMS_FEW:
            ids = [found for (found,) in ask(connection, ANYWHERE, (query, RARE_MAX + 1))]
            if len(ids) <= RARE_MAX:
                return _sorted(connection, ids, set(rooms), behind)[:limit]
        piece = FIRST_PIECE if len(rooms) > ROOMS_FEW else limit
        ends = [end for number in dict.fromkeys(rooms) if (end := _end(connection, number, behind))]
        streams = [(end, _newest_first(connection, query, end, piece, limit)) for end in ends]
        return list(islice(_merged(streams), limit))
    finally:
        connection.execute("ROLLBACK")


def _end(connection: apsw.Connection, number: int, behind: Place | None) -> Place | None:
    """A room's last event behind a place: a binary search, as times in a room never go back."""
    oldest, newest = bounds(number)
    last = ask_one(connection, HEAD, (oldest, newest))
    if last is None:
        return None
    end = Place(*last)
    if behind is None or end < behind:
        return end
    low, high = oldest, end.number  # the answer is in low … high - 1; `oldest` itself is no event
    while high - low > 1:
        middle = (low + high) // 2
        if Place(_at_ms(connection, middle), middle) < behind:
            low = middle
        else:
            high = middle
    return Place(_at_ms(connection, low), low) if low > oldest else None


def _at_ms(connection: apsw.Connection, event_id: int) -> int:
    (at_ms,) = ask_one(connection, AT_MS, (event_id,)) or (0,)
    return int(at_ms)


def _merged(streams: Iterable[tuple[Place, Iterator[Found]]]) -> Iterator[Found]:
    """What streams give, newest first; each gives its newest first, and nothing newer than its place.

    A stream is asked for its first only when nothing newer can come from the others.
    """
    heap = [(-place.at_ms, -place.number, Found(place, NOTHING), stream) for place, stream in streams]
    heapq.heapify(heap)
    while heap:
        _, _, found, stream = heap[0]
        if found.event is not NOTHING:
            yield found
        following = next(stream, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (-following.place.at_ms, -following.place.number, following, stream))


def _found(event_id: int, at_ms: int, data: bytes) -> Found:
    return Found(Place(at_ms, event_id), StoredEvent(event_id & SEQ_MAX, data))


def _sorted(connection: apsw.Connection, ids: Sequence[int], rooms: set[int], behind: Place | None) -> list[Found]:
    """The messages of these ids that lie in these rooms."""
    found = [
        _found(*row) for event_id in ids if event_id >> SEQ_BITS in rooms for row in ask(connection, EVENT, (event_id,))
    ]
    return sorted((one for one in found if behind is None or one.place < behind), reverse=True)


def _newest_first(connection: apsw.Connection, query: str, end: Place, piece: int, limit: int) -> Iterator[Found]:
    """The matches in the room of this event, up to it, read in growing pieces."""
    top = end.number
    oldest, _ = bounds(top >> SEQ_BITS)
    while True:
        rows = list(ask(connection, RANGE, (query, oldest, top, piece)))
        for row in rows:
            yield _found(*row)
        if len(rows) < piece:
            return
        top = rows[-1][0] - 1
        piece = min(2 * piece, limit)


def _query(connection: apsw.Connection, wanted: Sequence[Phrase], sender: str) -> str | None:
    """What FTS5 is asked; None when nothing can match. Built of tokens only, which hold no quote."""
    parts = []
    for phrase in wanted:
        *whole, last = phrase.tokens
        endings = _endings(connection, last) if phrase.unfinished and len(last) > INDEXED_PREFIX_CHARS else None
        if endings is None:
            parts.append(f'"{" ".join(phrase.tokens)}"' + ("*" if phrase.unfinished else ""))
        elif endings:
            parts.append("(" + " OR ".join(f'"{" ".join([*whole, ending])}"' for ending in endings) + ")")
        else:
            return None
    query = f"text : ({' AND '.join(parts)})"
    return f'{query} AND sender : "{sender_token(sender)}"' if sender else query


def _endings(connection: apsw.Connection, beginning: str) -> list[str] | None:
    """The words that begin so; None when they are too many."""
    words: list[str] = []
    lowest = beginning
    while found := ask_one(connection, ENDING, (lowest, beginning + LAST_CHARACTER)):
        if len(words) >= ENDINGS_MAX:
            return None
        words += found
        # The next word there can be; asking for what is greater would walk over all messages with this one.
        lowest = found[0] + "\0"
    return words
