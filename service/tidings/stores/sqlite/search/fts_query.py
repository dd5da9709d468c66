"""Searching messages in the full-text index.

The index is a contentless FTS5 table in its own file, `search.sqlite`. The rowid is the event's id, so a room is one
range of rows, newest last.

Every term begins with the prefix of its room, and a query contains the prefixes of the rooms that the caller may read.
So words of other rooms are neither found nor counted nor looked up: the rows read and the steps taken do not depend on
them. Invariant: no query may use a term without a room prefix, or a statistic of the whole index
(`tests/stores/sqlite/search/test_search_privacy.py` counts the steps).

Newest first over many rooms is a merge of their ranges. It begins with the rooms that were written to last; a room is
queried only when the page has reached the time of its last event. This is correct because `at_ms` never decreases in a
room (`tables.EventRow`). A word that few messages in all these rooms have is looked up for many rooms in one statement.

A prefix (an unfinished last word) of up to two characters is one lookup in a small index. For longer ones FTS5 collects
all messages of the room with a matching word. In a large room the matching words are queried instead, unless they are
too many.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import apsw

from tidings.domain.ports.store import StoredEvent
from tidings.stores.page_token import SearchPosition
from tidings.stores.sqlite.connections import select, select_one
from tidings.stores.tables import POSTED, SEQ_BITS, SEQ_MAX, event_id_range
from tidings.stores.tokenizer import Phrase

RARE_MATCHES_MAX = 500  # up to so many matches in all rooms together are sorted instead of merged
ROOMS_PER_QUERY = 256  # in one statement
FEW_ROOMS_MAX = 4  # up to so many rooms the look-up of rare words gains nothing
LARGE_ROOM_EVENTS_MIN = 20_000  # where collecting the messages with a common prefix takes about 1 ms
PREFIX_TERMS_MAX = 100  # words that a prefix is expanded to, 0.03 ms each; beyond, FTS5 collects the messages
FIRST_CHUNK_ROWS = 4  # of a room that may have no match newer than those of others
INDEXED_PREFIX_CHARS = 2
ROOM_PREFIX_CHARS = 7  # hexadecimal digits of the 27 bits of an id that are the room number

MATCHES_IN_ROOM = f"""SELECT e.id, e.at_ms, e.data FROM words w CROSS JOIN events e ON e.id = w.rowid
           WHERE w.words MATCH ? AND w.rowid BETWEEN ? AND ? AND e.kind = {POSTED}
           ORDER BY w.rowid DESC LIMIT ?"""
MATCHING_IDS = "SELECT rowid FROM words WHERE words MATCH ? LIMIT ?"
EVENT = f"SELECT id, at_ms, data FROM events WHERE id = ? AND kind = {POSTED}"
LAST_EVENT = "SELECT at_ms, id FROM events WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"
AT_MS = "SELECT at_ms FROM events WHERE id = ?"
NEXT_TERM = "SELECT term FROM terms WHERE term >= ? AND term < ? LIMIT 1"
LAST_CHARACTER = "\U0010ffff"
PLACEHOLDER_EVENT = StoredEvent(0, b"")


class SearchHit(NamedTuple):
    """A message that was found."""

    position: SearchPosition
    event: StoredEvent


def room_prefix(number: int) -> str:
    """The prefix of all terms of a room: of fixed length, in characters of the tokenizer's words."""
    return f"{number:0{ROOM_PREFIX_CHARS}x}"


def sender_token(actor: str) -> str:
    """A user's name as one token. It begins with a character that no word has, so no prefix of a word matches it."""
    return "\ue000" + actor.encode().hex()


def search_messages(
    connection: apsw.Connection,
    rooms: Sequence[int],
    phrases: Sequence[Phrase],
    sender: str,
    older_than: SearchPosition | None,
    limit: int,
) -> list[SearchHit]:
    """Up to `limit` messages in these rooms with all the phrases, newest first, older than `older_than`."""
    connection.execute("BEGIN")
    try:
        ends = [end for number in dict.fromkeys(rooms) if (end := _last_event_before(connection, number, older_than))]
        if len(ends) > FEW_ROOMS_MAX:
            ids = _matching_ids(connection, ends, phrases, sender)
            if len(ids) <= RARE_MATCHES_MAX:
                return _load_newest_first(connection, ids, older_than)[:limit]
        chunk_rows = FIRST_CHUNK_ROWS if len(ends) > FEW_ROOMS_MAX else limit
        streams = [(end, _stream_room(connection, phrases, sender, end, chunk_rows, limit)) for end in ends]
        return list(islice(_merge_newest_first(streams), limit))
    finally:
        connection.execute("ROLLBACK")


def _room_number(position: SearchPosition) -> int:
    return position.event_id >> SEQ_BITS


def _matching_ids(
    connection: apsw.Connection, ends: Sequence[SearchPosition], phrases: Sequence[Phrase], sender: str
) -> list[int]:
    """The ids of the matches in the rooms of these events, unordered; at most RARE_MATCHES_MAX + 1."""
    ids: list[int] = []
    for start in range(0, len(ends), ROOMS_PER_QUERY):
        chunk = ends[start : start + ROOMS_PER_QUERY]
        queries = [query for end in chunk if (query := _fts_query(connection, end, phrases, sender))]
        if queries:
            query = " OR ".join([f"({query})" for query in queries])
            ids += [found for (found,) in select(connection, MATCHING_IDS, (query, RARE_MATCHES_MAX + 1 - len(ids)))]
        if len(ids) > RARE_MATCHES_MAX:
            break
    return ids


def _last_event_before(
    connection: apsw.Connection, number: int, older_than: SearchPosition | None
) -> SearchPosition | None:
    """A room's last event before a position, by binary search: `at_ms` never decreases in a room."""
    oldest, newest = event_id_range(number)
    last = select_one(connection, LAST_EVENT, (oldest, newest))
    if last is None:
        return None
    end = SearchPosition(*last)
    if older_than is None or end < older_than:
        return end
    low, high = oldest, end.event_id  # the answer is in low … high - 1; `oldest` itself is no event
    while high - low > 1:
        middle = (low + high) // 2
        if SearchPosition(_at_ms(connection, middle), middle) < older_than:
            low = middle
        else:
            high = middle
    return SearchPosition(_at_ms(connection, low), low) if low > oldest else None


def _at_ms(connection: apsw.Connection, event_id: int) -> int:
    (at_ms,) = select_one(connection, AT_MS, (event_id,)) or (0,)
    return int(at_ms)


def _merge_newest_first(streams: Iterable[tuple[SearchPosition, Iterator[SearchHit]]]) -> Iterator[SearchHit]:
    """Merge streams newest first; each yields its newest first, and none newer than its position.

    A stream is advanced only when no other can yield a newer hit.
    """
    heap = [
        (-position.at_ms, -position.event_id, SearchHit(position, PLACEHOLDER_EVENT), stream)
        for position, stream in streams
    ]
    heapq.heapify(heap)
    while heap:
        _, _, found, stream = heap[0]
        if found.event is not PLACEHOLDER_EVENT:
            yield found
        next_hit = next(stream, None)
        if next_hit is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (-next_hit.position.at_ms, -next_hit.position.event_id, next_hit, stream))


def _hit(event_id: int, at_ms: int, data: bytes) -> SearchHit:
    return SearchHit(SearchPosition(at_ms, event_id), StoredEvent(event_id & SEQ_MAX, data))


def _load_newest_first(
    connection: apsw.Connection, ids: Sequence[int], older_than: SearchPosition | None
) -> list[SearchHit]:
    """The messages with these ids that are older than `older_than`, newest first."""
    found = [_hit(*row) for event_id in ids for row in select(connection, EVENT, (event_id,))]
    return sorted((one for one in found if older_than is None or one.position < older_than), reverse=True)


def _stream_room(
    connection: apsw.Connection,
    phrases: Sequence[Phrase],
    sender: str,
    end: SearchPosition,
    chunk_rows: int,
    limit: int,
) -> Iterator[SearchHit]:
    """The matches in the room of this event, up to it, read in chunks of growing size."""
    top = end.event_id
    oldest, _ = event_id_range(_room_number(end))
    query = _fts_query(connection, end, phrases, sender)
    while query:
        rows = list(select(connection, MATCHES_IN_ROOM, (query, oldest, top, chunk_rows)))
        for row in rows:
            yield _hit(*row)
        if len(rows) < chunk_rows:
            return
        top = rows[-1][0] - 1
        chunk_rows = min(2 * chunk_rows, limit)


def _fts_query(connection: apsw.Connection, end: SearchPosition, phrases: Sequence[Phrase], sender: str) -> str:
    """The FTS5 query for the room of this event; empty when nothing can match. Its terms contain no quote."""
    prefix = room_prefix(_room_number(end))
    is_large = (end.event_id & SEQ_MAX) > LARGE_ROOM_EVENTS_MIN
    parts = []
    for phrase in phrases:
        *whole, last = [prefix + token for token in phrase.tokens]
        needs_expansion = phrase.is_prefix and len(last) > ROOM_PREFIX_CHARS + INDEXED_PREFIX_CHARS
        expansions = _terms_with_prefix(connection, last) if needs_expansion and is_large else None
        if expansions is None:
            parts.append(f'"{" ".join([*whole, last])}"' + ("*" if phrase.is_prefix else ""))
        elif expansions:
            parts.append("(" + " OR ".join([f'"{" ".join([*whole, expansion])}"' for expansion in expansions]) + ")")
        else:
            return ""
    query = f"text : ({' AND '.join(parts)})"
    return f'{query} AND sender : "{prefix}{sender_token(sender)}"' if sender else query


def _terms_with_prefix(connection: apsw.Connection, term_prefix: str) -> list[str] | None:
    """The terms with this prefix (which includes the room's); None for more than PREFIX_TERMS_MAX."""
    words: list[str] = []
    lowest = term_prefix
    while found := select_one(connection, NEXT_TERM, (lowest, term_prefix + LAST_CHARACTER)):
        if len(words) >= PREFIX_TERMS_MAX:
            return None
        words += found
        # The next possible word; `>` would scan all messages with this one.
        lowest = found[0] + "\0"
    return words
