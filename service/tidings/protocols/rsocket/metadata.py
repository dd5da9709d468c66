"""Metadata: composite entries, routes, credentials, MIME types per stream.

Pure functions over bytes. The engine never calls them: the metadata MIME type of SETUP defines what metadata is, and
only the application may interpret it. Malformed input raises MetadataError; unknown entries, MIME ids and
authentication schemes are skipped, so that newer clients work with this server.

Lengths of names are written as length - 1, as every implementation does, unlike the text of the specification.
"""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from tidings.protocols.rsocket.mime import (
    ACCEPT_MIME_TYPES,
    AUTHENTICATION,
    BEARER_LEGACY,
    COMPOSITE,
    MIME_TYPE,
    ROUTING,
    TEXT_PLAIN,
    WELL_KNOWN,
    WELL_KNOWN_IDS,
)

__all__ = [
    "ACCEPT_MIME_TYPES",
    "AUTHENTICATION",
    "BEARER_LEGACY",
    "COMPOSITE",
    "MIME_TYPE",
    "ROUTING",
    "TEXT_PLAIN",
    "WELL_KNOWN",
    "Credentials",
    "Entry",
    "MetadataError",
    "RequestMetadata",
    "TooManyEntriesError",
    "read_accept_mime_types",
    "read_auth",
    "read_composite",
    "read_mime_type",
    "read_request",
    "read_route",
    "write_accept_mime_types",
    "write_bearer_auth",
    "write_composite",
    "write_mime_type",
    "write_route",
    "write_simple_auth",
]

ENTRIES_MAX: Final = 0xFFFFFF  # of each kind, where the caller sets no limit
_WELL_KNOWN_BIT: Final = 0x80  # the byte is a 7-bit id; without the bit it is the length of a name, less one


class MetadataError(ValueError):
    """The bytes are not valid for their MIME type."""


class TooManyEntriesError(MetadataError):
    """There are more entries of a kind than the caller's `entries_max`."""

    def __init__(self, limit: int, what: str) -> None:
        super().__init__(f"the metadata has more than {limit} {what}")


# --- composite: message/x.rsocket.composite-metadata.v0 ---------------------------------------------------------


class Entry(NamedTuple):
    """One entry of composite metadata, with the MIME type by name."""

    mime: str
    content: bytes


def read_composite(data: bytes, entries_max: int = ENTRIES_MAX) -> list[Entry]:
    """All entries in order, duplicates included; those with an unknown MIME id are left out.

    Here and below: more than `entries_max`, those included, raise TooManyEntriesError.
    """
    entries: list[Entry] = []
    offset = count = 0
    while offset < len(data):
        count += 1
        if count > entries_max:
            raise TooManyEntriesError(entries_max, "entries of composite metadata")
        mime, offset = _read_mime(data, offset)
        begin = offset + 3
        end = begin + int.from_bytes(data[offset:begin], "big")
        if end > len(data):
            raise MetadataError("an entry of composite metadata is longer than the rest of the metadata")
        if mime:
            entries.append(Entry(mime, data[begin:end]))
        offset = end
    return entries


def write_composite(entries: Iterable[Entry | tuple[str, bytes]]) -> bytes:
    """Well-known MIME types as their id, others by name (1 to 128 ASCII characters)."""
    parts: list[bytes] = []
    for mime, content in entries:
        if len(content) > 0xFFFFFF:
            raise MetadataError("an entry of composite metadata has at most 16,777,215 bytes")
        parts += (_write_mime(mime), len(content).to_bytes(3, "big"), content)
    return b"".join(parts)


def _read_mime(data: bytes, offset: int) -> tuple[str, int]:
    """A MIME type by id or name; an unknown id is an empty name."""
    first = data[offset]
    if first & _WELL_KNOWN_BIT:
        return WELL_KNOWN.get(first & 0x7F, ""), offset + 1
    begin, end = offset + 1, offset + 2 + first
    if end > len(data):
        raise MetadataError("a MIME type is longer than the rest of the metadata")
    try:
        return data[begin:end].decode("ascii"), end
    except UnicodeDecodeError:
        raise MetadataError("a MIME type is not ASCII") from None


def _write_mime(mime: str) -> bytes:
    known = WELL_KNOWN_IDS.get(mime)
    if known is not None:
        return bytes((_WELL_KNOWN_BIT | known,))
    return _write_name(mime, "MIME type")


def _write_name(name: str, what: str) -> bytes:
    if not 1 <= len(name) <= 128 or not name.isascii():
        raise MetadataError(f"a {what} has 1 to 128 ASCII characters, not {name!r:.60}")
    return bytes((len(name) - 1,)) + name.encode("ascii")


# --- routing: message/x.rsocket.routing.v0 ----------------------------------------------------------------------


def read_route(tags: bytes, tags_max: int = ENTRIES_MAX) -> list[str]:
    """All tags; the first is the route."""
    found_tags: list[str] = []
    offset = 0
    while offset < len(tags):
        if len(found_tags) >= tags_max:
            raise TooManyEntriesError(tags_max, "routing tags")
        begin, end = offset + 1, offset + 1 + tags[offset]
        if end > len(tags):
            raise MetadataError("a routing tag is longer than the rest of the metadata")
        found_tags.append(_text(tags[begin:end], "routing tag"))
        offset = end
    return found_tags


def write_route(*tags: str) -> bytes:
    """Tags as routing metadata, the route first; each 255 bytes of UTF-8 at most."""
    parts: list[bytes] = []
    for tag in tags:
        encoded = tag.encode()
        if len(encoded) > 255:
            raise MetadataError(f"a routing tag has at most 255 bytes, unlike {tag!r:.60}")
        parts += (bytes((len(encoded),)), encoded)
    return b"".join(parts)


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MetadataError(f"a {what} is not UTF-8") from None


# --- authentication: message/x.rsocket.authentication.v0 --------------------------------------------------------

_SIMPLE: Final = 0x00
_BEARER: Final = 0x01
_SCHEMES: Final = {"simple": _SIMPLE, "bearer": _BEARER}


class Credentials(NamedTuple):
    """Unverified credentials. `repr` never shows the secret."""

    scheme: Literal["none", "simple", "bearer"]
    user: str = ""
    password: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(scheme={self.scheme!r}, user={self.user!r})"


def read_auth(data: bytes) -> Credentials | None:
    """Simple or bearer, by id or by name; None for another scheme."""
    if not data:
        raise MetadataError("authentication metadata is empty")
    if data[0] & _WELL_KNOWN_BIT:
        scheme: int | None = data[0] & 0x7F
        offset = 1
    else:
        name, offset = _read_mime(data, 0)
        scheme = _SCHEMES.get(name)
    if scheme == _BEARER:
        return Credentials("bearer", token=_text(data[offset:], "bearer token"))
    if scheme != _SIMPLE:
        return None
    begin = offset + 2
    end = begin + int.from_bytes(data[offset:begin], "big")
    if begin > len(data) or end > len(data):
        raise MetadataError("simple authentication is shorter than its user name")
    return Credentials("simple", user=_text(data[begin:end], "user"), password=_text(data[end:], "password"))


def write_simple_auth(user: str, password: str) -> bytes:
    """Credentials of the simple scheme; the user has at most 65,535 bytes of UTF-8."""
    name = user.encode()
    if len(name) > 0xFFFF:
        raise MetadataError("a user has at most 65,535 bytes")
    return bytes((_WELL_KNOWN_BIT | _SIMPLE,)) + len(name).to_bytes(2, "big") + name + password.encode()


def write_bearer_auth(token: str) -> bytes:
    """Credentials of the bearer scheme."""
    return bytes((_WELL_KNOWN_BIT | _BEARER,)) + token.encode()


# --- MIME types per stream --------------------------------------------------------------------------------------


def read_mime_type(content: bytes) -> str | None:
    """message/x.rsocket.mime-type.v0: the MIME type of this payload's data; None for an unknown id."""
    if not content:
        raise MetadataError("a MIME type is empty")
    mime, end = _read_mime(content, 0)
    if end != len(content):
        raise MetadataError("there is more than one MIME type")
    return mime or None


def write_mime_type(mime: str) -> bytes:
    """The MIME type of one payload, as its id where it has one."""
    return _write_mime(mime)


def read_accept_mime_types(content: bytes, mimes_max: int = ENTRIES_MAX) -> tuple[str, ...]:
    """message/x.rsocket.accept-mime-types.v0: the types the reply may have, best first; unknown ids are left out."""
    mimes: list[str] = []
    offset = count = 0
    while offset < len(content):
        count += 1
        if count > mimes_max:
            raise TooManyEntriesError(mimes_max, "accepted MIME types")
        mime, offset = _read_mime(content, offset)
        if mime:
            mimes.append(mime)
    return tuple(mimes)


def write_accept_mime_types(mimes: Iterable[str]) -> bytes:
    """MIME types as a list, best first, each as its id where it has one."""
    return b"".join(map(_write_mime, mimes))


# --- all metadata of a request ----------------------------------------------------------------------------------


class RequestMetadata(NamedTuple):
    """Metadata of a request or of SETUP. `entries` are all composite entries."""

    route: str | None = None
    credentials: Credentials | None = None
    data_mime: str | None = None  # None: the one of SETUP
    accept_mimes: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()


_EMPTY: Final = RequestMetadata()


def read_request(metadata: bytes | None, metadata_mime: str, entries_max: int = ENTRIES_MAX) -> RequestMetadata:
    """Read metadata of this MIME type: composite, one entry alone, or plain text as route.

    The first entry of each kind is used. Raises MetadataError for malformed bytes, and for more than `entries_max`
    entries, routing tags or accepted MIME types. Metadata of another MIME type is ignored.
    """
    if not metadata:
        return _EMPTY
    if metadata_mime == TEXT_PLAIN:
        return RequestMetadata(route=_text(metadata, "route"))
    is_single_entry = metadata_mime != COMPOSITE
    entries = (Entry(metadata_mime, metadata),) if is_single_entry else tuple(read_composite(metadata, entries_max))
    route: str | None = None
    credentials: Credentials | None = None
    data_mime: str | None = None
    accept_mimes: tuple[str, ...] = ()
    for mime, content in entries:
        if mime == ROUTING:
            if route is None:
                route = next(iter(read_route(content, entries_max)), None)
        elif mime == AUTHENTICATION:
            credentials = credentials or read_auth(content)
        elif mime == BEARER_LEGACY:  # older than the standard, still in Spring's documentation
            credentials = credentials or Credentials("bearer", token=_text(content, "bearer token"))
        elif mime == MIME_TYPE:
            data_mime = data_mime or read_mime_type(content)
        elif mime == ACCEPT_MIME_TYPES:
            accept_mimes = accept_mimes or read_accept_mime_types(content, entries_max)
    return RequestMetadata(route, credentials, data_mime, accept_mimes, () if is_single_entry else entries)
