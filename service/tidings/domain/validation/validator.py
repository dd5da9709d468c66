"""What a name, a text, a reaction may look like: every rule about a single value, in one place.

A method returns the value as it is kept (in Unicode's composed form, NFC) or raises INVALID_ARGUMENT with one sentence
that names the limit and says what to do.
"""

import re
import unicodedata
from collections.abc import Collection
from typing import Final

from tidings.contract.errors import ApiError, invalid_argument
from tidings.contract.user_ids import ESCAPE_CHAR
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.validation.characters import (
    COMBINING_MARKS_MAX,
    OVERRIDE,
    balance_directions,
    find_excess_marks,
    is_blank,
)
from tidings.domain.validation.confusables import case_folded
from tidings.domain.validation.emoji import canonical_emoji, find_invisible, strip_variation_selectors
from tidings.domain.validation.names import (
    ASCII_NAME,
    RESERVED_PREFIXES,
    check_name,
    is_escaped_user_name,
    user_name_from_subject,
)

_CONTROL_EXCEPT_TAB_AND_LF = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# Whose limit of bytes each of these has; all others are names.
_LIMIT_NAMES: Final = {
    "text": "text_bytes_max",
    "emoji": "emoji_bytes_max",
    "title": "title_bytes_max",
    "status text": "status_text_bytes_max",
    "query": "query_bytes_max",
}

# Stores count in signed 64 bits; no log comes near.
SEQ_MAX = 2**63 - 1
# Composing makes UTF-8 up to three times as short (Hangul, Greek), so a text beyond that stays too long.
NFC_SHRINK_FACTOR_MAX = 3


class Validator:
    """The rules, with the limits that hold."""

    __slots__ = ("_legacy_names", "limits")

    def __init__(self, limits: DomainLimits, legacy_names: Collection[str] = ()) -> None:
        """`legacy_names`: of rooms and users from before the rules for names became stricter; they stay as they are."""
        self.limits = limits
        self._legacy_names = legacy_names

    def room(self, name: str) -> str:
        """A room's name. Those that the service gives may have the names of users in them that have escapes."""
        if ESCAPE_CHAR in name and name.startswith(RESERVED_PREFIXES):
            self._check_size("the room name", name, self.limits.id_bytes_max)
            prefix, *users = name.split(":")
            return ":".join([prefix, *map(self.user, users)])
        return self._existing_name("room name", name)

    def new_room(self, name: str) -> str:
        """The name of a room that is to be made: in lower case, and none that the service keeps for its own."""
        name = self._name("room name", name)
        if case_folded(name).startswith(RESERVED_PREFIXES):
            raise invalid_argument(
                f"names beginning with {' and '.join(RESERVED_PREFIXES)} are given by the service; choose another"
            )
        if name != name.lower():
            raise invalid_argument(
                f"the room name {quoted(name)} has capital letters, so it could be taken for another room; write it "
                "in lower case, and as you like in the title"
            )
        return name

    def user(self, name: str) -> str:
        """A user's name; case matters, since it does for those who sign tokens."""
        if ESCAPE_CHAR not in name:
            return self._existing_name("user name", name)
        self._check_size("the user name", name, self.limits.id_bytes_max)
        if not is_escaped_user_name(name):
            raise invalid_argument(
                f"the user name {quoted(name)} has a = that is not followed by the two hexadecimal digits of a byte "
                "that no name may have; use letters, digits and . _ - @ :"
            )
        return name

    def user_from_subject(self, subject: str) -> str:
        """The name of the user whom an identity provider calls so (`sub`); another one for each subject."""
        if self._is_legacy_name(subject):
            return subject
        bytes_max = self.limits.id_bytes_max
        name, size = "", _utf8_bytes("the subject", subject)
        if size <= bytes_max:
            name = user_name_from_subject(subject)
            size = len(name.encode())
        if not 1 <= size <= bytes_max:
            raise invalid_argument(
                f"the subject {quoted(subject)} has {size} bytes as a user name, 1 to {bytes_max} are needed; have "
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
        text = self._normalized("text", text, bytes_max)
        if is_blank(text):
            raise invalid_argument(f"text shows nothing; write 1 to {bytes_max} bytes that can be seen")
        # One look in C tells most texts: what can be printed holds no control character.
        if text.isprintable():
            return text
        _reject(_CONTROL_EXCEPT_TAB_AND_LF, "text", text, "only tab and line feed may be in it")
        text = balance_directions(text)
        self._check_size("text", text, bytes_max)
        return text

    def emoji(self, emoji: str) -> str:
        """A reaction: an emoji in its one form, or a short word."""
        bytes_max = self.limits.emoji_bytes_max
        emoji = self._normalized("emoji", strip_variation_selectors(emoji), bytes_max)
        _reject(_CONTROL, "emoji", emoji, "send the emoji alone")
        emoji = canonical_emoji(emoji)
        self._check_size("emoji", emoji, bytes_max)
        if is_blank(emoji):
            raise invalid_argument(f"emoji is blank; send 1 to {bytes_max} bytes that can be seen")
        invisible = find_invisible(emoji)
        if invisible:
            raise invalid_argument(
                f"emoji has the character U+{ord(invisible):04X} in it, which cannot be seen; leave it out"
            )
        if unicodedata.category(emoji[0])[0] == "M":
            raise invalid_argument(
                f"emoji begins with the combining mark U+{ord(emoji[0]):04X}; put the sign that it belongs to before it"
            )
        return emoji

    def title(self, title: str) -> str:
        """A room's title; may be empty."""
        return self._display_line("title", title, self.limits.title_bytes_max)

    def status_text(self, text: str) -> str:
        """What somebody says beside a status; may be empty."""
        return self._display_line("status text", text, self.limits.status_text_bytes_max)

    def query(self, query: str) -> str:
        """The words of a search."""
        bytes_max = self.limits.query_bytes_max
        query = self._single_line("query", query, bytes_max)
        if is_blank(query):
            raise invalid_argument(f"query is empty; send 1 to {bytes_max} bytes of words")
        return query

    def target(self, seq: int) -> int:
        """The seq of an event that something is about."""
        if not 1 <= seq <= SEQ_MAX:
            raise invalid_argument(f"target is {seq}; name the seq of a message, from 1 on")
        return seq

    def limit(self, requested: int, items: str) -> int:
        """How many items a page shall have; 0 asks for the default. `items`: page_events, list_items,
        search_results."""
        limit_max: int = getattr(self.limits, f"{items}_max")
        if requested > limit_max:
            raise invalid_argument(
                f"limit is {requested}, at most {limit_max} are given at once ({items}_max); ask for further pages"
            )
        default: int = getattr(self.limits, f"{items}_default")
        return requested or default

    def _existing_name(self, label: str, name: str) -> str:
        """A name that is asked for; older ones need not keep to the rules for new ones."""
        return name if self._is_legacy_name(name) else self._name(label, name)

    def _is_legacy_name(self, name: str) -> bool:
        return not name.isascii() and name in self._legacy_names

    def _name(self, label: str, name: str) -> str:
        bytes_max = self.limits.id_bytes_max
        size = len(name)
        if not ASCII_NAME.fullmatch(name):
            name = self._normalized(label, name, bytes_max)
            if name:
                name, problem = check_name(name)
                if problem:
                    raise invalid_argument(f"the {label} {quoted(name)} {problem}")
            size = len(name.encode())
        if not 1 <= size <= bytes_max:
            raise invalid_argument(
                f"the {label} has {size} bytes, 1 to {bytes_max} are needed (id_bytes_max); choose another one"
            )
        return name

    def _single_line(self, label: str, text: str, bytes_max: int) -> str:
        text = self._normalized(label, text, bytes_max)
        _reject(_CONTROL, label, text, "write it in one line")
        return text

    def _display_line(self, label: str, text: str, bytes_max: int) -> str:
        """A line that stands beside others: it must show something, and must not change how they are read."""
        text = self._single_line(label, text, bytes_max)
        if text and is_blank(text):
            raise invalid_argument(f"{label} shows nothing; leave it empty, or write something that can be seen")
        if not text.isprintable():
            _reject(OVERRIDE, label, text, "it would turn the letters around; leave it out", kind="direction override")
            if balance_directions(text) != text:
                raise invalid_argument(
                    f"{label} has a direction control (U+202A to U+202E, U+2066 to U+2069) without its other half; "
                    "leave it out"
                )
        return text

    def _normalized(self, label: str, text: str, bytes_max: int) -> str:
        """The text in NFC, at most so many bytes of UTF-8.

        Everything that could make composing expensive is refused before: the bytes, then the marks in a row.
        """
        size = _utf8_bytes(label, text)
        if not text.isascii() and size <= NFC_SHRINK_FACTOR_MAX * bytes_max:
            index = find_excess_marks(text)
            if index >= 0:
                raise invalid_argument(
                    f"{label} has more than {COMBINING_MARKS_MAX} combining marks on one letter, from character "
                    f"{index + 1} on; leave some out"
                )
            normalized = unicodedata.normalize("NFC", text)
            if normalized != text:
                text, size = normalized, _utf8_bytes(label, normalized)
        if size > bytes_max:
            raise _too_long(label, bytes_max)
        return text

    def _check_size(self, label: str, text: str, bytes_max: int) -> None:
        if _utf8_bytes(label, text) > bytes_max:
            raise _too_long(label, bytes_max)


def _too_long(label: str, bytes_max: int) -> ApiError:
    return invalid_argument(
        f"{label} is longer than {bytes_max} bytes of UTF-8 ({_LIMIT_NAMES.get(label, 'id_bytes_max')}); make it "
        f"shorter"
    )


def _reject(pattern: re.Pattern[str], label: str, text: str, advice: str, *, kind: str = "control character") -> None:
    found = pattern.search(text)
    if found is not None:
        raise invalid_argument(f"{label} has the {kind} U+{ord(found[0]):04X} in it; {advice}")


def _utf8_bytes(label: str, text: str) -> int:
    """How many bytes of UTF-8 the text has."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise invalid_argument(f"{label} has half a surrogate pair in it; send whole characters") from error


def quoted(name: str) -> str:
    """A name that breaks the rules, fit to be quoted in an error."""
    return ascii(name[:80])
