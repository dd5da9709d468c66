"""What may be a reaction, and that each emoji has one form."""

import unicodedata

import pytest

from domain.harness import raises_error
from tidings.contract.errors import Code
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.validation.emoji import equivalent_forms
from tidings.domain.validation.validator import Validator

RULES = Validator(DomainLimits())


@pytest.mark.parametrize(
    ("same", "kept"),
    [
        (["❤", "❤\ufe0f", "❤\ufe0e", " ❤", "❤ "], "❤\ufe0f"),
        (["👍", "👍 ", "\u00a0👍\u3000", "👍\ufe0f"], "👍"),
        (["1\u20e3", "1\ufe0f\u20e3"], "1\ufe0f\u20e3"),
        (["thank you", " thank  you "], "thank you"),
        (["cafe\u0301", "caf\u00e9"], "caf\u00e9"),
        (["e\ufe0f\u0301"], "\u00e9"),
        (["↔\ufe0f\u0338"], "\u21ae"),
    ],
)
def test_what_looks_alike_counts_together(same: list[str], kept: str) -> None:
    assert {RULES.emoji(text) for text in same} == {kept}
    assert RULES.emoji(kept) == kept


@pytest.mark.parametrize(
    "word", [":+1:", ":shipit:", "ok", "+1", "1", "好", "спасибо", "می\u200cخواهم", "क्\u200dष", "😀😀", "🏻", "🇩"]
)
def test_a_reaction_may_be_a_word(word: str) -> None:
    assert RULES.emoji(word) == unicodedata.normalize("NFC", word)


@pytest.mark.parametrize(
    "blank", ["", " ", "\u00a0", "\u200b", "\u2800", "\u3164", "\u202e", "\ufe0f", "\u200d", "\u2060", "\U000e0061"]
)
def test_a_reaction_that_shows_nothing_is_refused(blank: str) -> None:
    with raises_error(Code.INVALID_ARGUMENT, "emoji is blank; send 1 to 64 bytes that can be seen"):
        RULES.emoji(blank)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("👍\u200b", "U+200B"),
        ("👍\u2800", "U+2800"),
        ("\u202e👍", "U+202E"),
        ("ok\u2067\u2069", "U+2067"),
        ("o\u200ck", "U+200C"),
        ("👍\u200d", "U+200D"),
        ("👍\u200d\u200d👍", "U+200D"),
        ("👍\U000e0061", "U+E0061"),
        ("o\u00adk", "U+00AD"),
        ("\u6f22\ufe00", "U+FE00"),
        ("\u3164a", "U+3164"),
    ],
)
def test_a_reaction_has_nothing_in_it_that_cannot_be_seen(text: str, sign: str) -> None:
    with raises_error(
        Code.INVALID_ARGUMENT, f"emoji has the character {sign} in it, which cannot be seen; leave it out"
    ):
        RULES.emoji(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x" * 65, "longer than 64 bytes"),
        ("❤" * 21, "longer than 64 bytes"),  # 63 bytes until the styles are added
        ("a\nb", "U+000A"),
        ("\x07", "U+0007"),
        ("\u20e3", "begins with the combining mark U+20E3"),
        ("\u0301a", "begins with the combining mark U+0301"),
    ],
)
def test_a_reaction_that_is_long_or_no_sign_is_refused(text: str, words: str) -> None:
    with raises_error(Code.INVALID_ARGUMENT, words):
        RULES.emoji(text)


def test_a_reaction_from_before_is_known_by_the_forms_it_was_kept_in() -> None:
    assert equivalent_forms("❤\ufe0f", ["👍", "❤"]) == ["❤"]
    assert equivalent_forms("❤\ufe0f", ["❤", "❤\ufe0f"]) == ["❤\ufe0f", "❤"]
    assert equivalent_forms("❤\ufe0f", []) == []
    assert equivalent_forms("ok", ["OK", "ok"]) == ["ok"]
