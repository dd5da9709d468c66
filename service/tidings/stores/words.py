"""What a word is: how a text is cut up for the index, and what a query asks for.

An index knows tokens and their order. Scripts that put spaces between words give words. Scripts that do not (Chinese,
Japanese, Thai, Lao, Khmer, Burmese; Korean too, whose words grow endings) give *runs*, and a run becomes its
overlapping pairs of characters and, once more, its last character alone:

    天気予報 → 天気 気予 予報 報

so that a query finds every substring: two and more characters as neighbouring pairs (天気予 = 天気 + 気予), one as the
beginning of a pair, or the last one by itself. Each emoji is a token, whatever stands around it.

Before that, letters lose what people leave out when they search: case, width, accents, Arabic and Hebrew vowel points.
Accents are kept where they make another letter (й, ї, が, and the vowel signs of India's scripts).

The rule to keep: a query is cut up by the same functions as a text. Both come out as ASCII words and characters beyond
ASCII, between single spaces, which is exactly what the index's `ascii` tokenizer splits again.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from tidings.contract.errors import invalid_argument
from tidings.domain.characters import bounded

TOKEN_CHARS_MAX = 64  # what goes on longer is no word; it is found by its beginning
# Into how many characters those of a text are taken apart, on average: those of Hangul into three. A ligature of Arabic
# has 18, and a message full of it would cost the index as much as 18 messages.
PARTS_MAX = 3
# Words of one query; two characters of a run count as one. Each is a list to be walked through for every message that
# has it: 26 letters took 0.3 seconds where many messages had them all.
QUERY_WORDS_MAX = 12
LETTERS_CACHED_MAX = 20_000  # more characters than any two languages use

_RUN = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u1780-\u17ff"  # Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b"  # radicals, iteration mark, numerals
    "\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # kana
    "\u3105-\u312f\u31a0-\u31bf"  # Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff"  # Han, Yi
    "\U00016fe0-\U00018fff\U0001aff0-\U0001b2ff"  # Tangut, Khitan, kana extensions
    "\U00020000-\U0003ffff"  # Han extensions, those that are still to come included
)
_EMOJI = "\u00a9\u00ae\u203c\u2049\u2190-\u2bff\u3030\u303d\U0001f000-\U0001f3fa\U0001f400-\U0001ffff"

_RUN_CHAR = re.compile(f"[{_RUN}]")
_EMOJI_CHAR = re.compile(f"[{_EMOJI}]")
_PIECE = re.compile(f"[{_RUN}]+|[{_EMOJI}]|[^ {_RUN}{_EMOJI}]+")
_ASCII_WORD = re.compile("[0-9a-z]+")
_SILENT = re.compile(
    # Latin and Greek accents anywhere, but not on Cyrillic letters: there only the stress mark, and the dots of ё.
    "(?<![\u0400-\u052f])[\u0300-\u036f]|\u0301|(?<=\u0435)\u0308|[\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
    "|[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]"  # Hebrew points
    "|[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]"  # Arabic points
    "|[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"  # invisible joiners and directions
    "|[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0000-\U000e01ef]"  # variants of one character
)


class _Letters(dict[int, str]):
    """A table for `str.translate`: letters, digits and marks stay, emoji stand alone, everything else is a space."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if _EMOJI_CHAR.match(char):
            kept = f" {char} "
        elif _RUN_CHAR.match(char) or unicodedata.category(char)[0] in "LNM":
            kept = char
        else:
            kept = " "
        if len(self) >= LETTERS_CACHED_MAX:
            self.clear()
        self[code] = kept
        return kept


_LETTERS = _Letters()


def tokens(text: str) -> list[str]:
    """The tokens of a text, in order."""
    if text.isascii():
        return [word[:TOKEN_CHARS_MAX] for word in _ASCII_WORD.findall(text.lower())]
    return [token for piece in _pieces(text) for token in _tokens_of(piece)]


def _pieces(text: str) -> list[str]:
    """Words, runs and emoji, in order."""
    bare = unicodedata.normalize("NFKD", bounded(text))[: PARTS_MAX * len(text) + TOKEN_CHARS_MAX]
    bare = unicodedata.normalize("NFKD", bare.casefold())
    # What is silent may have kept marks apart, so they are counted again.
    bare = unicodedata.normalize("NFC", bounded(_SILENT.sub("", bare)))
    return _PIECE.findall(bare.translate(_LETTERS))


def _tokens_of(piece: str) -> list[str]:
    if _RUN_CHAR.match(piece):
        return [piece[place : place + 2] for place in range(len(piece))]
    return [piece[:TOKEN_CHARS_MAX]]


class Phrase(NamedTuple):
    """Tokens that follow one another. `unfinished`: the last of them is only the beginning of one."""

    tokens: tuple[str, ...]
    unfinished: bool


def phrases(query: str) -> list[Phrase]:
    """What a query asks for: every phrase must occur. Empty when there is no word in it.

    Words that stand in double quotes follow one another; outside of quotes each word is a phrase. The last word may be
    unfinished unless a quote closes behind it. INVALID_ARGUMENT for more than QUERY_WORDS_MAX words.
    """
    parts = re.split('["“”„]', query)
    found: list[Phrase] = []
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if place % 2:
            found += _phrase(part, unfinished=last)
        else:
            words = part.split()
            for number, word in enumerate(words, 1):
                found += _phrase(word, unfinished=last and number == len(words))
    _check_words(found)
    return found


def _check_words(wanted: Sequence[Phrase]) -> None:
    words = [token for phrase in wanted for token in phrase.tokens]
    weight = len(words) - sum(1 for token in words if _RUN_CHAR.match(token)) / 2
    if weight > QUERY_WORDS_MAX:
        raise invalid_argument(
            f"query has more than {QUERY_WORDS_MAX} words (two characters of a script without spaces count as one); "
            "leave some out"
        )


def _phrase(text: str, *, unfinished: bool) -> list[Phrase]:
    """One phrase, or none when the text has no token."""
    if text.isascii():
        found = tokens(text)
        return [Phrase(tuple(found), unfinished)] if found else []
    pieces = _pieces(text)
    if not pieces:
        return []
    found = [token for piece in pieces[:-1] for token in _tokens_of(piece)]
    end = _tokens_of(pieces[-1])
    if not _RUN_CHAR.match(end[0]):
        return [Phrase((*found, *end), unfinished and not _EMOJI_CHAR.match(end[0]))]
    # The text may go on behind this run, so the last character's own token is asked for only where it is all there is:
    # as the beginning of a pair.
    return [Phrase((*found, *end[:-1]), False) if len(end) > 1 else Phrase((*found, *end), True)]


def matches(wanted: Sequence[Phrase], text: Sequence[str]) -> bool:
    """Whether a text's tokens hold all the phrases: what the index does, said plainly."""
    return all(_holds(text, phrase) for phrase in wanted)


def _holds(text: Sequence[str], phrase: Phrase) -> bool:
    *whole, end = phrase.tokens
    for start in range(len(text) - len(whole)):
        if list(text[start : start + len(whole)]) == whole:
            candidate = text[start + len(whole)]
            if candidate == end or (phrase.unfinished and candidate.startswith(end)):
                return True
    return False
