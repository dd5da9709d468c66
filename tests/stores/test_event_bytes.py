"""Damaged bytes of events are found, and replaced by what the row still holds."""

import pytest

from tidings.contract import v1
from tidings.domain.ports.store import StoredEvent
from tidings.stores.change_set import ChangeSet
from tidings.stores.event_bytes import can_parse_all, is_valid_event, parse_or_placeholder
from tidings.stores.tables import DELETED_MESSAGE, EDITED, POSTED, EventRow, RoomRow, take_within


def stored(seq: int, text: str) -> StoredEvent:
    """A message."""
    return StoredEvent(seq, v1.Event(seq=seq, actor="ann", posted=v1.Posted(text=text)).SerializeToString())


def test_events_of_every_length_can_be_parsed_together() -> None:
    # Lengths around those where the varint before an event grows by a byte, 2**7 and 2**14.
    events = [stored(seq, "x" * length) for seq, length in enumerate([0, *range(100, 140), *range(16_350, 16_400)], 1)]
    assert {len(event.data) for event in events} >= {127, 128, 16_383, 16_384}
    assert can_parse_all(events)


@pytest.mark.parametrize("damaged", [b"", b"\xff", stored(2, "hello").data[:-3]])
def test_one_damaged_event_is_found_among_others(damaged: bytes) -> None:
    assert not can_parse_all([stored(1, "one"), StoredEvent(2, damaged), stored(3, "three")])
    assert not is_valid_event(2, damaged)


def test_bytes_of_another_seq_are_damaged() -> None:
    assert is_valid_event(1, stored(1, "one").data)
    assert not is_valid_event(2, stored(1, "one").data)


def test_a_placeholder_has_the_columns_of_its_row() -> None:
    row = EventRow(7, EDITED, "ann", "key", 123, 5, 5, None, b"\xff")
    assert parse_or_placeholder("lobby", row) == v1.Event(
        room="lobby", seq=7, actor="ann", client_id="key", at_ms=123, edited=v1.Edited(target=5)
    )
    message = parse_or_placeholder("lobby", row._replace(kind=DELETED_MESSAGE))
    assert message.HasField("posted")
    assert message.posted.text == ""


def test_rows_that_exactly_fill_the_bytes_are_all_taken() -> None:
    rows = [(1, b"x" * 4), (2, b"x" * 6), (3, b"x")]
    assert take_within(rows[:2], 10) == ([StoredEvent(1, b"x" * 4), StoredEvent(2, b"x" * 6)], False)
    assert take_within(rows, 10) == ([StoredEvent(1, b"x" * 4), StoredEvent(2, b"x" * 6)], True)
    assert take_within(rows, 1) == ([StoredEvent(1, b"x" * 4)], True)


def test_only_edits_and_deletions_replace_text() -> None:
    room = RoomRow(1, "lobby", v1.OPEN, "", "", "epoch", 0, b"")
    changes = ChangeSet()
    changes.add_event(room, stored(1, "one"))
    changes.add_change(room, StoredEvent(2, b""), v1.Event(reacted=v1.Reacted(target=1)), [])
    assert not changes.has_replaced_text
    changes.add_change(room, StoredEvent(3, b""), v1.Event(edited=v1.Edited(target=1)), [])
    assert changes.has_replaced_text


def test_the_kinds_in_the_database_are_those_of_its_first_release() -> None:
    assert (DELETED_MESSAGE, POSTED, EDITED) == (0, 10, 11)
