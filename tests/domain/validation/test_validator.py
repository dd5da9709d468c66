"""What a name, a text, a reaction may look like."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.harness import raises_error
from tidings.contract.errors import ApiError, Code
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.validation.characters import balance_directions
from tidings.domain.validation.validator import SEQ_MAX, Validator

RULES = Validator(DomainLimits())
INVALID = Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "name", ["a", "general", "direct:a:b", "Ann.O-x_1@host:5", "x" * 64, "žluť", "Ελλάδα", "群聊", "العربية"]
)
def test_a_name_is_letters_of_any_alphabet_digits_and_a_few_signs(name: str) -> None:
    assert RULES.room(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("name", ["हिन्दी", "ภาษาไทย", "தமிழ்", "بِسْمِ"])
def test_a_name_keeps_the_marks_that_its_letters_need(name: str) -> None:
    assert RULES.user(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "name", ["a b", "a/b", "a\n", "a\x00", "<b>", "a!", "😀", "a\u200bb", "a\u202eb", "½", "\u0301a", "a,b"]
)
def test_a_name_with_anything_else_is_refused(name: str) -> None:
    with raises_error(INVALID, "use letters, digits"):
        RULES.room(name)


def test_a_name_is_composed_so_that_what_looks_alike_is_the_same() -> None:
    assert RULES.room("cafe\u0301") == "caf\u00e9"


@pytest.mark.parametrize("sign", ["\u034f", "\u115f", "\u1160", "\u180b", "\u3164", "\ufe0f", "\uffa0", "\U000e0100"])
def test_a_name_has_no_invisible_letter(sign: str) -> None:
    with raises_error(INVALID, "a character that no name may have"):
        RULES.room(f"general{sign}")


@pytest.mark.parametrize("name", ["", "x" * 65, "é" * 33, "群" * 22])
def test_a_name_has_1_to_64_bytes(name: str) -> None:
    with raises_error(INVALID, "64"):
        RULES.user(name)


def test_64_bytes_are_counted_after_composing() -> None:
    assert len(RULES.user("e\u0301" * 32).encode()) == 64


@pytest.mark.parametrize("key", ["", "x" * 65, "a\nb", "a\x00", "\u200b"])
def test_a_client_id_has_1_to_64_printable_characters(key: str) -> None:
    with raises_error(INVALID, "client_id"):
        RULES.client_id(key)


@pytest.mark.parametrize("key", ["1", "x" * 64, "键" * 64, "a b", "0b5f-…"])
def test_a_client_id_may_be_any_printable_characters(key: str) -> None:
    assert RULES.client_id(key) == key


def test_a_text_is_composed_and_its_line_ends_are_line_feeds() -> None:
    assert RULES.text("cafe\u0301\r\nbar\tbaz\n") == "caf\u00e9\nbar\tbaz\n"


@pytest.mark.parametrize("text", ["", "x" * 65_537, "é" * 32_769, "e\u0301" * 32_769, "x" * 1_000_000, "é" * 1_000_000])
def test_a_text_has_1_to_65536_bytes(text: str) -> None:
    with raises_error(INVALID, "65536"):
        RULES.text(text)


@pytest.mark.parametrize("text", ["x" * 65_536, "é" * 32_768, "e\u0301" * 32_768, ".", "\n.\n"])
def test_a_text_of_just_the_right_size_is_taken(text: str) -> None:
    assert 1 <= len(RULES.text(text).encode()) <= 65_536


@pytest.mark.parametrize("sign", ["\x00", "\x07", "\x1b", "\r", "\x7f", "\x85", "\x9f", "\x0b"])
def test_control_characters_in_a_text_are_refused(sign: str) -> None:
    with raises_error(INVALID, f"U+{ord(sign):04X}"):
        RULES.text(f"a{sign}b")


def test_half_a_surrogate_pair_is_refused() -> None:
    with raises_error(INVALID, "surrogate"):
        RULES.text("a\ud800")


NOTHING = [
    "",
    " ",
    "\n",
    "\u00a0",
    "\u3000",
    "\u200b",
    "\u2800",
    "\u3164",
    "\u2060\ufeff",
    "\ufe0f",
    "\u00ad \u115f\uffa0",
    "\u202e",
]


@pytest.mark.parametrize("text", NOTHING)
def test_a_text_that_shows_nothing_is_refused_as_an_empty_one_is(text: str) -> None:
    with raises_error(INVALID, "text shows nothing; write 1 to 65536 bytes that can be seen"):
        RULES.text(text)


@pytest.mark.parametrize("text", [text for text in NOTHING if text not in ("", "\n")])
@pytest.mark.parametrize("rule", [RULES.title, RULES.status_text])
def test_titles_and_status_texts_are_empty_or_show_something(rule: Callable[[str], str], text: str) -> None:
    with raises_error(INVALID, "shows nothing"):
        rule(text)


@pytest.mark.parametrize("text", [text for text in NOTHING if text != "\n"])
def test_a_query_that_shows_nothing_is_refused(text: str) -> None:
    with raises_error(INVALID, "query is empty"):
        RULES.query(text)


@pytest.mark.parametrize("text", ["a\u200bb", "\u0627\u200c\u0628", "👩\u200d🚀", "שלום\u200f!", "\u2800x", "tab\tend"])
def test_what_cannot_be_seen_may_stand_in_a_text_that_shows_something(text: str) -> None:
    assert RULES.text(text) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a \u2067שלום\u2069 b", "a \u2067שלום\u2069 b"),
        ("\u202d+1 234\u202c", "\u202d+1 234\u202c"),  # a telephone number as phones copy it
        ("\u202bשלום", "\u202bשלום\u202c"),
        ("a\u202egnp.exe\nb", "a\u202egnp.exe\u202c\nb"),
        ("a\u2066b\u202ac", "a\u2066b\u202ac\u202c\u2069"),
        ("a\u2066b\u202ac\u2069d", "a\u2066b\u202ac\u202c\u2069d"),
        ("a\u202eb\u2029c", "a\u202eb\u202c\u2029c"),
        ("a\u202cb\u2069c", "abc"),
        ("a\u2067b\u202cc\u2069", "a\u2067bc\u2069"),
    ],
)
def test_directions_in_a_text_end_in_their_line(text: str, kept: str) -> None:
    assert RULES.text(text) == kept
    assert RULES.text(kept) == kept


def test_a_text_is_measured_once_more_when_its_directions_were_ended() -> None:
    with raises_error(INVALID, "longer than 65536 bytes"):
        RULES.text("\u202e" + "x" * 65_533)


@pytest.mark.parametrize("rule", [RULES.title, RULES.status_text])
def test_a_line_beside_others_is_not_turned_around(rule: Callable[[str], str]) -> None:
    assert rule("a \u2067שלום\u2069 b") == "a \u2067שלום\u2069 b"
    assert rule("فارسی\u200cها \u200f!") == "فارسی\u200cها \u200f!"
    for wrong in ("a\u202eb", "a\u202db\u202c"):
        with raises_error(INVALID, "direction override U+202"):
            rule(wrong)
    for wrong in ("a\u2067b", "a\u2069", "\u202ba", "a\u202c"):
        with raises_error(INVALID, "without its other half"):
            rule(wrong)


@given(st.text(st.sampled_from("a\n\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")))
def test_ended_directions_are_all_in_pairs_and_nothing_else_changes(text: str) -> None:
    kept = balance_directions(text)
    assert balance_directions(kept) == kept
    assert kept.replace("\u202c", "").replace("\u2069", "") == text.replace("\u202c", "").replace("\u2069", "")
    for line in kept.split("\n"):
        assert sum(map(line.count, "\u202a\u202b\u202d\u202e")) == line.count("\u202c")
        assert sum(map(line.count, "\u2066\u2067\u2068")) == line.count("\u2069")


@pytest.mark.parametrize("rule", [RULES.title, RULES.status_text])
def test_titles_and_status_texts_are_one_line_of_up_to_256_bytes_and_may_be_empty(rule: object) -> None:
    assert callable(rule)
    assert rule("") == ""
    assert rule("ü" * 128) == "ü" * 128
    for wrong in ("ü" * 129, "two\nlines", "tab\t"):
        with raises_error(INVALID):
            rule(wrong)


def test_a_query_has_words_in_it() -> None:
    assert RULES.query("hello wor") == "hello wor"
    for wrong in ("", "   ", "x" * 257):
        with raises_error(INVALID, "query"):
            RULES.query(wrong)


def test_a_target_is_a_seq() -> None:
    assert RULES.target(1) == 1
    for wrong in (0, SEQ_MAX + 1):
        with raises_error(INVALID, "target"):
            RULES.target(wrong)


def test_a_limit_of_0_is_the_default_and_too_large_a_one_is_refused() -> None:
    assert [RULES.limit(asked, "page_events") for asked in (0, 1, 1000)] == [50, 1, 1000]
    for what in ("page_events", "list_items"):
        with raises_error(INVALID, f"limit is 1001, at most 1000 are given at once ({what}_max)"):
            RULES.limit(1001, what)


@pytest.mark.parametrize(
    ("rule", "bytes_max", "setting"),
    [
        (RULES.room, 64, "id_bytes_max"),
        (RULES.user, 64, "id_bytes_max"),
        (RULES.text, 65_536, "text_bytes_max"),
        (RULES.emoji, 64, "emoji_bytes_max"),
        (RULES.title, 256, "title_bytes_max"),
        (RULES.status_text, 256, "status_text_bytes_max"),
        (RULES.query, 256, "query_bytes_max"),
        (RULES.client_id, 64, "client_id_chars_max"),
    ],
)
def test_what_is_too_long_is_told_the_setting_of_its_limit(
    rule: Callable[[str], str], bytes_max: int, setting: str
) -> None:
    for long in ("a" * (bytes_max + 1), "é" * (bytes_max + 1)):
        with raises_error(INVALID, setting):
            rule(long)


@given(st.text())
def test_what_a_rule_returns_it_returns_again(text: str) -> None:
    for rule in (RULES.room, RULES.text, RULES.emoji, RULES.title):
        try:
            once = rule(text)
        except ApiError:
            continue
        assert rule(once) == once
