"""What the name of a user or a room may be: letters of any alphabet, digits, and `. _ - @ :`.

A name is kept in NFKC, so that two names that differ in the shape of their letters only (Arabic presentation forms, µ
and μ, ｱ and ア) are one. What is another shape of ASCII or made to look like another name (`confusables`) is refused.

A subject of an identity provider that is such a name is the user's name. In any other the characters that no name may
have are escaped (`contract.user_ids`): as few as possible where the rest reads well, else all beyond ASCII. So no two
subjects share a name, and each can be read back.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from tidings.contract.user_ids import ESCAPE_CHAR, collapse_escapes, escape_all, user_to_subject
from tidings.domain.validation.characters import IGNORABLE
from tidings.domain.validation.confusables import find_confusable

# Prefixes of rooms that the service names (`rooms.room_names`).
DIRECT_PREFIX: Final = "direct:"
GROUP_PREFIX: Final = "group:"
RESERVED_PREFIXES: Final = (DIRECT_PREFIX, GROUP_PREFIX)

# A name in ASCII, which most are, is decided by one look.
ASCII_NAME: Final = re.compile(r"[A-Za-z0-9._\-@:]+")
_PUNCTUATION: Final = frozenset("._-@:")
# Letters, the marks that some alphabets cannot be written without, decimal digits.
_CATEGORIES: Final = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"})
# With a character that cannot be seen a name looks like another name.
_INVISIBLE: Final = re.compile(f"[{IGNORABLE}]")
# NFKC takes them apart, but that is how Thai, Lao and Armenian are typed: ำ ຳ ໜ ໝ և.
_LIGATURES: Final = re.compile("([\u0e33\u0eb3\u0edc\u0edd\u0587])")
_NAMES_CACHED_MAX: Final = 4_096  # each message names its room


class NameCheck(NamedTuple):
    """A name as it is kept, and what is wrong with it as half a sentence; empty if nothing is."""

    name: str
    problem: str


@lru_cache(_NAMES_CACHED_MAX)
def check_name(name: str) -> NameCheck:
    """What becomes of a name in NFC that is not PLAIN; its marks and its length are limited before."""
    normalized = _normalize(name)
    if unicodedata.category(normalized[0])[0] == "M" or not all(map(_is_allowed, normalized)):
        return NameCheck(normalized, "has a character that no name may have; use letters, digits and . _ - @ :")
    return NameCheck(normalized, find_confusable(name) or find_confusable(normalized))


@lru_cache(_NAMES_CACHED_MAX)
def user_name_from_subject(subject: str) -> str:
    """The user's name for a subject. It may be longer than a name may be. UnicodeEncodeError for half a surrogate."""
    if _is_name(subject):
        return subject
    readable = "".join(char if _is_allowed(char) else escape_all(char) for char in subject)
    bare = collapse_escapes(readable)
    if bare.isascii() or _is_name(bare.replace(ESCAPE_CHAR, ".")):
        return readable
    return "".join(char if ASCII_NAME.fullmatch(char) else escape_all(char) for char in subject)


@lru_cache(_NAMES_CACHED_MAX)
def is_escaped_user_name(user: str) -> bool:
    """Whether this is the one name of a subject that needs escapes."""
    try:
        return ESCAPE_CHAR in user and user_name_from_subject(user_to_subject(user)) == user
    except ValueError:
        return False


def _normalize(name: str) -> str:
    """The name in NFKC, but for the letters that have to stay."""
    parts = _LIGATURES.split(name)
    parts[::2] = [unicodedata.normalize("NFKC", part) for part in parts[::2]]
    return unicodedata.normalize("NFC", "".join(parts))


def _is_name(subject: str) -> bool:
    """Whether a subject is a name, and kept as it is."""
    return ASCII_NAME.fullmatch(subject) is not None or (
        subject != "" and check_name(subject) == NameCheck(subject, "")
    )


def _is_allowed(character: str) -> bool:
    if _INVISIBLE.match(character):
        return False
    return character in _PUNCTUATION or unicodedata.category(character) in _CATEGORIES
