"""Whose request it is: what is believed of Forwarded and X-Forwarded-For, and of whom."""

import pytest

from tidings.server.proxies import HOPS_MAX, TrustedProxies

NETWORKS = ("10.0.0.0/8", "192.0.2.7", "2001:db8:aaaa::/48")
PROXIES = TrustedProxies(NETWORKS)
RFC_7239 = TrustedProxies(NETWORKS, "forwarded")


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("::ffff:10.1.2.3", True),  # an IPv4 peer of a socket that listens on ::
        ("2001:db8:aaaa::1%eth0", True),
        ("2001:db8:bbbb::1", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_a_proxy_is_trusted_by_its_address(peer: str, trusted: bool) -> None:
    assert PROXIES.is_trusted(peer) is trusted


@pytest.mark.parametrize(
    ("x_forwarded_for", "client"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["1.1.1.1, 203.0.113.9"], "203.0.113.9"),  # the left one was written by the client
        (["1.1.1.1, 203.0.113.9, 10.0.0.5"], "203.0.113.9"),
        (["1.1.1.1, 203.0.113.9,10.0.0.5,\t192.0.2.7"], "203.0.113.9"),
        (["1.1.1.1", "203.0.113.9", "10.0.0.5"], "203.0.113.9"),  # on lines of their own
        (["10.0.0.9, 10.0.0.5"], "10.0.0.9"),  # a client within the trusted network
        (["2001:db8:1:2::9"], "2001:db8:1:2::9"),
        (["[2001:db8:1:2::9]:4711"], "2001:db8:1:2::9"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, 2001:db8:aaaa::5"], "203.0.113.9"),
        # Where a trusted proxy names nobody, it is itself the last one that is known.
        (["203.0.113.9, unknown"], "10.1.2.3"),
        (["203.0.113.9, unknown, 10.0.0.5"], "10.0.0.5"),
        (["203.0.113.9, "], "10.1.2.3"),
        ([""], "10.1.2.3"),
        (["203.0.113.999"], "10.1.2.3"),
        (["203.0.113.9; DROP"], "10.1.2.3"),
        (["127.1"], "10.1.2.3"),
        (["１.2.3.4"], "10.1.2.3"),
        (["fe80::1%eth0"], "10.1.2.3"),
        ([], "10.1.2.3"),
    ],
)
def test_the_client_is_the_right_most_address_that_is_not_trusted(x_forwarded_for: list[str], client: str) -> None:
    assert PROXIES.client_address("10.1.2.3", [], x_forwarded_for) == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["for=203.0.113.9"], "203.0.113.9"),
        (["For=203.0.113.9;proto=https;by=10.1.2.3"], "203.0.113.9"),
        (['proto=https ; FOR="203.0.113.9:4711"'], "203.0.113.9"),
        (["for=203.0.113.9:4711"], "203.0.113.9"),  # without the quotes that the RFC asks for
        (['for="[2001:db8:1:2::9]:4711"'], "2001:db8:1:2::9"),
        (['for="[2001:db8:1:2::9]"'], "2001:db8:1:2::9"),
        (["for=1.1.1.1, for=203.0.113.9, for=10.0.0.5"], "203.0.113.9"),
        (["for=1.1.1.1", "for=203.0.113.9", "for=10.0.0.5"], "203.0.113.9"),
        (['for="203\\.0.113.9"'], "203.0.113.9"),
        (["for=203.0.113.9, , ,"], "203.0.113.9"),  # empty members of a list say nothing
        (["for=203.0.113.9, for=unknown"], "10.1.2.3"),
        (["for=203.0.113.9, for=_hidden"], "10.1.2.3"),
        (["for=203.0.113.9, proto=https"], "10.1.2.3"),
        (["for=203.0.113.9, for=_hidden, for=10.0.0.5"], "10.0.0.5"),
        # What the client began and left open swallows nothing: then nothing is believed.
        (['for="evil', "for=203.0.113.9"], "10.1.2.3"),
        (['for="evil, for=203.0.113.9'], "10.1.2.3"),
        (["for==;=", "for=203.0.113.9"], "10.1.2.3"),
        (["x y z", "for=203.0.113.9"], "10.1.2.3"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(forwarded: list[str], client: str) -> None:
    assert RFC_7239.client_address("10.1.2.3", forwarded, []) == client


def test_nobody_else_is_believed() -> None:
    assert PROXIES.client_address("203.0.113.9", ["for=1.1.1.1"], ["1.1.1.1"]) == "203.0.113.9"
    assert TrustedProxies(()).client_address("127.0.0.1", ["for=1.1.1.1"], ["1.1.1.1"]) == "127.0.0.1"


@pytest.mark.parametrize("written", ["x", "for=1.1.1.1", "for=127.0.0.1", "for=unknown", ""])
def test_only_the_header_that_the_proxies_write_is_read(written: str) -> None:
    # nginx appends to X-Forwarded-For and passes on whatever Forwarded the client wrote.
    assert PROXIES.client_address("10.1.2.3", [written], ["203.0.113.9"]) == "203.0.113.9"
    assert not PROXIES.is_client_certain("10.1.2.3", [written], ["203.0.113.9"])
    assert RFC_7239.client_address("10.1.2.3", ["for=203.0.113.9"], [written]) == "203.0.113.9"
    assert not RFC_7239.is_client_certain("10.1.2.3", ["for=203.0.113.9"], [written])


def test_a_client_is_known_where_the_header_says_it_and_no_other_denies_it() -> None:
    assert PROXIES.is_client_certain("10.1.2.3", [], ["203.0.113.9"])
    assert PROXIES.is_client_certain("10.1.2.3", ["for=203.0.113.9"], ["203.0.113.9"])
    assert RFC_7239.is_client_certain("10.1.2.3", ["for=203.0.113.9"], [])
    assert not PROXIES.is_client_certain("10.1.2.3", [], ["unknown"])
    assert not PROXIES.is_client_certain("10.1.2.3", ["for=203.0.113.9"], [])
    assert not PROXIES.is_client_certain("10.1.2.3", [], [])
    assert not PROXIES.is_client_certain("", [], ["203.0.113.9"])


def test_no_more_hops_are_walked_than_there_can_be() -> None:
    hops = ["203.0.113.9", *["10.0.0.5"] * HOPS_MAX]
    assert PROXIES.client_address("10.1.2.3", [], [", ".join(hops)]) == "10.0.0.5"
    assert PROXIES.client_address("10.1.2.3", [], [", ".join(hops[:-1])]) == "203.0.113.9"
    assert RFC_7239.client_address("10.1.2.3", [f"for={hop}" for hop in hops], []) == "10.0.0.5"


@pytest.mark.parametrize("text", ['"' * 8_000, "\\" * 8_000, 'for="' + "\\a" * 4_000, "," * 8_000, "a=b;" * 2_000])
def test_headers_as_long_as_they_may_be_are_read_in_linear_time(text: str) -> None:
    # A pattern that goes back over what it has read would take minutes for these.
    assert RFC_7239.client_address("10.1.2.3", [text], []) == "10.1.2.3"
    assert PROXIES.client_address("10.1.2.3", [], [text]) == "10.1.2.3"


def test_an_ipv4_client_of_a_socket_that_listens_on_everything_has_its_ipv4_address() -> None:
    assert TrustedProxies(()).client_address("::ffff:127.0.0.1", [], []) == "127.0.0.1"
    assert TrustedProxies(("10.0.0.0/8",)).client_address("fe80::1%eth0", [], []) == "fe80::1"
