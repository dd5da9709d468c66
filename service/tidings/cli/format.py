"""Events as lines for people, and any message as a line of JSON for programs."""

import sys
import unicodedata
from collections.abc import Callable
from datetime import datetime
from json import dumps, loads
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message

from tidings.cli.terminal import DIRECTION_CONTROLS, LINE_BREAKS, bidi_isolate, indent_lines, is_utf8, styled
from tidings.contract import v1
from tidings.contract.codecs import encode_json

UNKNOWN_CONTENT: Final = ": an event of a kind that this version does not know"


def format_json(message: Message) -> str:
    """The canonical JSON of a message on one line; control characters are escaped as JSON allows."""
    line = "".join(map(_escape_control, encode_json(message).decode()))
    if line.isascii() or is_utf8(sys.stdout):
        return line
    return dumps(loads(line), separators=(",", ":"))  # with escapes of JSON, not those of the stream


def format_event(event: v1.Event) -> str:
    """An event: `#seq time user: text`; further lines of a message are indented."""
    kind = event.WhichOneof("what") or ""
    format_content = EVENT_FORMATTERS.get(kind)
    content = (
        format_content(event, getattr(event, kind))
        if format_content
        else ": an event of a kind that this version does not know"
    )
    prefix = styled(f"#{event.seq} {format_time(event.at_ms)}", "dim")
    return f"{prefix} {styled(bidi_isolate(event.actor), 'bold')}{content}"


def format_time(at_ms: int) -> str:
    """A time in the local time zone: the time of day if it is today, else the date and the time."""
    at = datetime.fromtimestamp(at_ms / 1000)
    return f"{at:%H:%M:%S}" if at.date() == datetime.now().date() else f"{at:%Y-%m-%d %H:%M}"


def enum_label(enum: EnumDescriptor, number: int) -> str:
    """An enum's value in lower case; empty for "unspecified" and for an unknown value."""
    value = enum.values_by_number.get(number)
    return "" if value is None or value.name.endswith("_UNSPECIFIED") else value.name.lower()


def _posted(event: v1.Event, what: v1.Posted) -> str:
    if what.deleted:
        return styled(" (deleted)", "dim")
    notes = [f"reply to #{what.reply_to}"] if what.reply_to else []
    notes += ["edited"] if what.edited_at_ms else []
    notes += [f"{bidi_isolate(reaction.emoji)} {reaction.count}" for reaction in what.reactions]
    tail = styled(f"  ({', '.join(notes)})", "dim") if notes else ""
    return f": {indent_lines(what.text)}{tail}"


def _edited(event: v1.Event, what: v1.Edited) -> str:
    # The text was removed if the message was edited again or deleted.
    return f" edited #{what.target}: {indent_lines(what.text)}" if what.text else f" edited #{what.target}"


def _deleted(event: v1.Event, what: v1.Deleted) -> str:
    return f" deleted #{what.target}"


def _reacted(event: v1.Event, what: v1.Reacted) -> str:
    emoji = bidi_isolate(what.emoji)
    return f" removed {emoji} from #{what.target}" if what.removed else f" reacted {emoji} to #{what.target}"


def _member(event: v1.Event, what: v1.Member) -> str:
    user, is_own = bidi_isolate(what.user), what.user == event.actor
    if what.left:
        return " left" if is_own else f" removed {user}"
    role = enum_label(v1.Role.DESCRIPTOR, what.role)
    return f" joined as {role}" if is_own else f" made {user} a {role}"


def _changed(event: v1.Event, what: v1.RoomChanged) -> str:
    title = f' "{bidi_isolate(what.title)}"' if what.title else ""
    return (
        f" {'created' if what.created else 'changed'} the room{title} ({enum_label(v1.RoomKind.DESCRIPTOR, what.kind)})"
    )


def _appended(event: v1.Event, what: v1.Appended) -> str:
    return f" added to #{what.target}: {indent_lines(what.text)}"


# One row per kind of event.
EVENT_FORMATTERS: Final[dict[str, Callable[[v1.Event, Any], str]]] = {
    "posted": _posted,
    "edited": _edited,
    "deleted": _deleted,
    "reacted": _reacted,
    "member": _member,
    "changed": _changed,
    "appended": _appended,
}


def _escape_control(character: str) -> str:
    is_control = character in DIRECTION_CONTROLS or character in LINE_BREAKS or unicodedata.category(character) == "Cc"
    return f"\\u{ord(character):04x}" if is_control else character
