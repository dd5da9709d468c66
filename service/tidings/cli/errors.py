"""Errors as one line on stderr that says what to do, and their exit codes."""

import errno
import os
import re
import traceback
from typing import Final

from tidings.cli.terminal import escape_controls, print_note, styled

EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2

GET_TOKEN_HINT: Final = (
    "give it with --token or TIDINGS_TOKEN; where the service's secret is set, this makes one: "
    "tidings token --user NAME"
)
NEW_TOKEN_HINT: Final = "pass it with --token or TIDINGS_TOKEN (see: tidings token --help)"

# What to add to the service's error text, by the name of its code and how the text begins.
HINTS: Final = {
    ("UNAUTHENTICATED", "this service needs a token"): GET_TOKEN_HINT,
    ("UNAUTHENTICATED", "the token"): NEW_TOKEN_HINT,
    ("UNAUTHENTICATED", "your token"): NEW_TOKEN_HINT,
    (
        "UNAUTHENTICATED",
        "no secret is set",
    ): "here: omit --token and TIDINGS_TOKEN, and name the user with --user",
    ("NOT_FOUND", "there is no room"): "here: tidings create ROOM --open; tidings rooms --all lists the open rooms",
    ("CURSOR_LOST", ""): "omit --after",
    ("UNIMPLEMENTED", ""): "the service and this command have different versions; compare: tidings version",
}


# Texts of the library about a value → ours, applied in this order.
MESSAGE_REWRITES: Final = (
    (r"Input should be a valid integer.*", "it is not a whole number"),
    (r"Input should be less than or equal to (\d+)", r"it is at most \1"),
    (r"Input should be greater than or equal to (\d+)", r"it is at least \1"),
    (r"Input should be ", "it should be "),
)

# Exceptions of the service's start whose text is already one line that says what to do. By name: importing their
# modules would add a quarter of a second to a `tidings send` that fails.
SELF_EXPLANATORY_ERRORS: Final = frozenset({"ConfigError", "StartError", "StoreError"})


# Of an OSError without a file name: only stdout is written that way. EBADF: stdout was closed.
STDOUT_ERRNOS: Final = frozenset({errno.EBADF, errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT})


class CliError(Exception):
    """An error that the caller can correct; `text` names the option or command for it."""

    def __init__(self, text: str, exit_code: int = EXIT_FAILURE) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def print_error(error: BaseException) -> int:
    """Print an error on stderr; returns the exit code. With TIDINGS_DEBUG=1 the traceback is printed first."""
    import sys

    if os.environ.get("TIDINGS_DEBUG") == "1":
        traceback.print_exception(error)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text, exit_code = describe_error(error)
    print_note(f"{styled('error:', 'red', stream=sys.stderr)} {escape_controls(' '.join(text.split()))}")
    return exit_code


def rewrite_message(text: str) -> str:
    """A text about a wrong option, without the library's own type names."""
    for pattern, words in MESSAGE_REWRITES:
        text = re.sub(pattern, words, text)
    return text


def describe_error(error: BaseException) -> tuple[str, int]:
    """The text and the exit code for an exception."""
    from typer.exceptions import TyperException

    from tidings.contract.errors import ApiError

    match error:
        case CliError():
            return str(error), error.exit_code
        case TyperException():
            path = getattr(getattr(error, "ctx", None), "command_path", "tidings")
            message = rewrite_message(error.format_message().rstrip("."))
            if path.endswith(" send") and "extra argument" in message:
                return f"{message}: put the text in quotes, as one argument; see: {path} --help", EXIT_USAGE
            return f"{message}{' See' if message.endswith('?') else '; see'}: {path} --help", EXIT_USAGE
        case ApiError():
            hints = [
                hint
                for (code, start), hint in HINTS.items()
                if code == error.code.name and error.text.startswith(start)
            ]
            return "; ".join([error.rsocket_text.rstrip("."), *hints]), EXIT_FAILURE
        case Exception() if type(error).__name__ in SELF_EXPLANATORY_ERRORS:
            return str(error), EXIT_FAILURE
        case OSError() if error.filename is not None:
            return f"cannot open {error.filename}: {error.strerror}", EXIT_FAILURE
        case OSError() if error.errno in STDOUT_ERRNOS:
            return f"cannot write to standard output: {error.strerror}", EXIT_FAILURE
        case _:
            return f"{type(error).__name__}: {error}; run it again with TIDINGS_DEBUG=1 to see where", EXIT_FAILURE
