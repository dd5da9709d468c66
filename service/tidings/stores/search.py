"""Finding messages: queries against the index of words.

The index is an FTS5 table without content in a file of its own, `search.sqlite`; a row's number is the event's id, so
a room is one range of it, newest at its end.

Every term begins with the mark of its room, and a query names the marks of the rooms that the caller may read. So a
word of any other room is neither found nor counted nor looked up: what is read, and how many steps that takes, is the
same whether or not it exists there. Keep it so: nothing here may ask for a term without a mark, or for what the index
holds as a whole (`tests/stores/test_search_privacy.py` counts the steps).

Newest first over many rooms is a merge of their ranges. It begins with the rooms that were written to last, and a room
is looked into only when the page has come down to the time of its last event. That is right because the times by which
rooms are ordered never go back in a room (`rows.Row`). A word that few messages in all these rooms have is looked up
for many rooms in one statement.

A last word that is unfinished is one lookup in a small index up to two characters. Beyond, FTS5 collects all messages
of the room with a word that begins so. In a large room we ask for those words instead, unless they are too many.
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
ROOMS_TOGETHER = 256  # in one question
ROOMS_FEW = 4  # up to here there is nothing to gain by looking at all rooms first
ROOM_EVENTS_LARGE = 20_000  # where collecting the messages with a common beginning takes about a millisecond
ENDINGS_MAX = 100  # words that one beginning may stand for, 0.03 ms each; beyond, FTS5 collects the messages
FIRST_PIECE = 4  # of a room that may have nothing newer than others have
INDEXED_PREFIX_CHARS = 2
ROOM_MARK_CHARS = 7  # hexadecimal digits of the 27 bits of an id that name the room

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


def room_mark(number: int) -> str:
    """What all terms of a room begin with: as many characters for every room, and of the tokenizer's alphabet."""
    return f"{number:0{ROOM_MARK_CHARS}x}"


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
        ends = [end for number in dict.fromkeys(rooms) if (end := _end(connection, number, behind))]
        if len(ends) > ROOMS_FEW:
            ids = _ids(connection, ends, wanted, sender)
            if len(ids) <= RARE_MAX:
                return _sorted(connection, ids, behind)[:limit]
        piece = FIRST_PIECE if len(ends) > ROOMS_FEW else limit
        streams = [(end, _newest_first(connection, wanted, sender, end, piece, limit)) for end in ends]
        return list(islice(_merged(streams), limit))
    finally:
        connection.execute("ROLLBACK")


def _room(place: Place) -> int:
    return place.number >> SEQ_BITS


def _ids(connection: apsw.Connection, ends: Sequence[Place], wanted: Sequence[Phrase], sender: str) -> list[int]:
    """The ids of the matches in the rooms of these events, in no order; of more than RARE_MAX, so many and one."""
    ids: list[int] = []
    for start in range(0, len(ends), ROOMS_TOGETHER):
        together = ends[start : start + ROOMS_TOGETHER]
        queries = [query for end in together if (query := _query(connection, end, wanted, sender))]
        if queries:
            query = " OR ".join([f"({query})" for query in queries])
            ids += [found for (found,) in ask(connection, ANYWHERE, (query, RARE_MAX + 1 - len(ids)))]
        if len(ids) > RARE_MAX:
            break
    return ids


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


def _sorted(connection: apsw.Connection, ids: Sequence[int], behind: Place | None) -> list[Found]:
    """The messages with these ids."""
    found = [_found(*row) for event_id in ids for row in ask(connection, EVENT, (event_id,))]
    return sorted((one for one in found if behind is None or one.place < behind), reverse=True)


def _newest_first(
    connection: apsw.Connection, wanted: Sequence[Phrase], sender: str, end: Place, piece: int, limit: int
) -> Iterator[Found]:
    """The matches in the room of this event, up to it, read in growing pieces."""
    top = end.number
    oldest, _ = bounds(_room(end))
    query = _query(connection, end, wanted, sender)
    while query:
        rows = list(ask(connection, RANGE, (query, oldest, top, piece)))
        for row in rows:
            yield _found(*row)
        if len(rows) < piece:
            return
        top = rows[-1][0] - 1
        piece = min(2 * piece, limit)


def _query(connection: apsw.Connection, end: Place, wanted: Sequence[Phrase], sender: str) -> str:
    """What FTS5 is asked of the room of this event; empty when nothing can match. Its terms hold no quote."""
    mark = room_mark(_room(end))
    large = (end.number & SEQ_MAX) > ROOM_EVENTS_LARGE
    parts = []
    for phrase in wanted:
        *whole, last = [mark + token for token in phrase.tokens]
        beyond = phrase.unfinished and len(last) > ROOM_MARK_CHARS + INDEXED_PREFIX_CHARS
        endings = _endings(connection, last) if beyond and large else None
        if endings is None:
            parts.append(f'"{" ".join([*whole, last])}"' + ("*" if phrase.unfinished else ""))
        elif endings:
            parts.append("(" + " OR ".join([f'"{" ".join([*whole, ending])}"' for ending in endings]) + ")")
        else:
            return ""
    query = f"text : ({' AND '.join(parts)})"
    return f'{query} AND sender : "{mark}{sender_token(sender)}"' if sender else query


def _endings(connection: apsw.Connection, beginning: str) -> list[str] | None:
    """The terms that begin so, mark included; None when they are too many."""
    words: list[str] = []
    lowest = beginning
    while found := ask_one(connection, ENDING, (lowest, beginning + LAST_CHARACTER)):
        if len(words) >= ENDINGS_MAX:
            return None
        words += found
        # The next word there can be; asking for what is greater would walk over all messages with this one.
        lowest = found[0] + "\0"
    return words
