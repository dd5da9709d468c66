"""Names that are made to be taken for others."""

import pytest

from domain.stage import House, refused
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.lookalikes import disguise


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
    assert disguise(name) == ""


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
    assert disguise(name) == (
        f"mixes letters of {scripts}, which can be taken for one another; write it in one alphabet"
    )


@pytest.mark.parametrize(
    ("character", "plain"),
    [("\U0001d41a", "a"), ("\uff41", "a"), ("\ufb01", "fi"), ("\u017f", "s"), ("\U0001d7d7", "9")],
)
def test_another_shape_of_ascii_is_written_in_ascii(character: str, plain: str) -> None:
    assert disguise(f"x{character}") == (
        f"has the character U+{ord(character):04X}, which looks like {plain}; write {plain}"
    )


@pytest.mark.asyncio
async def test_neither_a_room_nor_a_user_gets_such_a_name() -> None:
    house = House()
    (ada,) = house.people("ada")
    with refused(Code.INVALID_ARGUMENT, "mixes letters of Cyrillic and Latin"):
        await ada.create("gener\u0430l", v1.OPEN)
    with refused(Code.INVALID_ARGUMENT, "mixes letters of Cyrillic and Latin"):
        await ada.create("den", v1.GROUP, "\u0430da")
    await ada.create("чай", v1.OPEN)
    assert (await ada.create("", v1.DIRECT, "иван")).room.room == "direct:ada:иван"
    await ada.send(room="direct:ada:иван")
