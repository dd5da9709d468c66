"""Names for users whose identity provider calls them by what no name may have in it: `auth0|5f7c`, `Ada Lovelace`.

Such a character is written as its bytes of UTF-8, each as `=` and two hexadecimal digits in lower case, as Matrix does:
`auth0=7c5f7c`, `Ada=20Lovelace`. A name without `=` is its own subject. Which characters are written so is decided by
the service (`tidings.domain.common.names`); to read them needs no more than this.
"""

import re
from typing import Final

ESCAPE_CHAR: Final = "="
_ESCAPE_RUN: Final = re.compile("((?:=[0-9a-f]{2})+)")


def escape_all(text: str) -> str:
    """All of the text as escapes."""
    return "".join(f"{ESCAPE_CHAR}{byte:02x}" for byte in text.encode())


def user_to_subject(user: str) -> str:
    """What the identity provider calls a user (`sub`), by the user's name. ValueError if it is no user's name."""
    if ESCAPE_CHAR not in user:
        return user
    parts = _ESCAPE_RUN.split(user)
    if any(ESCAPE_CHAR in part for part in parts[::2]):
        raise ValueError(f"{user!a} has a = that is not followed by two hexadecimal digits in lower case")
    parts[1::2] = [bytes.fromhex(part.replace(ESCAPE_CHAR, "")).decode() for part in parts[1::2]]
    return "".join(parts)


def collapse_escapes(user: str) -> str:
    """The name with `=` in place of each run of escapes: what is left are the letters that were kept."""
    return _ESCAPE_RUN.sub(ESCAPE_CHAR, user)
