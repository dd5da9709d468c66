"""What went wrong, as one line on stderr that says what to do, and the exit code that goes with it."""

import errno
import os
import traceback
from typing import Final

from tidings.cli.screen import clean, note, styled

FAILED: Final = 1
MISUSED: Final = 2

# What to add to the service's own sentence, by the name of its code and how the sentence begins.
HINTS: Final = {
    (
        "UNAUTHENTICATED",
        "",
    ): "sign in with --token (see: tidings token --help), or with --user where the service runs --dev",
    ("NOT_FOUND", "there is no room"): "here: tidings create ROOM --open, and tidings rooms --all for those there are",
    ("CURSOR_LOST", ""): "leave out --after",
    ("UNIMPLEMENTED", ""): "service and command are of different versions; compare: tidings version",
}


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


def explain(error: BaseException) -> tuple[str, int]:
    """The sentence and the exit code for an exception."""
    from typer.exceptions import TyperException

    from tidings.contract.errors import Failure

    match error:
        case Complaint():
            return str(error), error.exit_code
        case TyperException():
            path = getattr(getattr(error, "ctx", None), "command_path", "tidings")
            said = error.format_message().rstrip(".")
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
