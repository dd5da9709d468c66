"""User names for subjects of identity providers with characters that names may not have: `auth0|5f7c`, `Ada Lovelace`.

Such a character is escaped: each byte of its UTF-8 becomes `=` and two hexadecimal digits in lower case, as in Matrix:
`auth0=7c5f7c`, `Ada=20Lovelace`. A name without `=` equals its subject. The service decides which characters are
escaped; this module decodes them.
"""

import re
from typing import Final

ESCAPE_CHAR: Final = "="
_ESCAPE_RUN: Final = re.compile("((?:=[0-9a-f]{2})+)")


def escape_all(text: str) -> str:
    """Escape every character of the text."""
    return "".join(f"{ESCAPE_CHAR}{byte:02x}" for byte in text.encode())


def user_to_subject(user: str) -> str:
    """The subject (`sub`) of a user name. Raises ValueError for invalid escapes."""
    if ESCAPE_CHAR not in user:
        return user
    parts = _ESCAPE_RUN.split(user)
    if any(ESCAPE_CHAR in part for part in parts[::2]):
        raise ValueError(f"{user!a} has a = that is not followed by two hexadecimal digits in lower case")
    parts[1::2] = [bytes.fromhex(part.replace(ESCAPE_CHAR, "")).decode() for part in parts[1::2]]
    return "".join(parts)


def collapse_escapes(user: str) -> str:
    """The name with each run of escapes replaced by one `=`."""
    return _ESCAPE_RUN.sub(ESCAPE_CHAR, user)
