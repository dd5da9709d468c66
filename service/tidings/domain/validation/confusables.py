"""Names that are made to be taken for others: `аdmin` with a Cyrillic а, `𝐚𝐝𝐦𝐢𝐧` in bold, `admi̇n` with a second dot.

The theory is that of Unicode's security mechanisms (UTS #39): of section 5.2 "moderately restrictive", as far as the
standard library knows of scripts, of 5.3 one system of digits, of 5.4 what it says of marks. Between two of the signs
that part a name (`.`, `@`, `:`), letters are of one script, or of Latin and one other that does not look like it;
Chinese, Japanese and Korean mix theirs among themselves and with Latin. A character that is nothing but another shape
of ASCII is written in ASCII; so are the letters of phonetics and old prints that look like it (UTS #39's confusables).

It does not find what is written wholly in letters of another script (`сосо`), nor letters of one living alphabet that
look alike (`ı` and `i` in Turkish, `ی` and `ي` in Arabic script): that is how some people are called.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Final

_SEPARATORS: Final = re.compile(r"[.@:=]")
# Modifier letters belong to several scripts: ー to Hiragana and Katakana.
_LETTERS: Final = frozenset({"Lu", "Ll", "Lt", "Lo"})
_WIDTHS: Final = frozenset({"FULLWIDTH", "HALFWIDTH"})
_LATIN: Final = "LATIN"
_LATIN_LOOKALIKES: Final = frozenset({"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"})
_COMPATIBLE_SCRIPTS: Final = tuple(
    frozenset({_LATIN, "CJK", *others}) for others in (("HIRAGANA", "KATAKANA"), ("BOPOMOFO",), ("HANGUL",))
)
# Latin letters of phonetics, old prints and small capitals, and signs that count as letters, with what they look like.
# Not those that a living language is written with: ı, ɣ, ɩ, ʋ, ʔ, Ʒ, the clicks of Khoekhoe, the apostrophes of many.
_CONFUSABLES: Final = {
    "a": "ɑᴀ", "b": "ʙƄ", "c": "ᴄ", "d": "ᴅ", "e": "ᴇꬲ", "f": "ꜰꬵꞙꞘẝ", "g": "ɡɢᶃƍ", "h": "ʜ", "i": "ɪ", "j": "ᴊꞲ",
    "k": "ᴋ", "l": "ʟ", "m": "ᴍ", "n": "ɴ", "o": "ᴏᴑꬽ", "p": "ᴘ", "r": "ʀꭇꭈ", "s": "ꜱƽ", "t": "ᴛ", "u": "ᴜꞟꭎꭒ",
    "v": "ᴠ", "w": "ᴡ", "y": "ʏᶌỿꭚ", "z": "ᴢ", "2": "ƧꝚ", "3": "ȜꞫꝪ", "5": "Ƽ", "8": "ȣȢ", "9": "Ꝯ", ":": "ːꓽ",
    ".": "ꓸ",
}  # fmt: skip
_ASCII_LOOKALIKES: Final = {shape: plain for plain, shapes in _CONFUSABLES.items() for shape in shapes}
# Soft_Dotted letters that NFKC leaves: their dot gives way to a mark, so a dot above is not seen.
_SECOND_DOT: Final = re.compile("[ijįɉɨʝϳіјᶖḭị][\u0300-\u036f]*?\u0307")
_OVERLAY: Final = re.compile("[\u0334-\u0338\u20d0-\u20ff\ufe20-\ufe2f]")
_THAI_AM: Final = re.compile("\u0e4d[\u0e48-\u0e4b]?\u0e32|\u0ecd[\u0ec8-\u0ecb]?\u0eb2")
STACKED_MARKS_MAX: Final = 4  # UTS #39, 5.4


@lru_cache(4_096)  # each message names its room
def find_confusable(name: str) -> str:
    """What is wrong with a name in NFC, as half a sentence that says what to do; empty if nothing is."""
    for character in name:
        plain = _ASCII_LOOKALIKES.get(character) or unicodedata.normalize("NFKC", character)
        if plain.isascii() and not character.isascii():
            return f"has the character U+{ord(character):04X}, which looks like {plain}; write {plain}"
    problem = _find_mark_problem(name)
    if problem:
        return problem
    for part in _SEPARATORS.split(name):
        scripts = set(_scripts(part))
        if not _are_compatible(scripts):
            mixed = " and ".join(sorted(script.capitalize() for script in scripts))
            return f"mixes letters of {mixed}, which can be taken for one another; write it in one alphabet"
        digits = {ord(character) - unicodedata.decimal(character) for character in part if character.isdecimal()}
        if len(digits) > 1 or (_LATIN in scripts and digits - {ord("0")}):
            return "has digits of another script beside letters or digits of ASCII; write them as 0 to 9"
    return ""


def case_folded(name: str) -> str:
    """The name with case left out, and ı as i: to compare with names that the service keeps for itself."""
    return name.casefold().replace("ı", "i")


def _find_mark_problem(name: str) -> str:
    """What is wrong with the marks of a name: one that is not seen, or hides its letter, or too many."""
    if name.isascii():
        return ""
    if _SECOND_DOT.search(name):
        return "has a dot above (U+0307) on a letter that has a dot; leave it out"
    overlay = _OVERLAY.search(name)
    if overlay:
        return f"has the mark U+{ord(overlay[0]):04X}, which belongs to no alphabet; leave it out"
    if _THAI_AM.search(name):
        return "has U+0E4D and U+0E32 or their like in Lao, which look like ำ; write ำ"
    for is_mark, run in groupby(name, lambda character: unicodedata.category(character) == "Mn"):
        marks = list(run) if is_mark else []
        if len(marks) > STACKED_MARKS_MAX or any(one == other for one, other in pairwise(marks)):
            return f"has a mark twice or more than {STACKED_MARKS_MAX} marks on one letter; leave some out"
    return ""


def _scripts(part: str) -> Iterator[str]:
    """The script of each letter: the first word of its name in Unicode, CJK for Han."""
    for character in part:
        if unicodedata.category(character) in _LETTERS:
            first, *rest = unicodedata.name(character, "?").split()
            yield rest[0] if first in _WIDTHS and rest else first


def _are_compatible(scripts: set[str]) -> bool:
    if len(scripts) <= 1 or any(scripts <= together for together in _COMPATIBLE_SCRIPTS):
        return True
    return len(scripts) == 2 and _LATIN in scripts and scripts.isdisjoint(_LATIN_LOOKALIKES)
