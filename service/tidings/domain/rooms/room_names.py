"""Names of rooms that the service makes."""

import secrets
from hashlib import sha256

from tidings.domain.validation.names import DIRECT_PREFIX, GROUP_PREFIX

_HASH_CHARS = 40  # 160 bits: two pairs with one name will not be found


def direct_room_name(one: str, other: str, bytes_max: int) -> str:
    """The name of the DIRECT room of two users, the same from either side.

    `direct:alice:bob` where that can be read in one way only and is short enough, else a hash of both; the first has a
    second colon, the second has none.
    """
    first, second = sorted((one, other))
    name = f"{DIRECT_PREFIX}{first}:{second}"
    if len(name.encode()) <= bytes_max and ":" not in first + second:
        return name
    digest = sha256(f"{len(first.encode())}:{first}{second}".encode()).hexdigest()
    return DIRECT_PREFIX + digest[:_HASH_CHARS]


def group_room_name(creator: str, requested_name: str, bytes_max: int) -> str:
    """The name of the GROUP room that a user makes under a word of their own.

    `group:alice:kitchen`, or a hash of both as in `direct_room_name`. Another user's word gives another name, so
    that no one can find out which groups others have by making one.
    """
    name = f"{GROUP_PREFIX}{creator}:{requested_name}"
    if len(name.encode()) <= bytes_max and ":" not in creator + requested_name:
        return name
    digest = sha256(f"{len(creator.encode())}:{creator}{requested_name}".encode()).hexdigest()
    return GROUP_PREFIX + digest[:_HASH_CHARS]


def new_room_name() -> str:
    """A room's name that nobody else has."""
    return secrets.token_hex(12)
