"""What a client can read: Accept-Encoding and Accept as RFC 9110 has them."""

import pytest

from tidings.server.content_negotiation import accepted_codings, prefers_text


@pytest.mark.parametrize(
    ("lines", "taken"),
    [
        (None, ["identity"]),  # nothing is said: everything may be sent, and what is plain can be read
        ([""], ["identity"]),
        (["gzip"], ["gzip", "identity"]),
        (["GZip"], ["gzip", "identity"]),
        (["x-gzip"], ["gzip", "identity"]),
        (["deflate, gzip;q=1.0, *;q=0.5"], ["gzip", "identity"]),
        (["br", "gzip"], ["gzip", "identity"]),
        (["br;q=1.0,\tgzip;q=0.8"], ["gzip", "identity"]),
        (["*"], ["gzip", "identity"]),
        (["gzip;q=0"], ["identity"]),
        (["gzip; Q=0.000"], ["identity"]),
        (["gzip;q=0, *"], ["identity"]),
        (["gzip;q=0.001"], ["gzip", "identity"]),
        (["gzip;q=0.5, identity;q=0.8"], ["identity", "gzip"]),
        (["gzip;q=0.5, identity;q=0.5"], ["gzip", "identity"]),
        (["identity"], ["identity"]),
        (["identity;q=0, gzip"], ["gzip"]),
        (["*;q=0, gzip"], ["gzip"]),
        (["*;q=0, identity"], ["identity"]),
        (["*;q=0"], []),
        (["identity;q=0"], []),
        (["identity;q=0, gzip;q=0"], []),
        (["gzipped, notgzip"], ["identity"]),
        # What has no proper weight is as good as not there.
        (["gzip;q=2"], ["identity"]),
        (["gzip;q=0.1234"], ["identity"]),
        (["gzip;q=-1"], ["identity"]),
        (["gzip;q=nan"], ["identity"]),
        (["gzip;q="], ["identity"]),
        ([";q=1,,"], ["identity"]),
    ],
)
def test_a_coding_is_sent_to_those_who_take_it(lines: list[str] | None, taken: list[str]) -> None:
    assert accepted_codings(lines) == taken


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], False),
        (["*/*"], False),
        (["application/json"], False),
        (["application/json, text/plain;q=0.9"], False),
        (["application/*;q=0.1, text/html;q=0"], False),
        (["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], True),
        (["text/plain"], True),
        (["TEXT/*", "application/json;q=0.5"], True),
        (["image/png"], False),
    ],
)
def test_errors_are_texts_for_those_who_rather_read_one(lines: list[str], text: bool) -> None:
    assert prefers_text(lines) is text
