"""Output to the terminal. Text of other users always goes through `escape_controls` or `indent_lines` first.

A message may contain escape sequences that repaint the screen or set the clipboard, direction overrides that make a
name look like another, and line breaks that look like the next message. All of them are escaped. Other text (any
alphabet, emoji, combining marks) is unchanged.

Colours and isolates are written to terminals only, not to pipes; `NO_COLOR` turns colours off.
"""

import io
import os
import sys
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Final, TextIO

# Embeddings, overrides and isolates: without an end they also affect the text after them.
DIRECTION_CONTROLS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Line breaks other than "\n".
LINE_BREAKS: Final = frozenset("\u0085\u2028\u2029")
RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"
# The start of every line of a message but its first.
CONTINUATION_INDENT: Final = "    "
TAB: Final = "    "
COLUMN_GAP: Final = "  "
LAST_COLUMN_CHARS_MIN: Final = 10  # in narrower columns titles are broken inside words

STYLES: Final = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def escape_controls(text: str) -> str:
    """The text on one line; characters that could control a terminal are written as escapes (`\\x1b`)."""
    return "".join(map(_escape_character, text))


def indent_lines(text: str, *, indent: str = CONTINUATION_INDENT) -> str:
    """The text with all lines but the first indented, each escaped and isolated (`bidi_isolate`)."""
    return f"\n{indent}".join(bidi_isolate(line) for line in text.split("\n"))


def bidi_isolate(text: str) -> str:
    """The escaped text on one line; on a terminal it does not change the direction of the text beside it."""
    visible = escape_controls(text)
    if is_terminal(sys.stdout) and any(unicodedata.bidirectional(c) in RIGHT_TO_LEFT for c in visible):
        return f"{FIRST_STRONG_ISOLATE}{visible}{POP_ISOLATE}"
    return visible


def styled(text: str, style: str, *, stream: TextIO | None = None) -> str:
    """The text in a style of `STYLES` if the stream shows colours."""
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if _shows_colors(stream or sys.stdout) else text


class StdoutClosed(Exception):
    """The pipe that stdout goes to was closed by its reader; the command ends without an error text."""


def print_line(line: str) -> None:
    """Write one line (or block) to stdout and flush it. Raises StdoutClosed, or OSError."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise StdoutClosed from error


def prepare_streams() -> None:
    """Make stdin, stdout and stderr usable.

    A closed stream is replaced by an empty one; writing to a replaced stdout is an error. Characters that an encoding
    lacks are written as escapes.
    """
    # In this order: an opened file gets the lowest free descriptor, and these are 0, 1 and 2.
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115  # writing to it is an error
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not is_utf8(stream):
            stream.reconfigure(errors="backslashreplace")


def is_utf8(stream: TextIO) -> bool:
    """Whether the stream's encoding has every character."""
    return (stream.encoding or "").lower().replace("-", "") in {"utf8", "utf8sig"}


def print_note(line: str) -> None:
    """Write one line to stderr: notes about the work, not its result."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def pluralize(number: int, noun: str) -> str:
    """`1 line`, `2,000 lines`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal."""
    return stream.isatty()


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str]], *, right: Iterable[str] = ()) -> None:
    """Print a table on a terminal; in a pipe one row per line, cells separated by tabs, without a header.

    Only the last column is wrapped; on a terminal too narrow for that each row is printed as a list.
    """
    if not is_terminal(sys.stdout):
        for row in rows:
            print_line("\t".join(map(escape_controls, row)))
        return
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    columns, rows = list(columns), [list(map(escape_controls, row)) for row in rows]
    widths = [max(map(cell_len, cells)) + len(COLUMN_GAP) for cells in zip(columns, *rows, strict=True)]
    if sum(widths[:-1]) + LAST_COLUMN_CHARS_MIN > console.width:
        for name, *cells in rows:
            print_line(styled(name, "bold"))
            for column, cell in zip(columns[1:], cells, strict=True):
                if cell:
                    print_line(f"{CONTINUATION_INDENT}{styled(column, 'dim')} {cell}")
        return
    rich_table = Table(box=None, pad_edge=False, header_style="dim")
    numbers = set(right)
    for column in columns:
        rich_table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        # Text, not str: rich parses markup in strings, and a room's title may contain some.
        rich_table.add_row(*map(Text, row))
    console.print(rich_table)


def _escape_character(character: str) -> str:
    if character == "\t":
        return TAB
    if character in DIRECTION_CONTROLS or character in LINE_BREAKS or unicodedata.category(character) in {"Cc", "Cs"}:
        return character.encode("unicode_escape").decode()
    return character


@cache
def _shows_colors(stream: TextIO) -> bool:
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
