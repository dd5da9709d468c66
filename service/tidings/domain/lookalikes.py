"""Names that are made to be taken for others: `аdmin` with a Cyrillic а, `𝐚𝐝𝐦𝐢𝐧` in bold.

The theory is that of Unicode's security mechanisms (UTS #39, section 5.2, "moderately restrictive"), as far as the
standard library knows of scripts. Between two of the signs that part a name (`.`, `@`, `:`), letters are of one script,
or of Latin and one other that does not look like it; Chinese, Japanese and Korean mix theirs among themselves and with
Latin. A character that is nothing but another shape of ASCII is written in ASCII.

It does not find what is written wholly in letters of another script (`сосо`): that is how some people are called.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_PARTS: Final = re.compile(r"[.@:]")
# Modifier letters belong to several scripts: ー to Hiragana and Katakana.
_LETTERS: Final = frozenset({"Lu", "Ll", "Lt", "Lo"})
_WIDTHS: Final = frozenset({"FULLWIDTH", "HALFWIDTH"})
_LATIN: Final = "LATIN"
_LIKE_LATIN: Final = frozenset({"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"})
_TOGETHER: Final = tuple(
    frozenset({_LATIN, "CJK", *others}) for others in (("HIRAGANA", "KATAKANA"), ("BOPOMOFO",), ("HANGUL",))
)


@lru_cache(4_096)  # each message names its room
def disguise(name: str) -> str:
    """What is wrong with a name in NFC, as half a sentence that says what to do; empty if nothing is."""
    for character in name:
        plain = unicodedata.normalize("NFKC", character)
        if plain.isascii() and not character.isascii():
            return f"has the character U+{ord(character):04X}, which looks like {plain}; write {plain}"
    for part in _PARTS.split(name):
        scripts = set(_scripts(part))
        if not _go_together(scripts):
            mixed = " and ".join(sorted(script.capitalize() for script in scripts))
            return f"mixes letters of {mixed}, which can be taken for one another; write it in one alphabet"
    return ""


def _scripts(part: str) -> Iterator[str]:
    """The script of each letter: the first word of its name in Unicode, CJK for Han."""
    for character in part:
        if unicodedata.category(character) in _LETTERS:
            first, *rest = unicodedata.name(character, "?").split()
            yield rest[0] if first in _WIDTHS and rest else first


def _go_together(scripts: set[str]) -> bool:
    if len(scripts) <= 1 or any(scripts <= together for together in _TOGETHER):
        return True
    return len(scripts) == 2 and _LATIN in scripts and scripts.isdisjoint(_LIKE_LATIN)
