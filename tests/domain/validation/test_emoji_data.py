"""Every emoji of Unicode, as its emoji-test.txt lists them."""

import emoji as unicode_emoji

from tidings.domain.limits.limits import DomainLimits
from tidings.domain.validation.validator import Validator

RULES = Validator(DomainLimits())
# Every line of Unicode's emoji-test.txt: an emoji and its status.
TESTS = {text: data["status"] for text, data in unicode_emoji.EMOJI_DATA.items()}
FULLY_QUALIFIED = {text for text, status in TESTS.items() if status == unicode_emoji.STATUS["fully_qualified"]}
WITHOUT_STYLES = {text.replace("\ufe0f", ""): text for text in FULLY_QUALIFIED}


def test_every_fully_qualified_emoji_is_taken_as_it_is() -> None:
    assert len(FULLY_QUALIFIED) >= 3_963
    for text in FULLY_QUALIFIED:
        assert RULES.emoji(text) == text


def test_every_other_way_to_write_an_emoji_becomes_the_fully_qualified_one() -> None:
    for text in TESTS:
        whole = WITHOUT_STYLES.get(text.replace("\ufe0f", ""), text)
        for written in (
            text,
            text.replace("\ufe0f", ""),
            text.replace("\ufe0f", "\ufe0e"),
            f"{text}\ufe0f",
            f" {text} ",
        ):
            assert RULES.emoji(written) == whole
