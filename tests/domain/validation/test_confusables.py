"""Names that are made to be taken for others."""

import pytest

from domain.harness import DomainHarness, raises_error
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.validation.confusables import find_confusable


@pytest.mark.parametrize(
    "name",
    [
        "ada",
        "Ærøskøbing",
        "naïve",
        "Иван",
        "Ελένη",
        "ada2024",
        "Иван-2",
        "иван@example.com",
        "direct:alice:иван",
        "weather.погода",
        "天気ch",
        "東京タワーのview",
        "ラーメン",
        "佐々木",
        "注音ㄅㄆㄇabc",
        "한국어漢字abc",
        "今天weather",
        "ﾃｽﾄ",
        "สมชายำ-dev",
        "مرحبا-team",
        "שלום2",
        "हिन्दी",
        "தமிழ்",
    ],
)
def test_people_may_be_called_as_they_are(name: str) -> None:
    assert find_confusable(name) == ""


@pytest.mark.parametrize(
    ("name", "scripts"),
    [
        ("\u0430dmin", "Cyrillic and Latin"),
        ("p\u0430ypal", "Cyrillic and Latin"),
        ("\u03bfpera", "Greek and Latin"),
        ("\u0430\u03b1", "Cyrillic and Greek"),
        ("\u0561da", "Armenian and Latin"),
        ("\u13aada", "Cherokee and Latin"),
        ("bob@\u0435xample.com", "Cyrillic and Latin"),
        ("\u0438\u65e5", "Cjk and Cyrillic"),
        ("\u305b\ud55c", "Hangul and Hiragana"),
        ("a\u0627\u05d0", "Arabic and Hebrew and Latin"),
    ],
)
def test_alphabets_that_can_be_taken_for_one_another_do_not_mix(name: str, scripts: str) -> None:
    assert find_confusable(name) == (
        f"mixes letters of {scripts}, which can be taken for one another; write it in one alphabet"
    )


@pytest.mark.parametrize(
    ("character", "plain"),
    [("\U0001d41a", "a"), ("\uff41", "a"), ("\ufb01", "fi"), ("\u017f", "s"), ("\U0001d7d7", "9")],
)
def test_another_shape_of_ascii_is_written_in_ascii(character: str, plain: str) -> None:
    assert find_confusable(f"x{character}") == (
        f"has the character U+{ord(character):04X}, which looks like {plain}; write {plain}"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("admi\u0307n", "a dot above (U+0307) on a letter that has a dot"),
        ("adm\u1ecb\u0307n", "a dot above (U+0307) on a letter that has a dot"),
        ("i\u0331\u0307", "a dot above (U+0307) on a letter that has a dot"),
        ("\u0456\u0307", "a dot above (U+0307) on a letter that has a dot"),
        ("o\u0338da", "the mark U+0338, which belongs to no alphabet"),
        ("a\u20dd", "the mark U+20DD, which belongs to no alphabet"),
        ("n\u0323\u0300\u0300", "a mark twice"),
        ("a\u0316\u0317\u0318\u0319\u031c", "more than 4 marks"),
        ("น\u0e4d\u0e49\u0e32", "write ำ"),
        ("ada\u0e55", "digits of another script"),
        ("ada\u09ea", "digits of another script"),
        ("\u0661\u06f2", "digits of another script"),
        ("\u0e551", "digits of another script"),
        ("\u0261race", "U+0261, which looks like g; write g"),
        ("\u0251da", "U+0251, which looks like a; write a"),
        ("\u1d00da", "U+1D00, which looks like a; write a"),
        ("direct\u02d0a", "U+02D0, which looks like :; write :"),
    ],
)
def test_marks_digits_and_letters_that_are_made_to_be_overlooked_are_refused(name: str, words: str) -> None:
    assert words in find_confusable(name)


def test_letters_that_look_like_ascii_are_no_letters_of_a_living_language() -> None:
    for letter in "ıəɛɔŋɓɗɣɲʋɩʔʒƷǃǀʻʼß":
        assert find_confusable(f"x{letter}") == ""


@pytest.mark.asyncio
async def test_neither_a_room_nor_a_user_gets_such_a_name() -> None:
    harness = DomainHarness()
    (ada,) = harness.connect_all("ada")
    with raises_error(Code.INVALID_ARGUMENT, "mixes letters of Cyrillic and Latin"):
        await ada.create_room("gener\u0430l", v1.OPEN)
    with raises_error(Code.INVALID_ARGUMENT, "mixes letters of Cyrillic and Latin"):
        await ada.create_room("den", v1.OPEN, "\u0430da")
    await ada.create_room("чай", v1.OPEN)
    assert (await ada.create_room("", v1.DIRECT, "иван")).room.room == "direct:ada:иван"
    await ada.send(room="direct:ada:иван")
