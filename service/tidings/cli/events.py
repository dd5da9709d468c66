"""Events, rooms and states as lines for people, and any message as a line of JSON for programs."""

import sys
import unicodedata
from collections.abc import Callable
from datetime import datetime
from json import dumps, loads
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message

from tidings.cli.screen import DIRECTION_CONTROLS, LINE_BREAKS, block, is_utf8, isolated, styled
from tidings.contract import v1
from tidings.contract.codecs import encode_json


def json_line(message: Message) -> str:
    """The canonical JSON of a message on one line; what could act on a terminal is escaped, which JSON allows."""
    line = "".join(map(_escaped, encode_json(message).decode()))
    if line.isascii() or is_utf8(sys.stdout):
        return line
    return dumps(loads(line), separators=(",", ":"))  # ASCII alone: escapes of JSON, not those of the stream


def event_block(event: v1.Event) -> str:
    """What happened: `#seq time who: words`, later lines of a message indented."""
    what = event.WhichOneof("what") or ""
    tell = TELL.get(what)
    said = tell(event, getattr(event, what)) if tell else " did something this version does not know"
    where = styled(f"#{event.seq} {moment(event.at_ms)}", "dim")
    return f"{where} {styled(isolated(event.actor), 'bold')}{said}"


def moment(at_ms: int) -> str:
    """A time here: of the day if it was today, else with the date."""
    at = datetime.fromtimestamp(at_ms / 1000)
    return f"{at:%H:%M:%S}" if at.date() == datetime.now().date() else f"{at:%Y-%m-%d %H:%M}"


def word(names: EnumDescriptor, number: int) -> str:
    """An enum's value in small letters; empty for "unspecified" and for what this version does not know."""
    value = names.values_by_number.get(number)
    return "" if value is None or value.name.endswith("_UNSPECIFIED") else value.name.lower()


def _posted(event: v1.Event, what: v1.Posted) -> str:
    if what.deleted:
        return styled(" (deleted)", "dim")
    marks = [f"answers #{what.reply_to}"] if what.reply_to else []
    marks += ["edited"] if what.edited_at_ms else []
    marks += [f"{isolated(reaction.emoji)} {reaction.count}" for reaction in what.reactions]
    tail = styled(f"  ({', '.join(marks)})", "dim") if marks else ""
    return f": {block(what.text)}{tail}"


def _edited(event: v1.Event, what: v1.Edited) -> str:
    # The text is gone when the message was edited again or deleted.
    return f" changed #{what.target}: {block(what.text)}" if what.text else f" changed #{what.target}"


def _deleted(event: v1.Event, what: v1.Deleted) -> str:
    return f" deleted #{what.target}"


def _reacted(event: v1.Event, what: v1.Reacted) -> str:
    emoji = isolated(what.emoji)
    return f" took {emoji} back from #{what.target}" if what.removed else f" reacted {emoji} to #{what.target}"


def _member(event: v1.Event, what: v1.Member) -> str:
    user, himself = isolated(what.user), what.user == event.actor
    if what.left:
        return " left" if himself else f" removed {user}"
    role = word(v1.Role.DESCRIPTOR, what.role)
    return f" joined as {role}" if himself else f" made {user} a {role}"


def _changed(event: v1.Event, what: v1.RoomChanged) -> str:
    title = f' "{isolated(what.title)}"' if what.title else ""
    return f" {'created' if what.created else 'changed'} the room{title} ({word(v1.RoomKind.DESCRIPTOR, what.kind)})"


def _appended(event: v1.Event, what: v1.Appended) -> str:
    return f" added to #{what.target}: {block(what.text)}"


# One row for each kind of event.
TELL: Final[dict[str, Callable[[v1.Event, Any], str]]] = {
    "posted": _posted,
    "edited": _edited,
    "deleted": _deleted,
    "reacted": _reacted,
    "member": _member,
    "changed": _changed,
    "appended": _appended,
}


def _escaped(character: str) -> str:
    acts = character in DIRECTION_CONTROLS or character in LINE_BREAKS or unicodedata.category(character) == "Cc"
    return f"\\u{ord(character):04x}" if acts else character
