"""JSON text → Python values, with all checks that need no message descriptor.

The scanner is that of the standard library, written in C. What it accepts although JSON or this contract does not is
rejected here: NaN and Infinity, a name that occurs twice in one object, more values or deeper nesting than any request
needs. The last two are counted in the bytes, before an object exists for each value, so the time for hostile text is
linear in its length. Numbers other than short integers stay text (`NumberText`): `4.0000000000000001` is not rounded
to 4, and 5,000 digits cost no more than 5,000 characters.
"""

import json
from collections import Counter
from itertools import accumulate
from typing import Any, Final, NoReturn

# Brackets within brackets. Upb stops at 100 for Protobuf, and the deepest request has 3.
JSON_DEPTH_MAX: Final = 100
# Commas and opening brackets in one text: room for a thousand names, four times. A value takes the scanner up to
# 0.5 us and may have two bytes.
JSON_VALUES_MAX: Final = 4_096

INTEGER_DIGITS_MAX: Final = 20  # of 2**64; Python's `int` takes quadratic time for more
PREVIEW_CHARS_MAX: Final = 40  # of a foreign value in an error


class JsonError(Exception):
    """The JSON is invalid. `path` is that of the field, empty for the text as a whole."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(problem, path)
        self.problem = problem
        self.path = path

    def __str__(self) -> str:
        return f"{self.path or 'it'} {self.problem}"

    def within(self, name: str) -> "JsonError":
        """The same, seen from the object that holds the field `name`."""
        self.path = f"{name}.{self.path}" if self.path and self.path[0] != "[" else name + self.path
        return self


class UnsupportedFieldError(Exception):
    """A field of a type that no message used so far; decide how JSON maps to it and add it to reader and writer."""


class NumberText(str):
    """A JSON number as written: with a fraction, an exponent, or more digits than any field holds."""

    __slots__ = ()


def parse_object(data: bytes, *, values_max: int = JSON_VALUES_MAX) -> dict[str, Any]:
    """The members of the JSON object in `data`, UTF-8. Raises JsonError if it is invalid or has more values."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise JsonError(f"is not UTF-8 from byte {error.start:,} on") from None
    text = text.strip(" \t\r\n")
    if text[:1] != "{":
        raise JsonError("begins with a byte order mark; leave it out" if text[:1] == "\ufeff" else "is not an object")
    if len(data) > JSON_DEPTH_MAX:  # a shorter text cannot exceed the limits
        _check_structure(data, values_max)
    try:
        members, end = _scan(text, 0)
    except StopIteration as error:
        raise JsonError(f"is not JSON from character {error.value + 1:,} on") from None
    except json.JSONDecodeError as error:
        raise JsonError(f"is not JSON from character {error.pos + 1:,} on") from None
    if end != len(text):
        raise JsonError(f"goes on after the object, at character {end + 1:,}; send one object")
    return members  # type: ignore[no-any-return]  # the text begins with {


def preview(value: object) -> str:
    """A value for an error's text: short, one line, ASCII."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case NumberText():
            text, end = str(value), ""
        case str():
            text, end = json.dumps(value[: PREVIEW_CHARS_MAX + 1])[:-1], '"'
        case _:
            text, end = json.dumps(value), ""
    return (text if len(text) <= PREVIEW_CHARS_MAX else text[:PREVIEW_CHARS_MAX] + "…") + end


def _check_structure(data: bytes, values_max: int) -> None:
    """Raise JsonError for too many values or too deep nesting; characters in strings do not count."""
    if data.count(b",") + data.count(b"[") + data.count(b"{") <= JSON_DEPTH_MAX:
        return
    # Without escaped backslashes and quotes, each quote begins or ends a string. A value has two strings at most,
    # itself and its name.
    quotes_max = 4 * values_max
    parts = data.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"', quotes_max + 1)
    outside = b"".join(parts[::2])
    brackets = outside.translate(None, _NON_BRACKETS)
    opening = brackets.count(b"[") + brackets.count(b"{")
    if len(parts) > quotes_max + 1 or outside.count(b",") + opening > values_max:
        raise JsonError(f"has more than {values_max:,} values; ask in several requests")
    if len(brackets) > 2 * opening:
        raise JsonError("is not JSON: more brackets are closed than opened")
    if max(accumulate(map(_DEPTH_CHANGES.__getitem__, brackets)), default=0) > JSON_DEPTH_MAX:
        raise JsonError(f"is nested more than {JSON_DEPTH_MAX} deep")


_DEPTH_CHANGES: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NON_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in _DEPTH_CHANGES)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises JsonError for a duplicate name, because JSON readers disagree about which value counts."""
    members = dict(pairs)
    if len(members) < len(pairs):
        duplicate = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise JsonError(f"has {preview(duplicate)} twice in one object")
    return members


def _parse_integer(text: str) -> int | NumberText:
    return int(text) if len(text) <= INTEGER_DIGITS_MAX else NumberText(text)


def _reject_constant(name: str) -> NoReturn:
    raise JsonError(f"has {name}, which is no JSON")


class UniqueNamesDecoder(json.JSONDecoder):
    """The decoder of the standard library; raises JsonError for a duplicate name in an object."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_unique_members)


# Made once, because `json.loads` makes a decoder in each call with a hook.
_scan: Final = json.JSONDecoder(
    object_pairs_hook=_unique_members, parse_int=_parse_integer, parse_float=NumberText, parse_constant=_reject_constant
).scan_once  # type: ignore[attr-defined]  # as `raw_decode` uses it
