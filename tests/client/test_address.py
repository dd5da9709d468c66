"""Addresses."""

import pytest

from tidings_client.address import Address, parse_address
from tidings_client.errors import ApiError, Code


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://h:7878/rsocket", Address("ws://h:7878/rsocket", "h", 7878, True, False)),
        ("ws://h:7878", Address("ws://h:7878/rsocket", "h", 7878, True, False)),
        ("ws://h:7878/", Address("ws://h:7878/rsocket", "h", 7878, True, False)),
        ("wss://h/chat", Address("wss://h/chat", "h", 443, True, True)),
        ("ws://h/rsocket", Address("ws://h/rsocket", "h", 80, True, False)),
        ("tcp://[::1]:7879", Address("tcp://[::1]:7879", "::1", 7879, False, False)),
        ("tls://h:7879", Address("tls://h:7879", "h", 7879, False, True)),
    ],
)
def test_an_address_is_read(url: str, address: Address) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize("url", ["", "h:7878", "http://h:1", "ws://", "tcp://h", "tcp://h:99999", "ws://[h"])
def test_what_is_no_address_says_what_one_looks_like(url: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_address(url)
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert "\n" not in refused.value.text
