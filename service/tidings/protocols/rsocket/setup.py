"""SETUP: what a client declares in its first frame, and what a server can reject without the application."""

from sys import intern
from typing import NamedTuple

from tidings.protocols.rsocket.codec import decode, encode
from tidings.protocols.rsocket.errors import ErrorCode, RemoteProtocolError
from tidings.protocols.rsocket.frames import LEASE_ENABLED, METADATA, RESUME_ENABLED, U31, VERSION, Frame, FrameType


class Setup(NamedTuple):
    """The content of SETUP. The engine does not interpret MIME types, metadata or data: the application does."""

    keepalive_ms: int
    lifetime_ms: int
    metadata_mime: str
    data_mime: str
    metadata: bytes | None = None
    data: bytes | None = None
    lease: bool = False
    resume_token: bytes | None = None
    major: int = 1
    minor: int = 0


def write_setup(setup: Setup) -> bytes:
    """The SETUP frame, without transport header. Raises ValueError for values that do not fit the layout."""
    if not (0 < setup.keepalive_ms <= U31 and 0 < setup.lifetime_ms <= U31):
        raise ValueError("keepalive_ms and lifetime_ms must be 1 to 2**31 - 1")
    fields: dict[str, int | str | bytes] = {
        "major": setup.major,
        "minor": setup.minor,
        "keepalive_ms": setup.keepalive_ms,
        "lifetime_ms": setup.lifetime_ms,
        "metadata_mime": setup.metadata_mime,
        "data_mime": setup.data_mime,
    }
    flags = LEASE_ENABLED if setup.lease else 0
    if setup.metadata is not None:
        flags |= METADATA
    if setup.resume_token is not None:
        flags |= RESUME_ENABLED
        fields["resume_token"] = setup.resume_token
    return encode(Frame(FrameType.SETUP, 0, flags, fields, setup.metadata, setup.data or b""))


def read_setup(frame: bytes) -> Setup:
    """The content of the frame. Raises RemoteProtocolError(INVALID_SETUP) for a wrong layout, version or period.

    Data that is absent and data that is empty look the same on the wire: both are read as None.
    """
    try:
        _, _, flags, fields, metadata, data = decode(frame)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"SETUP: {error}", ErrorCode.INVALID_SETUP) from None
    token = fields.get("resume_token")
    setup = Setup(
        keepalive_ms=int(fields["keepalive_ms"]),
        lifetime_ms=int(fields["lifetime_ms"]),
        # Thousands of connections have the same few names; each is stored once.
        metadata_mime=intern(str(fields["metadata_mime"])),
        data_mime=intern(str(fields["data_mime"])),
        metadata=metadata,
        data=data or None,
        lease=bool(flags & LEASE_ENABLED),
        resume_token=token if isinstance(token, bytes) else None,
        major=int(fields["major"]),
        minor=int(fields["minor"]),
    )
    # Versions are mutually incompatible; the text is the one rsocket-java's users know.
    if (setup.major, setup.minor) != VERSION:
        raise RemoteProtocolError(f"Unsupported version: {setup.major}.{setup.minor}", ErrorCode.INVALID_SETUP)
    if not setup.keepalive_ms or not setup.lifetime_ms:
        raise RemoteProtocolError("keepalive interval and max lifetime must be above 0", ErrorCode.INVALID_SETUP)
    return setup
