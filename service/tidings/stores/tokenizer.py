"""The rules of words: how a text is split into tokens for the index, and a query into phrases.

An index holds tokens and their order. Text of scripts with spaces between words is split into words. Text of scripts
without (Chinese, Japanese, Thai, Lao, Khmer, Burmese; and Korean, whose words take endings) is split into *runs*, and a
run into its overlapping pairs of characters and its last character:

    天気予報 → 天気 気予 予報 報

so a query finds every substring: two or more characters as consecutive pairs (天気予 = 天気 + 気予), one character as a
prefix of a pair, or as the last token. Each emoji is a token of its own.

Before that, text is folded: case, width, accents, and Arabic and Hebrew vowel points are removed. Accents that make
another letter are kept (й, ї, が, and the vowel signs of Indian scripts).

Invariant: a query is split by the same functions as a text. The result has ASCII words and characters beyond ASCII,
separated by single spaces, which is what the index's `ascii` tokenizer splits again.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from tidings.contract.errors import invalid_argument
from tidings.domain.validation.characters import limit_marks

TOKEN_CHARS_MAX = 64  # a longer word is cut, and found by its beginning
# The most characters that one character of a text may decompose into, on average: Hangul has three. An Arabic ligature
# has 18, and a message full of it would cost the index as much as 18 messages.
EXPANSION_MAX = 3
# Words of one query; two characters of a run count as one. Each costs a scan of the messages that have it: 26 letters
# took 0.3 seconds where many messages had them all.
QUERY_WORDS_MAX = 12
CHARACTERS_CACHED_MAX = 20_000  # more characters than any two languages use

_UNSPACED_SCRIPTS = (
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

_UNSPACED_CHAR = re.compile(f"[{_UNSPACED_SCRIPTS}]")
_EMOJI_PATTERN = re.compile(f"[{_EMOJI}]")
_SEGMENT = re.compile(f"[{_UNSPACED_SCRIPTS}]+|[{_EMOJI}]|[^ {_UNSPACED_SCRIPTS}{_EMOJI}]+")
_ASCII_WORD = re.compile("[0-9a-z]+")
_IGNORED_MARKS = re.compile(
    # Latin and Greek accents anywhere, but not on Cyrillic letters: there only the stress mark, and the dots of ё.
    "(?<![\u0400-\u052f])[\u0300-\u036f]|\u0301|(?<=\u0435)\u0308|[\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
    "|[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]"  # Hebrew points
    "|[\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]"  # Arabic points
    "|[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"  # invisible joiners and directions
    "|[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0000-\U000e01ef]"  # variants of one character
)


class _CharacterMap(dict[int, str]):
    """A table for `str.translate`: letters, digits and marks stay, emoji stand alone, everything else is a space."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if _EMOJI_PATTERN.match(char):
            kept = f" {char} "
        elif _UNSPACED_CHAR.match(char) or unicodedata.category(char)[0] in "LNM":
            kept = char
        else:
            kept = " "
        if len(self) >= CHARACTERS_CACHED_MAX:
            self.clear()
        self[code] = kept
        return kept


_CHARACTER_MAP = _CharacterMap()


def tokenize(text: str) -> list[str]:
    """The tokens of a text, in order."""
    if text.isascii():
        return [word[:TOKEN_CHARS_MAX] for word in _ASCII_WORD.findall(text.lower())]
    return [token for piece in _segments(text) for token in _segment_tokens(piece)]


def _segments(text: str) -> list[str]:
    """Words, runs and emoji, in order."""
    normalized = unicodedata.normalize("NFKD", limit_marks(text))[: EXPANSION_MAX * len(text) + TOKEN_CHARS_MAX]
    normalized = unicodedata.normalize("NFKD", normalized.casefold())
    # What is silent may have kept marks apart, so they are counted again.
    normalized = unicodedata.normalize("NFC", limit_marks(_IGNORED_MARKS.sub("", normalized)))
    return _SEGMENT.findall(normalized.translate(_CHARACTER_MAP))


def _segment_tokens(segment: str) -> list[str]:
    if _UNSPACED_CHAR.match(segment):
        return [segment[index : index + 2] for index in range(len(segment))]
    return [segment[:TOKEN_CHARS_MAX]]


class Phrase(NamedTuple):
    """Tokens that follow one another. `unfinished`: the last of them is only the beginning of one."""

    tokens: tuple[str, ...]
    is_prefix: bool


def parse_query(query: str) -> list[Phrase]:
    """What a query asks for: every phrase must occur. Empty when there is no word in it.

    Words that stand in double quotes follow one another; outside of quotes each word is a phrase. The last word may be
    unfinished unless a quote closes behind it. INVALID_ARGUMENT for more than QUERY_WORDS_MAX words.
    """
    parts = re.split('["“”„]', query)
    found: list[Phrase] = []
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if index % 2:
            found += _parse_phrase(part, is_prefix=last)
        else:
            words = part.split()
            for number, word in enumerate(words, 1):
                found += _parse_phrase(word, is_prefix=last and number == len(words))
    _check_query_length(found)
    return found


def _check_query_length(phrases: Sequence[Phrase]) -> None:
    words = [token for phrase in phrases for token in phrase.tokens]
    weight = len(words) - sum(1 for token in words if _UNSPACED_CHAR.match(token)) / 2
    if weight > QUERY_WORDS_MAX:
        raise invalid_argument(
            f"query has more than {QUERY_WORDS_MAX} words (two characters of a script without spaces count as one); "
            "leave some out"
        )


def _parse_phrase(text: str, *, is_prefix: bool) -> list[Phrase]:
    """One phrase, or none when the text has no token."""
    if text.isascii():
        found = tokenize(text)
        return [Phrase(tuple(found), is_prefix)] if found else []
    segments = _segments(text)
    if not segments:
        return []
    found = [token for segment in segments[:-1] for token in _segment_tokens(segment)]
    end = _segment_tokens(segments[-1])
    if not _UNSPACED_CHAR.match(end[0]):
        return [Phrase((*found, *end), is_prefix and not _EMOJI_PATTERN.match(end[0]))]
    # The text may go on behind this run, so the last character's own token is asked for only where it is all there is:
    # as the beginning of a pair.
    return [Phrase((*found, *end[:-1]), False) if len(end) > 1 else Phrase((*found, *end), True)]


def matches(phrases: Sequence[Phrase], text_tokens: Sequence[str]) -> bool:
    """Whether a text's tokens hold all the phrases: what the index does, said plainly."""
    return all(_contains_phrase(text_tokens, phrase) for phrase in phrases)


def _contains_phrase(text_tokens: Sequence[str], phrase: Phrase) -> bool:
    *complete, last = phrase.tokens
    for start in range(len(text_tokens) - len(complete)):
        if list(text_tokens[start : start + len(complete)]) == complete:
            candidate = text_tokens[start + len(complete)]
            if candidate == last or (phrase.is_prefix and candidate.startswith(last)):
                return True
    return False
