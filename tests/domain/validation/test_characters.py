"""Marks in a row, texts that show nothing, directions that are not ended."""

import contextlib
import unicodedata
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.harness import raises_error
from tidings.contract.errors import ApiError, Code
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.validation import characters, validator
from tidings.domain.validation.characters import COMBINING_MARKS_MAX, find_excess_marks, limit_marks
from tidings.domain.validation.validator import Validator
from tidings.stores import tokenizer

RULES = Validator(DomainLimits())
ALL = [chr(code) for code in range(0x110000)]
# Different classes, so that a normalisation has to sort them; CGJ and the zero width space have none.
MARKS = "\u0301\u0323\u302a\u3099\u0344\u0f73\u05b0\u0651"
mixed_texts = st.text(st.sampled_from(MARKS + "ae\u00e9\u1f82\uac00\u1161\u034f\u200b\uff9e\u0435"), max_size=200)


def longest_run(text: str) -> int:
    """As UAX #15-D3 defines it."""
    longest = length = 0
    for character in unicodedata.normalize("NFKD", text):
        length = length + 1 if unicodedata.combining(character) else 0
        longest = max(longest, length)
    return longest


def test_what_is_said_of_marks_holds_for_every_character_of_unicode() -> None:
    decomposed = {character: unicodedata.normalize("NFKD", character) for character in ALL}
    begins = {character for character, parts in decomposed.items() if unicodedata.combining(parts[0])}
    assert begins == characters._combining_marks()
    leading = max(len(list(takewhile(unicodedata.combining, parts))) for parts in decomposed.values())
    trailing = max(len(list(takewhile(unicodedata.combining, reversed(parts)))) for parts in decomposed.values())
    assert (leading, trailing) == (characters.LEADING_MARKS_MAX, characters.TRAILING_MARKS_MAX)


def test_composing_makes_no_character_more_than_three_times_as_short() -> None:
    for character in ALL:
        parts = unicodedata.normalize("NFD", character)
        if not 0xD800 <= ord(character) < 0xE000 and unicodedata.normalize("NFC", parts) == character:
            assert len(parts.encode()) <= validator.NFC_SHRINK_FACTOR_MAX * len(character.encode())


@given(mixed_texts)
def test_marks_are_counted_as_the_stream_safe_format_counts_them(text: str) -> None:
    assert (find_excess_marks(text) >= 0) == (longest_run(text) > COMBINING_MARKS_MAX)


@pytest.mark.parametrize(
    "text",
    [
        "a" + "\u0301" * 30,
        "e\u0301" * 1000,
        "\u00e9" + "\u0323" * 29,  # é has one mark of its own
        "\u1f82" + "\u0323" * 27,  # ᾂ has three
        "a" + "\u0344" * 15,  # each is two
        "\u1100" + "\u1161" * 100,  # vowels of Hangul are no combining marks
        ("a" + "\u0301" * 30 + "\u034f" + "\u0323" * 30) * 10,  # CGJ begins a new run
        "བསྒྲུབས་ ཧཱུྂ",
        "Thuyê\u0309n Nguyê\u0303n",
        "ที่นี่ น้ำ",
        "Z\u0351\u0343\u034c\u0310a\u0328\u0321\u031bl\u0334g\u0321o\u0322",
    ],
)
def test_texts_of_real_languages_have_few_enough_marks(text: str) -> None:
    assert find_excess_marks(text) == -1
    assert RULES.text(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("a" + "\u0301" * 31, 2),
        ("\u00e9" + "\u0323" * 30, 2),
        ("\u1f82" + "\u0323" * 28, 2),
        ("a" + "\u0344" * 16, 2),
        ("\uff76" + "\uff9e" * 31, 2),  # voiced marks of half width
        ("\u0301" * 31, 1),
        ("x" * 1000 + "\u0323" * 31 + "y" * 1000, 1001),
    ],
)
def test_more_than_30_marks_in_a_row_are_refused_with_their_place(text: str, character: int) -> None:
    with raises_error(
        Code.INVALID_ARGUMENT, f"more than 30 combining marks on one letter, from character {character} on"
    ):
        RULES.text(text)


def normalized_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is handed to `unicodedata.normalize` from now on."""
    seen: list[str] = []
    normalize = unicodedata.normalize

    def record(form: Any, text: str) -> str:
        seen.append(text)
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", record)
    return seen


ATTACKS = [
    "a" + "\u0301" * 10_000 + "\u0323" * 10_000,
    "\u0301\u0323" * 10_000,
    "\u0344" * 10_000 + "\u0323" * 10_000,
    "\uff9e" * 10_000 + "\u0323" * 10_000,
    "\u0f73" * 10_000,
    ("\u302a" * 30 + "\u200b" + "\u3099" * 30 + "\u200b") * 300,  # apart until what is silent is left out
    ("\u302a" * 30 + "\u034f" + "\u3099" * 30 + "\ufe0f") * 300,
]


def longest_run_in(texts: list[str]) -> int:
    """How many marks follow one another at most; counted without sorting them."""
    marks = characters._combining_marks()
    longest = 0
    for text in texts:
        length = 0
        for character in text:
            length = length + 1 if character in marks else 0
            longest = max(longest, length)
    return longest


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("rule", ["text", "title", "status_text", "query", "emoji", "room", "user"])
def test_no_rule_hands_more_marks_in_a_row_to_a_normalisation(
    monkeypatch: pytest.MonkeyPatch, rule: str, text: str
) -> None:
    limits = DomainLimits(
        title_bytes_max=65_536, status_text_bytes_max=65_536, query_bytes_max=65_536, emoji_bytes_max=65_536
    )
    seen = normalized_texts(monkeypatch)
    with contextlib.suppress(ApiError):
        getattr(Validator(limits), rule)(text)
    assert longest_run_in(seen) <= COMBINING_MARKS_MAX + characters.LEADING_MARKS_MAX


@pytest.mark.parametrize("text", ATTACKS)
def test_the_index_normalises_what_was_stored_with_at_most_so_many_marks_in_a_row(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    seen = normalized_texts(monkeypatch)
    tokenizer.tokenize(text)
    with contextlib.suppress(ApiError):  # of too many words
        tokenizer.parse_query(text)
    assert longest_run_in(seen) <= 2 * COMBINING_MARKS_MAX + characters.TRAILING_MARKS_MAX  # of which one may be two


def test_a_text_is_measured_before_it_is_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = normalized_texts(monkeypatch)
    with raises_error(Code.INVALID_ARGUMENT, "65536 bytes"):
        RULES.text("\u00e9" * (3 * 32_768 + 1))
    assert seen == []


@given(mixed_texts)
def test_the_index_leaves_out_marks_that_are_too_many_and_nothing_else(text: str) -> None:
    assert longest_run(limit_marks(text)) <= 2 * COMBINING_MARKS_MAX + characters.TRAILING_MARKS_MAX
    if longest_run(text) <= COMBINING_MARKS_MAX:
        assert limit_marks(text) == text
    assert limit_marks("a" + "\u0301" * 100 + "b") == "a" + "\u0301" * 30 + "b"
