"""Events as lines."""

import json

import pytest

from tidings.cli.format import format_event, format_json
from tidings.contract import v1


def formatted(**what: object) -> str:
    """The line of an event of alice, without its number and time."""
    event = v1.Event(room="general", seq=7, at_ms=0, actor="alice", **what)  # type: ignore[arg-type]
    line = format_event(event)
    assert line.startswith("#7 19")
    return line.split(" ", 3)[3]


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ({"posted": v1.Posted(text="hi")}, "alice: hi"),
        ({"posted": v1.Posted(text="hi", reply_to=3, edited_at_ms=1)}, "alice: hi  (reply to #3, edited)"),
        ({"posted": v1.Posted(text="a", reactions=[v1.Reaction(emoji="👍", count=2)])}, "alice: a  (👍 2)"),
        ({"posted": v1.Posted(deleted=True)}, "alice (deleted)"),
        ({"edited": v1.Edited(target=3, text="ho")}, "alice edited #3: ho"),
        ({"deleted": v1.Deleted(target=3)}, "alice deleted #3"),
        ({"reacted": v1.Reacted(target=3, emoji="👍")}, "alice reacted 👍 to #3"),
        ({"reacted": v1.Reacted(target=3, emoji="👍", removed=True)}, "alice removed 👍 from #3"),
        ({"member": v1.Member(user="alice", role=v1.OWNER)}, "alice joined as owner"),
        ({"member": v1.Member(user="alice", left=True)}, "alice left"),
        ({"member": v1.Member(user="bob", role=v1.MEMBER)}, "alice made bob a member"),
        ({"member": v1.Member(user="bob", left=True)}, "alice removed bob"),
        ({"changed": v1.RoomChanged(title="T", kind=v1.OPEN, created=True)}, 'alice created the room "T" (open)'),
        ({"appended": v1.Appended(target=3, text="more")}, "alice added to #3: more"),
        ({}, "alice: an event of a kind that this version does not know"),
    ],
)
def test_every_kind_of_event_is_a_line(what: dict[str, object], line: str) -> None:
    assert formatted(**what) == line


def test_every_kind_of_event_in_the_contract_has_a_line() -> None:
    from tidings.cli.format import EVENT_FORMATTERS

    assert EVENT_FORMATTERS.keys() == {field.name for field in v1.Event.DESCRIPTOR.oneofs_by_name["what"].fields}


def test_names_emoji_and_titles_cannot_act_either() -> None:
    event = v1.Event(seq=1, actor="\x1b[31mroot", reacted=v1.Reacted(target=1, emoji="\x07"))
    assert "\x1b" not in format_event(event)
    assert "\x07" not in format_event(event)


def test_a_line_of_json_holds_nothing_that_acts_and_says_the_same() -> None:
    text = "\x9b31m \x7f \u202e \u2028 天気 😀"
    line = format_json(v1.Posted(text=text))
    assert json.loads(line) == {"text": text}
    assert not set(line) & set("\x9b\x7f\u202e\u2028")
    assert "天気 😀" in line
