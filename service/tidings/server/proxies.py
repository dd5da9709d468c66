"""Whose request it is where a proxy brings it: the client's address by `X-Forwarded-For` or `Forwarded` (RFC 7239).

Both headers are lists that grow to the right: each proxy appends the address that it was connected from. So they are
read from the right, only if the connection comes from a trusted proxy, and only as far as the addresses belong to
trusted proxies; the right-most address that does not is the client. What stands left of it was written by the client
itself and is never looked at.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

X_FORWARDED_FOR: Final = "x-forwarded-for"
HOPS_MAX: Final = 32  # proxies between a client and the service; four is a lot
# A node of either header: an address, with a port or without, and an IPv6 one in brackets if it has a port.
_NODE: Final = re.compile(
    r"(?P<four>[0-9.]{7,15})(?::[0-9]{1,5})?"
    r"|\[(?P<bracketed>[0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?"
    r"|(?P<six>[0-9A-Fa-f:.]{2,45})"
)
# One parameter of an element of Forwarded (RFC 7239, section 4), or nothing, and what ends it. A port needs quotes by
# the RFC, and some proxies write none.
_PARAMETER: Final = re.compile(
    r"[ \t]*(?:(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)="
    r"(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<token>[^\s\",;\\]+)))?[ \t]*(?P<end>[;,]|$)"
)


def parse_address(text: str) -> Address | None:
    """An address without a zone; an IPv4 one in IPv6 clothing (`::ffff:192.0.2.1`) as IPv4. None: it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class TrustedProxies:
    """The addresses whose `header` (`http.forwarded_header`) is believed. ValueError for what is no network."""

    def __init__(self, networks: Iterable[str], header: str = X_FORWARDED_FOR) -> None:
        self._networks = tuple(ip_network(network) for network in networks)
        self._header = header

    def is_trusted(self, peer: str) -> bool:
        """Whether that address is a trusted proxy."""
        address = parse_address(peer)
        return address is not None and self._is_trusted(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def client_address(self, peer: str, forwarded: Sequence[str], x_forwarded_for: Sequence[str]) -> str:
        """The client's address. `peer` is where the connection comes from; the headers are their lines, in order.

        Only the configured header is read, since a proxy passes on what a client wrote in the other. Where it says
        nothing certain, the client counts as the last address that is certain: the proxy which does not say it.
        """
        address = parse_address(peer)
        if address is None:
            return peer
        return str(self._find_client(address, self._nodes(forwarded, x_forwarded_for))[0])

    def is_client_certain(self, peer: str, forwarded: Sequence[str], x_forwarded_for: Sequence[str]) -> bool:
        """Whether the configured header says who the client is, and the other one, if it is there, says the same."""
        address = parse_address(peer)
        if address is None:
            return False
        candidates = {self._find_client(address, self._nodes(forwarded, x_forwarded_for))}
        if forwarded and x_forwarded_for:
            candidates.add(self._find_client(address, _nodes_of_forwarded(", ".join(forwarded))))
            candidates.add(self._find_client(address, _nodes_of_x_forwarded_for(x_forwarded_for)))
        return len(candidates) == 1 and candidates.pop()[1]

    def _nodes(self, forwarded: Sequence[str], x_forwarded_for: Sequence[str]) -> list[str]:
        if self._header == X_FORWARDED_FOR:
            return _nodes_of_x_forwarded_for(x_forwarded_for)
        return _nodes_of_forwarded(", ".join(forwarded))

    def _find_client(self, client: Address, nodes: Sequence[str]) -> tuple[Address, bool]:
        """The right-most address that is not trusted, as far as the nodes are addresses; whether that is certain."""
        for node in reversed(nodes[-HOPS_MAX:]):
            if not self._is_trusted(client):
                break
            address = _parse_node(node)
            if address is None:
                return client, False
            client = address
        return client, bool(nodes)


def _nodes_of_x_forwarded_for(lines: Sequence[str]) -> list[str]:
    """The last nodes of the list, over all lines."""
    return ", ".join(lines).rsplit(",", HOPS_MAX)[-HOPS_MAX:] if lines else []


def _parse_node(node: str) -> Address | None:
    """The address of a node; None for `unknown`, an obfuscated name, or what is malformed."""
    found = _NODE.fullmatch(node.strip(" \t"))
    return parse_address(found["four"] or found["bracketed"] or found["six"]) if found else None


def _nodes_of_forwarded(text: str) -> list[str]:
    """The `for` of each element; "" where an element has none. A list that is malformed says nothing: []."""
    nodes: list[str] = []
    position, node, has_parameter = 0, "", False
    while position <= len(text):
        found = _PARAMETER.match(text, position)
        if found is None:
            return []
        if found["name"]:
            has_parameter = True
            if found["name"].lower() == "for":
                node = found["token"] or re.sub(r"\\(.)", r"\1", found["quoted"] or "")
        if found["end"] != ";":
            if has_parameter:
                nodes.append(node)
            node, has_parameter = "", False
            if not found["end"]:
                break
        position = found.end()
    return nodes
