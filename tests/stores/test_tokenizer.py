"""How texts and queries are cut up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.contract.errors import ApiError
from tidings.stores.tokenizer import (
    CHARACTERS_CACHED_MAX,
    EXPANSION_MAX,
    TOKEN_CHARS_MAX,
    Phrase,
    matches,
    parse_query,
    tokenize,
)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("snake_case and 2nd-best", ["snake", "case", "and", "2nd", "best"]),
        ("Ünïcödé Straße", ["unicode", "strasse"]),
        ("天気予報", ["天気", "気予", "予報", "報"]),
        ("天", ["天"]),
        ("天気。予報", ["天気", "気", "予報", "報"]),
        ("iPhone手机2", ["iphone", "手机", "机", "2"]),
        ("ｆｕｌｌ　ｗｉｄｔｈ", ["full", "width"]),
        ("ガ ｶﾞ", ["ガ", "ガ"]),
        ("한국어", ["한국", "국어", "어"]),
        ("ย้าย", ["ย้", "้า", "าย", "ย"]),
        ("مَرْحَبًا", ["مرحبا"]),
        ("שָׁלוֹם", ["שלום"]),
        ("ёж й ї", ["еж", "й", "ї"]),
        ("हिन्दी", ["हिन्दी"]),
        ("👍🏽👍", ["👍", "👍"]),
        ("👨‍👩‍👧", ["👨", "👩", "👧"]),
        ("❤️ok", ["❤", "ok"]),
        ("zero\u200bwidth", ["zerowidth"]),
        ("nul\x00byte", ["nul", "byte"]),
        ("nul\x00bÿte", ["nul", "byte"]),
        ("x" * 100, ["x" * TOKEN_CHARS_MAX]),
        ("é" * 100, ["e" * TOKEN_CHARS_MAX]),
        ("… — !?", []),
        ("", []),
    ],
)
def test_a_text_is_cut_into_tokens(text: str, cut: list[str]) -> None:
    assert tokenize(text) == cut


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("good morn", [Phrase(("good",), False), Phrase(("morn",), True)]),
        ('"good morn"', [Phrase(("good", "morn"), False)]),
        ('"good morn', [Phrase(("good", "morn"), True)]),
        ("“good morn” x", [Phrase(("good", "morn"), False), Phrase(("x",), True)]),
        ("don't", [Phrase(("don", "t"), True)]),
        ("天", [Phrase(("天",), True)]),
        ("天気", [Phrase(("天気",), False)]),
        ("天気予", [Phrase(("天気", "気予"), False)]),
        ("天 気", [Phrase(("天",), True), Phrase(("気",), True)]),
        ("手机a", [Phrase(("手机", "机", "a"), True)]),
        ("👍", [Phrase(("👍",), False)]),
        ('a "" b', [Phrase(("a",), False), Phrase(("b",), True)]),
        ('" OR *', [Phrase(("or",), True)]),
        ("", []),
    ],
)
def test_a_query_is_cut_into_phrases(query: str, wanted: list[Phrase]) -> None:
    assert parse_query(query) == wanted


@given(st.text())
def test_tokens_hold_nothing_that_an_index_would_take_for_a_command(text: str) -> None:
    for token in tokenize(text):
        assert 0 < len(token) <= TOKEN_CHARS_MAX
        assert not any(char.isascii() and not char.isalnum() for char in token)
        assert token == token.lower() or not token.isascii()


@given(st.text(st.sampled_from("aB é天気한👍'. "), max_size=12), st.data())
def test_every_piece_of_a_text_that_words_end_around_is_found_in_it(text: str, data: st.DataObject) -> None:
    words = text.split()
    if words and tokenize(text):
        start = data.draw(st.integers(0, len(words) - 1))
        end = data.draw(st.integers(start + 1, len(words)))
        quoted = '"' + " ".join(words[start:end]) + '"'
        assert matches(parse_query(quoted), tokenize(text))


@given(st.text(st.sampled_from("天気予報한국어ไทย"), min_size=1, max_size=20), st.data())
def test_every_substring_of_a_run_is_found_in_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    assert matches(parse_query(text[start:end]), tokenize(text))


@given(
    st.text(st.sampled_from("天気予"), min_size=1, max_size=8),
    st.text(st.sampled_from("天気予"), min_size=1, max_size=4),
)
def test_what_is_found_in_a_run_is_in_it(text: str, query: str) -> None:
    assert matches(parse_query(query), tokenize(text)) == (query in text)


def test_what_is_remembered_of_letters_is_bounded() -> None:
    from tidings.stores import tokenizer

    for code in range(0x4E00, 0x4E00 + CHARACTERS_CACHED_MAX + 1_000):
        tokenize(chr(code))
    assert len(tokenizer._CHARACTER_MAP) <= CHARACTERS_CACHED_MAX


def test_a_ligature_is_found_by_its_words_but_a_text_full_of_them_weighs_no_more_than_another() -> None:
    assert tokenize("\ufdfa") == tokenize("صلى الله عليه وسلم")
    whole = tokenize("\ufdfa" * 10_000)
    assert sum(map(len, whole)) <= EXPANSION_MAX * 10_000 + TOKEN_CHARS_MAX
    syllables = "\ud55c" * 10_000  # each has three parts, and none of them is lost
    assert len(tokenize(syllables)) == 10_000


@pytest.mark.parametrize(
    "query", ["a b c d e f g h i j k l", '"a b c" d e f g h i j k l', "中" * 25, "a-b-c-d-e-f-g-h"]
)
def test_a_query_may_have_twelve_words_or_24_characters_without_spaces(query: str) -> None:
    assert parse_query(query)


@pytest.mark.parametrize("query", [" ".join("abcdefghijklm"), f'"{" ".join("abcdefghijklm")}"', "中" * 60, "a-" * 13])
def test_a_query_of_more_words_is_refused_by_name_of_the_limit(query: str) -> None:
    with pytest.raises(ApiError, match="more than 12 words"):
        parse_query(query)
