"""What went wrong, as one line on stderr that says what to do, and the exit code that goes with it."""

import errno
import os
import re
import traceback
from typing import Final

from tidings.cli.screen import clean, note, styled

FAILED: Final = 1
MISUSED: Final = 2

GET_TOKEN: Final = (
    "give it with --token or TIDINGS_TOKEN; where the service's secret is set, this makes one: "
    "tidings token --user NAME"
)
NEW_TOKEN: Final = "pass it with --token or TIDINGS_TOKEN (see: tidings token --help)"

# What to add to the service's own sentence, by the name of its code and how the sentence begins.
HINTS: Final = {
    ("UNAUTHENTICATED", "this service needs a token"): GET_TOKEN,
    ("UNAUTHENTICATED", "the token"): NEW_TOKEN,
    ("UNAUTHENTICATED", "your token"): NEW_TOKEN,
    (
        "UNAUTHENTICATED",
        "no secret is set",
    ): "here: leave out --token and TIDINGS_TOKEN, and say who you are with --user",
    ("NOT_FOUND", "there is no room"): "here: tidings create ROOM --open, and tidings rooms --all for those there are",
    ("CURSOR_LOST", ""): "leave out --after",
    ("UNIMPLEMENTED", ""): "service and command are of different versions; compare: tidings version",
}


# What the library says of a value → what we say, in this order.
LIBRARY_WORDS: Final = (
    (r"Input should be a valid integer.*", "it is not a whole number"),
    (r"Input should be less than or equal to (\d+)", r"it is at most \1"),
    (r"Input should be greater than or equal to (\d+)", r"it is at least \1"),
    (r"Input should be ", "it should be "),
)

# Exceptions of the service's start whose text is already one line that says what to do, by name: importing their
# modules would cost a `tidings send` that fails a quarter of a second.
SAY_IT_ALL: Final = frozenset({"ConfigError", "StartError", "StoreError"})


# Of an error without a file's name: only stdout is written that way. EBADF: it was closed.
OUTPUT_ERRORS: Final = frozenset({errno.EBADF, errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT})


class Complaint(Exception):
    """Something the caller can put right; `text` is a sentence that names the option or command for it."""

    def __init__(self, text: str, exit_code: int = FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def complain(error: BaseException) -> int:
    """Say it on stderr; the exit code. With TIDINGS_DEBUG=1 the traceback comes first."""
    import sys

    if os.environ.get("TIDINGS_DEBUG") == "1":
        traceback.print_exception(error)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text, exit_code = explain(error)
    note(f"{styled('error:', 'red', stream=sys.stderr)} {clean(' '.join(text.split()))}")
    return exit_code


def in_our_words(text: str) -> str:
    """A sentence about a wrong option, without what the library says of its own types."""
    for pattern, words in LIBRARY_WORDS:
        text = re.sub(pattern, words, text)
    return text


def explain(error: BaseException) -> tuple[str, int]:
    """The sentence and the exit code for an exception."""
    from typer.exceptions import TyperException

    from tidings.contract.errors import Failure

    match error:
        case Complaint():
            return str(error), error.exit_code
        case TyperException():
            path = getattr(getattr(error, "ctx", None), "command_path", "tidings")
            said = in_our_words(error.format_message().rstrip("."))
            if path.endswith(" send") and "extra argument" in said:
                return f"{said}: put the text in quotes, as one argument; see: {path} --help", MISUSED
            return f"{said}{' See' if said.endswith('?') else '; see'}: {path} --help", MISUSED
        case Failure():
            hints = [
                h for (code, start), h in HINTS.items() if code == error.code.name and error.text.startswith(start)
            ]
            return "; ".join([error.wire.rstrip("."), *hints]), FAILED
        case Exception() if type(error).__name__ in SAY_IT_ALL:
            return str(error), FAILED
        case OSError() if error.filename is not None:
            return f"cannot open {error.filename}: {error.strerror}", FAILED
        case OSError() if error.errno in OUTPUT_ERRORS:
            return f"cannot write to standard output: {error.strerror}", FAILED
        case _:
            return f"{type(error).__name__}: {error}; run it again with TIDINGS_DEBUG=1 to see where", FAILED
