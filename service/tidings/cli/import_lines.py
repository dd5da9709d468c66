"""Parses lines of JSON into messages to import.

A line is an object with `text`, or an event as `tidings export` writes it; of events only messages are imported:

    {"text": "Hello"}                                        a message
    {"text": "Hello", "reply_to": 41}                        a reply to #41 of the target room
    {"text": "Hello", "id": "slack-1699.02"}                 with its own key, see below
    {"room": "a", "seq": "7", "posted": {"text": "Hello"}}   an exported event

**Idempotency.** Every line has a key that the service stores: its `id`, or else its line number together with its
content. Between two runs lines may be corrected in place or added at the end; to insert or remove lines, give every
line an `id`.
"""

from collections.abc import Iterator
from hashlib import blake2b
from io import BufferedReader
from typing import Any, BinaryIO, Final, NamedTuple

from tidings.cli.errors import CliError
from tidings.contract.protojson.text import JsonError, parse_object

# UTF-32 first: its mark begins with that of UTF-16.
BYTE_ORDER_MARKS: Final = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
# A text of 65,536 bytes is six times as long where every character is written as an escape; the rest is for its keys.
LINE_BYTES_MAX: Final = 524_288
SKIPPED_LINE_BYTES_MAX: Final = 67_108_864  # of one line; a device may be endless
EVENT_KINDS: Final = frozenset({"posted", "edited", "deleted", "reacted", "member", "changed", "appended"})


class ImportLine(NamedTuple):
    """A message to send. `size_bytes` is the length of its line."""

    number: int
    size_bytes: int
    text: str
    reply_to: int
    client_id: str


class SkippedLine(NamedTuple):
    """A line without a message to send: empty, an event of another kind, or a deleted message."""

    number: int
    size_bytes: int


class InvalidLine(NamedTuple):
    """A line that cannot be parsed, and the reason."""

    number: int
    size_bytes: int
    reason: str


ParsedLine = ImportLine | SkippedLine | InvalidLine


def read_lines(file: BinaryIO) -> Iterator[ParsedLine]:
    """Parse each line, in order; at most one line is in memory. CliError for a file in another encoding."""
    number = 0
    start = file.peek(4)[:4] if isinstance(file, BufferedReader) else b""
    for byte_order_mark, encoding in BYTE_ORDER_MARKS.items():
        if start.startswith(byte_order_mark):
            raise CliError(f"the file is in {encoding}, not UTF-8; convert it: iconv -f {encoding} -t UTF-8")
    while raw := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(raw) <= LINE_BYTES_MAX or raw.endswith(b"\n"):
            yield parse_line(number, raw)
            continue
        length = len(raw)
        while raw and not raw.endswith(b"\n"):
            if length > SKIPPED_LINE_BYTES_MAX:
                raise CliError(
                    f"line {number} has more than {SKIPPED_LINE_BYTES_MAX:,} bytes; write one JSON object per line"
                )
            raw = file.readline(LINE_BYTES_MAX)
            length += len(raw)
        yield InvalidLine(number, length, f"longer than {LINE_BYTES_MAX:,} bytes")


def parse_line(number: int, raw: bytes) -> ParsedLine:
    """Parse one line; `raw` includes its line end."""
    content = raw.removesuffix(b"\n").removesuffix(b"\r")
    if number == 1:
        content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        return SkippedLine(number, len(raw))
    try:
        return _parse_object(number, len(raw), content, parse_object(content, values_max=len(content)))
    except JsonError as error:
        return InvalidLine(number, len(raw), f'{error}; write {{"text": "…"}}')
    except ValueError as error:
        return InvalidLine(number, len(raw), str(error))


def _parse_object(number: int, length: int, content: bytes, fields: dict[str, Any]) -> ImportLine | SkippedLine:
    # An exported event has one of the fields of its kind.
    if fields.keys() & EVENT_KINDS:
        posted = fields.get("posted")
        if not isinstance(posted, dict):
            return SkippedLine(number, length)
        deleted = posted.get("deleted", False)
        if not isinstance(deleted, bool):
            raise ValueError("deleted must be true or false")
        if deleted:
            return SkippedLine(number, length)
        return ImportLine(number, length, _text(posted), 0, _client_id(f"{number}\n".encode() + content))
    identity = fields.get("id")
    if identity is None:
        source = f"{number}\n".encode() + content
    elif type(identity) is str and identity:
        source = f"id\n{identity}".encode(errors="surrogatepass")
    elif type(identity) is int:
        source = f"number\n{identity}".encode()  # 1 and "1" are different ids
    else:
        raise ValueError("id must be a string or an integer")
    return ImportLine(number, length, _text(fields), _reply_to(fields), _client_id(source))


def _text(fields: dict[str, Any]) -> str:
    text = fields.get("text")
    if type(text) is not str:
        raise ValueError("text is missing" if text is None else "text must be a string")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("text contains a lone surrogate")
    return text


def _reply_to(fields: dict[str, Any]) -> int:
    number = fields.get("reply_to", 0)
    if type(number) is not int or not 0 <= number < 2**64:
        raise ValueError("reply_to must be the number of a message")
    return number


def _client_id(source: bytes) -> str:
    return f"import-{blake2b(source, digest_size=16).hexdigest()}"
