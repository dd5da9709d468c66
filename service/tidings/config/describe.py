"""Every setting with its value, unit, reason and source, as `tidings config` prints it."""

import dataclasses
import inspect
import io
import tokenize
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

from tidings.config.settings import SECRET_KEYS, Settings, setting_fields


class SettingInfo(NamedTuple):
    """One setting, as `tidings config` shows it."""

    name: str
    value: str
    unit: str
    reason: str
    source: str


def describe(settings: Settings) -> list[SettingInfo]:
    """Every setting with its value, unit, reason, and where the value came from. Secrets are not shown."""
    rows = []
    for key, _, group in setting_fields():
        value = settings
        for name in key.split("."):
            value = getattr(value, name)
        reason = _field_comments(group).get(name, "")
        rows.append(
            SettingInfo(key, _display_value(key, value), _unit_of(key), reason, settings.sources.get(key, "default"))
        )
    return rows


@cache
def _field_comments(group: type) -> Mapping[str, str]:
    """The comment beside each field, or above it: a limit and its reason are written once, in one place.

    For who wants to see it: reading the sources of all groups takes 40 ms.
    """
    try:
        source = inspect.getsource(group)
    except (OSError, TypeError):
        return {}  # installed without sources
    names = {row.name for row in dataclasses.fields(group)}
    reasons: dict[str, str] = {}
    preceding: list[str] = []
    name = ""  # of the field whose line or lines are being read
    for token in tokenize.generate_tokens(io.StringIO(inspect.cleandoc("\n" + source)).readline):
        if token.type == tokenize.NAME and token.string in names and not token.line[: token.start[1]].strip():
            name = token.string
            reasons[name] = " ".join(preceding)
            preceding = []
        elif token.type == tokenize.COMMENT:
            text = token.string.lstrip("# ")
            if token.line.strip().startswith("#") and not name:
                preceding.append(text)
            elif name:
                reasons[name] = text  # what stands above a field that has a comment of its own is a heading
        elif token.type == tokenize.NEWLINE:
            name = ""
        elif token.type == tokenize.NL and not token.line.strip():
            preceding = []
    return reasons


def _unit_of(key: str) -> str:
    """The last word of a name that is a number's, without `max` and its like."""
    words = [word for word in key.rpartition(".")[2].split("_") if word not in {"max", "min", "default", "pause"}]
    if "per" in words:
        return " ".join(words[-3:])
    return words[-1] if words[-1] in _UNITS else ""


_UNITS: Final = frozenset(
    {"bytes", "seconds", "ms", "chars", "connections", "address", "requests", "streams", "fragments", "items", "events"}
    | {
        "subscriptions",
        "users",
        "rooms",
        "lists",
        "roles",
        "members",
        "commands",
        "keys",
        "reads",
        "cost",
        "batches",
    }
    | {"results", "writes", "pages", "readers", "entries", "lines", "origins"}
)


def _display_value(key: str, value: object) -> str:
    if key in SECRET_KEYS:
        return "(set)" if value else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)
