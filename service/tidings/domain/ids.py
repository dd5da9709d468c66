"""What the name of a user or a room may be: letters of any alphabet, digits, and `. _ - @ :`.

A name is kept in NFKC, so that two names that differ in the shape of their letters only (Arabic presentation forms, µ
and μ, ｱ and ア) are one. What is another shape of ASCII or made to look like another name (`lookalikes`) is refused.

A subject of an identity provider that is such a name is the user's name. In any other the characters that no name may
have are escaped (`contract.subjects`): as few as possible where the rest reads well, else all beyond ASCII. So no two
subjects share a name, and each can be read back.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from tidings.contract.subjects import ESCAPE, escaped, subject_of, without_escapes
from tidings.domain.characters import IGNORABLE
from tidings.domain.lookalikes import disguise

# A name in ASCII, which most are, is decided by one look.
PLAIN: Final = re.compile(r"[A-Za-z0-9._\-@:]+")
_SIGNS: Final = frozenset("._-@:")
# Letters, the marks that some alphabets cannot be written without, decimal digits.
_CATEGORIES: Final = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"})
# With a character that cannot be seen a name looks like another name.
_UNSEEN: Final = re.compile(f"[{IGNORABLE}]")
# NFKC takes them apart, but that is how Thai, Lao and Armenian are typed: ำ ຳ ໜ ໝ և.
_LIGATURES: Final = re.compile("([\u0e33\u0eb3\u0edc\u0edd\u0587])")
_NAMES_CACHED_MAX: Final = 4_096  # each message names its room


class Judged(NamedTuple):
    """A name as it is kept, and what is wrong with it as half a sentence; empty if nothing is."""

    name: str
    complaint: str


@lru_cache(_NAMES_CACHED_MAX)
def judge(name: str) -> Judged:
    """What becomes of a name in NFC that is not PLAIN; its marks and its length are limited before."""
    kept = _one_shape(name)
    if unicodedata.category(kept[0])[0] == "M" or not all(map(_may_be_in_name, kept)):
        return Judged(kept, "has a character that no name may have; use letters, digits and . _ - @ :")
    return Judged(kept, disguise(name) or disguise(kept))


@lru_cache(_NAMES_CACHED_MAX)
def user_name(subject: str) -> str:
    """The user's name for a subject. It may be longer than a name may be. UnicodeEncodeError for half a surrogate."""
    if _is_name(subject):
        return subject
    readable = "".join(char if _may_be_in_name(char) else escaped(char) for char in subject)
    bare = without_escapes(readable)
    if bare.isascii() or _is_name(bare.replace(ESCAPE, ".")):
        return readable
    return "".join(char if PLAIN.fullmatch(char) else escaped(char) for char in subject)


@lru_cache(_NAMES_CACHED_MAX)
def is_escaped(user: str) -> bool:
    """Whether this is the one name of a subject that needs escapes."""
    try:
        return ESCAPE in user and user_name(subject_of(user)) == user
    except ValueError:
        return False


def _one_shape(name: str) -> str:
    """The name in NFKC, but for the letters that have to stay."""
    parts = _LIGATURES.split(name)
    parts[::2] = [unicodedata.normalize("NFKC", part) for part in parts[::2]]
    return unicodedata.normalize("NFC", "".join(parts))


def _is_name(subject: str) -> bool:
    """Whether a subject is a name, and kept as it is."""
    return PLAIN.fullmatch(subject) is not None or (subject != "" and judge(subject) == Judged(subject, ""))


def _may_be_in_name(character: str) -> bool:
    if _UNSEEN.match(character):
        return False
    return character in _SIGNS or unicodedata.category(character) in _CATEGORIES
