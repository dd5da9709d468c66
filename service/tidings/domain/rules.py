"""What a name, a text, a reaction may look like: every rule about a single value, in one place.

A method returns the value as it is kept (in Unicode's composed form, NFC) or raises INVALID_ARGUMENT with one sentence
that names the limit and says what to do.
"""

import re
import unicodedata
from collections.abc import Collection
from typing import Final

from tidings.contract.errors import Failure, invalid_argument
from tidings.contract.subjects import ESCAPE
from tidings.domain.characters import COMBINING_MARKS_MAX, OVERRIDE, balanced, find_excess_of_marks, shows_nothing
from tidings.domain.emoji import canonical, unseen, without_styles
from tidings.domain.ids import PLAIN, is_escaped, judge, user_name
from tidings.domain.limits import DomainLimits
from tidings.domain.lookalikes import folded
from tidings.domain.names import PREFIXES

_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# Whose limit of bytes each of these has; all others are names.
_SETTINGS: Final = {
    "text": "text_bytes_max",
    "emoji": "emoji_bytes_max",
    "title": "title_bytes_max",
    "status text": "status_text_bytes_max",
    "query": "query_bytes_max",
}

# Stores count in signed 64 bits; no log comes near.
SEQ_MAX = 2**63 - 1
# Composing makes UTF-8 up to three times as short (Hangul, Greek), so a text beyond that stays too long.
COMPOSED_SHRINKS_MAX = 3


class Rules:
    """The rules, with the limits that hold."""

    __slots__ = ("_older_names", "limits")

    def __init__(self, limits: DomainLimits, older_names: Collection[str] = ()) -> None:
        """`older_names`: of rooms and users from before the rules for names became stricter; they stay as they are."""
        self.limits = limits
        self._older_names = older_names

    def room(self, name: str) -> str:
        """A room's name. Those that the service gives may have the names of users in them that have escapes."""
        if ESCAPE in name and name.startswith(PREFIXES):
            self._check_size("the room name", name, self.limits.id_bytes_max)
            prefix, *users = name.split(":")
            return ":".join([prefix, *map(self.user, users)])
        return self._known("room name", name)

    def new_room(self, name: str) -> str:
        """The name of a room that is to be made: in lower case, and none that the service keeps for its own."""
        name = self._id("room name", name)
        if folded(name).startswith(PREFIXES):
            raise invalid_argument(
                f"names beginning with {' and '.join(PREFIXES)} are given by the service; choose another"
            )
        if name != name.lower():
            raise invalid_argument(
                f"the room name {printable(name)} has capital letters, so it could be taken for another room; write it "
                "in lower case, and as you like in the title"
            )
        return name

    def user(self, name: str) -> str:
        """A user's name; case matters, since it does for those who sign tokens."""
        if ESCAPE not in name:
            return self._known("user name", name)
        self._check_size("the user name", name, self.limits.id_bytes_max)
        if not is_escaped(name):
            raise invalid_argument(
                f"the user name {printable(name)} has a = that is not followed by the two hexadecimal digits of a byte "
                "that no name may have; use letters, digits and . _ - @ :"
            )
        return name

    def user_of(self, subject: str) -> str:
        """The name of the user whom an identity provider calls so (`sub`); another one for each subject."""
        if self._is_older(subject):
            return subject
        bytes_max = self.limits.id_bytes_max
        name, size = "", _bytes("the subject", subject)
        if size <= bytes_max:
            name = user_name(subject)
            size = len(name.encode())
        if not 1 <= size <= bytes_max:
            raise invalid_argument(
                f"the subject {printable(subject)} has {size} bytes as a user name, 1 to {bytes_max} are needed; have "
                "the identity provider send a shorter one, or raise domain.id_bytes_max"
            )
        return name

    def client_id(self, key: str) -> str:
        """A caller's idempotency key. It is compared as it is, so it is not normalised."""
        chars_max = self.limits.client_id_chars_max
        if not 1 <= len(key) <= chars_max:
            raise invalid_argument(
                f"client_id has {len(key)} characters, 1 to {chars_max} are needed (client_id_chars_max); make a new "
                "one for each message, a UUID for example"
            )
        if not key.isprintable():
            raise invalid_argument("client_id has characters that cannot be printed; use letters, digits and signs")
        return key

    def text(self, text: str) -> str:
        """A message's text, with line ends as \\n, and what directs its writing ended in each line."""
        bytes_max = self.limits.text_bytes_max
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        text = self._composed("text", text, bytes_max)
        if shows_nothing(text):
            raise invalid_argument(f"text shows nothing; write 1 to {bytes_max} bytes that can be seen")
        # One look in C tells most texts: what can be printed holds no control character.
        if text.isprintable():
            return text
        _refuse(_CONTROL_IN_TEXT, "text", text, "only tab and line feed may be in it")
        text = balanced(text)
        self._check_size("text", text, bytes_max)
        return text

    def emoji(self, emoji: str) -> str:
        """A reaction: an emoji in its one form, or a short word."""
        bytes_max = self.limits.emoji_bytes_max
        emoji = self._composed("emoji", without_styles(emoji), bytes_max)
        _refuse(_CONTROL, "emoji", emoji, "send the emoji alone")
        emoji = canonical(emoji)
        self._check_size("emoji", emoji, bytes_max)
        if shows_nothing(emoji):
            raise invalid_argument(f"emoji is blank; send 1 to {bytes_max} bytes that can be seen")
        hidden = unseen(emoji)
        if hidden:
            raise invalid_argument(
                f"emoji has the character U+{ord(hidden):04X} in it, which cannot be seen; leave it out"
            )
        if unicodedata.category(emoji[0])[0] == "M":
            raise invalid_argument(
                f"emoji begins with the combining mark U+{ord(emoji[0]):04X}; put the sign that it belongs to before it"
            )
        return emoji

    def title(self, title: str) -> str:
        """A room's title; may be empty."""
        return self._shown("title", title, self.limits.title_bytes_max)

    def status_text(self, text: str) -> str:
        """What somebody says beside a status; may be empty."""
        return self._shown("status text", text, self.limits.status_text_bytes_max)

    def query(self, query: str) -> str:
        """The words of a search."""
        bytes_max = self.limits.query_bytes_max
        query = self._line("query", query, bytes_max)
        if shows_nothing(query):
            raise invalid_argument(f"query is empty; send 1 to {bytes_max} bytes of words")
        return query

    def target(self, seq: int) -> int:
        """The seq of an event that something is about."""
        if not 1 <= seq <= SEQ_MAX:
            raise invalid_argument(f"target is {seq}; name the seq of a message, from 1 on")
        return seq

    def limit(self, asked: int, what: str) -> int:
        """How many items a page shall have; 0 asks for the default. `what`: page_events, list_items, search_results."""
        most: int = getattr(self.limits, f"{what}_max")
        if asked > most:
            raise invalid_argument(
                f"limit is {asked}, at most {most} are given at once ({what}_max); ask for further pages"
            )
        default: int = getattr(self.limits, f"{what}_default")
        return asked or default

    def _known(self, what: str, name: str) -> str:
        """A name that is asked for; older ones need not keep to the rules for new ones."""
        return name if self._is_older(name) else self._id(what, name)

    def _is_older(self, name: str) -> bool:
        return not name.isascii() and name in self._older_names

    def _id(self, what: str, name: str) -> str:
        bytes_max = self.limits.id_bytes_max
        size = len(name)
        if not PLAIN.fullmatch(name):
            name = self._composed(what, name, bytes_max)
            if name:
                name, complaint = judge(name)
                if complaint:
                    raise invalid_argument(f"the {what} {printable(name)} {complaint}")
            size = len(name.encode())
        if not 1 <= size <= bytes_max:
            raise invalid_argument(
                f"the {what} has {size} bytes, 1 to {bytes_max} are needed (id_bytes_max); choose another one"
            )
        return name

    def _line(self, what: str, text: str, bytes_max: int) -> str:
        text = self._composed(what, text, bytes_max)
        _refuse(_CONTROL, what, text, "write it in one line")
        return text

    def _shown(self, what: str, text: str, bytes_max: int) -> str:
        """A line that stands beside others: it must show something, and must not change how they are read."""
        text = self._line(what, text, bytes_max)
        if text and shows_nothing(text):
            raise invalid_argument(f"{what} shows nothing; leave it empty, or write something that can be seen")
        if not text.isprintable():
            _refuse(OVERRIDE, what, text, "it would turn the letters around; leave it out", kind="direction override")
            if balanced(text) != text:
                raise invalid_argument(
                    f"{what} has a direction control (U+202A to U+202E, U+2066 to U+2069) without its other half; "
                    "leave it out"
                )
        return text

    def _composed(self, what: str, text: str, bytes_max: int) -> str:
        """The text in NFC, at most so many bytes of UTF-8.

        Everything that could make composing expensive is refused before: the bytes, then the marks in a row.
        """
        size = _bytes(what, text)
        if not text.isascii() and size <= COMPOSED_SHRINKS_MAX * bytes_max:
            place = find_excess_of_marks(text)
            if place >= 0:
                raise invalid_argument(
                    f"{what} has more than {COMBINING_MARKS_MAX} combining marks on one letter, from character "
                    f"{place + 1} on; leave some out"
                )
            composed = unicodedata.normalize("NFC", text)
            if composed != text:
                text, size = composed, _bytes(what, composed)
        if size > bytes_max:
            raise _too_long(what, bytes_max)
        return text

    def _check_size(self, what: str, text: str, bytes_max: int) -> None:
        if _bytes(what, text) > bytes_max:
            raise _too_long(what, bytes_max)


def _too_long(what: str, bytes_max: int) -> Failure:
    return invalid_argument(
        f"{what} is longer than {bytes_max} bytes of UTF-8 ({_SETTINGS.get(what, 'id_bytes_max')}); make it shorter"
    )


def _refuse(refused: re.Pattern[str], what: str, text: str, advice: str, *, kind: str = "control character") -> None:
    found = refused.search(text)
    if found is not None:
        raise invalid_argument(f"{what} has the {kind} U+{ord(found[0]):04X} in it; {advice}")


def _bytes(what: str, text: str) -> int:
    """How many bytes of UTF-8 the text has."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise invalid_argument(f"{what} has half a surrogate pair in it; send whole characters") from error


def printable(name: str) -> str:
    """A name that breaks the rules, fit to be quoted in an error."""
    return ascii(name[:80])
