"""Where a search stands between two pages."""

import pytest

from kits.store.assertions import raises_api_error
from tidings.contract.errors import Code
from tidings.stores.page_token import SearchPosition, decode_page_token, encode_page_token

SECRET = b"s" * 32
PLACE = SearchPosition(1_700_000_000_000, 7 << 36 | 12)


def test_a_page_opens_at_the_place_it_was_made_for() -> None:
    assert decode_page_token(SECRET, encode_page_token(SECRET, PLACE, "words", "ann"), "words", "ann") == PLACE


@pytest.mark.parametrize(
    ("secret", "words", "sender"), [(b"t" * 32, "words", "ann"), (SECRET, "other", "ann"), (SECRET, "words", "bob")]
)
def test_a_page_of_another_search_or_store_is_refused(secret: bytes, words: str, sender: str) -> None:
    page = encode_page_token(SECRET, PLACE, "words", "ann")
    with raises_api_error(Code.INVALID_ARGUMENT):
        decode_page_token(secret, page, words, sender)


@pytest.mark.parametrize("page", ["", "A", "AAAA", "=" * 32, "A" * 32, "A" * 400, "ü" * 32, "A A A" * 6])
def test_what_was_never_a_page_is_refused(page: str) -> None:
    with raises_api_error(Code.INVALID_ARGUMENT):
        decode_page_token(SECRET, page, "words", "ann")
