"""What Unicode says of characters, as far as rules and the search index need it: combining marks, blanks, directions.

Every function here takes time that grows with the length of its text and no faster, whatever the text is. That is not
so of `unicodedata.normalize`: it sorts the combining marks behind one letter by insertion, n²/4 steps for n marks. So
`find_excess_marks` or `limit_marks` comes before each normalisation of text from outside.
"""

import re
import unicodedata
from functools import cache
from itertools import takewhile
from typing import Final

# UAX #15, section 13 (Stream-Safe Text Format): so many in a row are more than any language needs. Dictionaries of
# Tibetan and Vedic Sanskrit stay below 10; what goes beyond is decoration that covers the lines above and below.
COMBINING_MARKS_MAX: Final = 30
# No character is decomposed into more marks than these, in front of its letter and behind it.
LEADING_MARKS_MAX: Final = 2
TRAILING_MARKS_MAX: Final = 3
# So many characters of `_combining_marks()` in a row cannot be too many marks: 13.
_SAFE_RUN_CHARS: Final = (COMBINING_MARKS_MAX - TRAILING_MARKS_MAX) // LEADING_MARKS_MAX

# Default_Ignorable_Code_Point: nothing is drawn for them. Unicode promises not to move this set.
IGNORABLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Spaces, and what is drawn as one: annotation marks, the empty Braille pattern, fillers, an empty notehead, blanks.
BLANK: Final = IGNORABLE + r"\s\x00-\x1f\x7f-\x9f\u2800\ufff9-\ufffb\U00013430-\U00013442\U00016fe4\U0001d159"
_find_visible: Final = re.compile(f"[^{BLANK}]").search

# UAX #9: embeddings and overrides end with POP_DIRECTION, isolates with POP_ISOLATE.
EMBEDDINGS: Final = "\u202a\u202b"
OVERRIDES: Final = "\u202d\u202e"
ISOLATES: Final = "\u2066\u2067\u2068"
POP_DIRECTION: Final = "\u202c"
POP_ISOLATE: Final = "\u2069"
# What ends a paragraph, and with it all directions (bidirectional class B), as far as a text may have it.
_PARAGRAPH_ENDS: Final = re.compile("([\n\u2029])")
OVERRIDE: Final = re.compile(f"[{OVERRIDES}]")
_DIRECTION_CONTROL: Final = re.compile(f"([{EMBEDDINGS}{OVERRIDES}{ISOLATES}{POP_DIRECTION}{POP_ISOLATE}])")


def find_excess_marks(text: str) -> int:
    """Where more than COMBINING_MARKS_MAX combining marks begin that follow one another; -1 if there is no such place.

    Counted as UAX #15-D3 counts: in the compatibility decomposition, with the marks that the letter itself has. Only
    every 14th character is looked at: a run that is too long has one of these in it.
    """
    marks = _combining_marks()
    if marks.isdisjoint(text[_SAFE_RUN_CHARS :: _SAFE_RUN_CHARS + 1]):
        return -1
    for index in range(_SAFE_RUN_CHARS, len(text), _SAFE_RUN_CHARS + 1):
        if text[index] in marks:
            start = end = index
            while start and index - start <= _SAFE_RUN_CHARS and text[start - 1] in marks:
                start -= 1
            while end < len(text) and end - start <= COMBINING_MARKS_MAX and text[end] in marks:
                end += 1
            if (
                end - start > _SAFE_RUN_CHARS
                and _count_trailing_marks(text[max(0, start - 1) : end]) > COMBINING_MARKS_MAX
            ):
                return start
    return -1


def limit_marks(text: str) -> str:
    """The text without the marks that are too many in a row: for an index, which must not refuse what was stored."""
    if find_excess_marks(text) < 0:
        return text
    marks = "".join(_combining_marks())
    return re.sub(f"([{marks}]{{{COMBINING_MARKS_MAX}}})[{marks}]+", r"\1", text)


def is_blank(text: str) -> bool:
    """Whether a reader would see an empty text."""
    if text.isascii():  # control characters aside, which no text may have
        return not text or text.isspace()
    return _find_visible(text) is None


def balance_directions(text: str) -> str:
    """The text with each line's embeddings, overrides and isolates ended in that line, and no end without a beginning.

    A line looks as before: Unicode ends them there by itself. But now it does so too where the text becomes a part of
    another line.
    """
    if _DIRECTION_CONTROL.search(text) is None:
        return text
    return "".join(map(_balance_line, _PARAGRAPH_ENDS.split(text)))


def _balance_line(line: str) -> str:
    parts: list[str] = []
    open_ends: list[str] = []  # what ends those that are open, innermost last
    isolates = 0
    for index, part in enumerate(_DIRECTION_CONTROL.split(line)):
        if index % 2 == 0:
            parts.append(part)
        elif part == POP_DIRECTION:
            if open_ends and open_ends[-1] == POP_DIRECTION:
                parts.append(open_ends.pop())
        elif part == POP_ISOLATE:
            if isolates:
                isolates -= 1
                while (end := open_ends.pop()) != POP_ISOLATE:
                    parts.append(end)
                parts.append(POP_ISOLATE)
        else:
            isolates += part in ISOLATES
            open_ends.append(POP_ISOLATE if part in ISOLATES else POP_DIRECTION)
            parts.append(part)
    return "".join([*parts, *reversed(open_ends)])


@cache
def _combining_marks() -> frozenset[str]:
    """All characters whose decomposition begins with a combining mark: they go on with a run of marks.

    Those with a class of their own, and five whose decomposition alone has one. 5 ms, at the first text that needs it;
    above U+1FFFF there are none.
    """
    return frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f").union(
        filter(unicodedata.combining, map(chr, range(0x300, 0x20000)))
    )


def _count_trailing_marks(text: str) -> int:
    """With how many marks a text of a few characters ends."""
    decomposed = unicodedata.normalize("NFKD", text)
    return sum(1 for _ in takewhile(unicodedata.combining, reversed(decomposed)))
