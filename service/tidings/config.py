"""The settings: what there is, where a value came from, what is refused.

Every setting is a field of a frozen dataclass; limits stand where they are used, and are taken up here as groups.
A value comes from, the later the stronger: the field's default, a TOML file (a table per group), the environment
(`TIDINGS_HTTP__PORT` is `http.port`), the command line. Whatever is unknown, of another type or out of range is
refused with one line that names the key, the place, and what is allowed.
"""

import dataclasses
import inspect
import io
import json
import re
import tokenize
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, NamedTuple

from tidings.domain.limits.limits import EVERYONE, RATE_LIMITS, SHARED_ROOMS, DomainLimits
from tidings.hub import HubLimits, KeyChangeLimits
from tidings.log import LogLimits
from tidings.protocols.rsocket import Limits
from tidings.server.settings import (
    ConnectionLimits,
    HttpSettings,
    ListenerSettings,
    TcpSettings,
    TlsSettings,
    is_loopback,
)
from tidings.stores.sqlite.limits import SqliteLimits

ENVIRONMENT_PREFIX: Final = "TIDINGS_"
ENVIRONMENT_SEPARATOR: Final = "__"  # in a variable's name, what the dot is in a key
SECRET_BYTES_MIN: Final = 32
PORT_MAX: Final = 65_535
CHOICES: Final = {
    "loop": ("uvloop", "asyncio"),
    "log_level": ("debug", "info", "warning", "error"),
    "domain.presence_visible_to": (EVERYONE, SHARED_ROOMS),
    "http.forwarded_header": ("x-forwarded-for", "forwarded"),
    "http.metrics_access": ("loopback", "anyone", "none"),
}
# Where 0 means something: any free port, no limit, now.
ZERO_ALLOWED: Final = frozenset(
    (
        "http.port",
        "tcp.port",
        "drain_seconds",
        "memory_trim_interval_seconds",
        *(f"domain.{name}" for name in RATE_LIMITS),
        "domain.created_rooms_max",
        "connections.compression_threshold_bytes",
        "connections.user_cpu_ms_per_second_max",
        "connections.address_cpu_ms_per_second_max",
    )
)
SECRET_KEYS: Final = frozenset({"auth.secret"})
# In development nobody is slowed down; the sizes stay what they are.
DEV_DEFAULTS: Final = {
    **{f"domain.{name}": 0 for name in RATE_LIMITS},
    "connections.user_cpu_ms_per_second_max": 0,
    "connections.address_cpu_ms_per_second_max": 0,
}
# The engine may gather payloads of 16 MiB, since the client's side has to. Nobody asks the service anything above
# `connections.request_bytes_max`, which it takes as the limit of one payload as well (`RSocketServer`).
SERVICE_DEFAULTS: Final = {"rsocket.reassembly_connection_bytes_max": 4_194_304}


class ConfigError(ValueError):
    """A setting that cannot be; the text is one line."""


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Whose tokens are taken."""

    secret: str = field(default="", repr=False)  # HS256 key, 32 bytes at least; not needed in development
    issuer: str = ""  # if set, a token's `iss` must be it
    audience: str = ""  # if set, a token's `aud` must hold it


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings."""

    dev: bool = False  # anybody may come in under any name, from this machine only; the room `general` is open
    data: str = "data"  # folder of the database
    loop: str = "uvloop"  # or asyncio
    log_level: str = "info"  # how much is logged: debug, info, warning, error
    log_limits: LogLimits = field(default_factory=LogLimits)
    drain_seconds: float = 10.0  # what was asked may be answered so long after the signal to stop
    memory_trim_interval_seconds: float = (
        30.0  # how often freed memory goes back to the system, where much was freed; 0 = never
    )
    http: HttpSettings = field(default_factory=HttpSettings)
    tcp: TcpSettings = field(default_factory=TcpSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    rsocket: Limits = field(default_factory=Limits)
    hub: HubLimits = field(default_factory=HubLimits)
    key_changes: KeyChangeLimits = field(default_factory=KeyChangeLimits)
    domain: DomainLimits = field(default_factory=DomainLimits)
    store: SqliteLimits = field(default_factory=SqliteLimits)
    # Where each value came from that is not a default, by key.
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def listener(self) -> ListenerSettings:
        """What the transports need of it."""
        return ListenerSettings(self.dev, self.http, self.tcp, self.tls, self.connections, self.rsocket)


class SettingInfo(NamedTuple):
    """One setting, as `tidings config` shows it."""

    name: str
    value: str
    unit: str
    reason: str
    source: str


def load(file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """The settings of a file, an environment and a command line (values by key). Raises ConfigError."""
    raw_values: dict[str, tuple[object, str]] = {}
    for key, value in _from_file(file):
        raw_values[key] = (value, str(file))
    for key, value, variable in _from_environment(environment):
        raw_values[key] = (value, variable)
    for key, override in overrides.items():
        raw_values[key] = (str(override) if isinstance(override, Path) else override, "command line")

    types_by_key = {key: kind for key, kind, _ in _setting_fields()}
    values: dict[str, Any] = {}
    for key, (value, source) in raw_values.items():
        if key not in types_by_key:
            raise ConfigError(
                f"{key} (from {source}) is not a setting{_suggestion(key, types_by_key)}; see: tidings config"
            )
        if source == str(file):
            _reject_quoted(key, value, types_by_key[key], source)
        values[key] = _convert(key, value, types_by_key[key], source)
        _check_range(key, values[key], source)
    sources = {key: source for key, (_, source) in raw_values.items()}
    values = SERVICE_DEFAULTS | values
    if values.get("dev"):
        for key, value in DEV_DEFAULTS.items():
            if key not in values:
                values[key], sources[key] = value, "dev"
    settings = _build_settings(values, sources)
    _check_combinations(settings)
    return settings


def describe(settings: Settings) -> list[SettingInfo]:
    """Every setting with its value, unit, reason, and where the value came from. Secrets are not shown."""
    rows = []
    for key, _, group in _setting_fields():
        value = settings
        for name in key.split("."):
            value = getattr(value, name)
        reason = _field_comments(group).get(name, "")
        rows.append(
            SettingInfo(key, _display_value(key, value), _unit_of(key), reason, settings.sources.get(key, "default"))
        )
    return rows


# --- what there is ----------------------------------------------------------------------------------------------


@cache
def _setting_fields() -> tuple[tuple[str, Any, type], ...]:
    """(key, type, group) of every setting, in order."""
    return tuple(_walk_fields(Settings, ""))


def _walk_fields(group: type, prefix: str) -> Iterator[tuple[str, Any, type]]:
    kinds = typing.get_type_hints(group)
    for row in dataclasses.fields(group):
        kind = kinds[row.name]
        if row.name == "sources":
            continue
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            yield from _walk_fields(kind, f"{prefix}{row.name}.")
        else:
            yield f"{prefix}{row.name}", kind, group


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
        "feeds",
        "visits",
        "batches",
    }
    | {"results", "writes", "pages", "readers", "entries", "lines", "origins"}
)


def _suggestion(key: str, keys: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    matches = get_close_matches(key, keys, n=1)
    return f"; is it {matches[0]}?" if matches else ""


# --- where values come from -------------------------------------------------------------------------------------


def _from_file(file: Path | None) -> Iterator[tuple[str, object]]:
    if file is None:
        return
    import tomllib  # 4 ms, and most services have no file

    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the settings in {file}: {error.strerror}") from error
    except ValueError as error:  # no TOML, no UTF-8, or a number of more digits than Python reads
        raise ConfigError(f"{file} is not TOML: {' '.join(str(error).split())}") from error
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", entry) for key, entry in value.items())
        else:
            yield name, value


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(key, value, variable). TIDINGS_ variables of other parts (TIDINGS_URL and the like) have no level in them."""
    single = {key for key, _, _ in _setting_fields() if "." not in key}
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if ENVIRONMENT_SEPARATOR in name or name in single:
            yield name.replace(ENVIRONMENT_SEPARATOR, "."), value, variable


# --- what they may be -------------------------------------------------------------------------------------------


def _convert(key: str, value: object, kind: Any, source: str) -> object:
    """The value as the field's type; text of the environment is read as that type."""
    target = typing.get_origin(kind) or kind
    text = value if isinstance(value, str) else None
    match target:
        case builtin if builtin is bool:
            if isinstance(value, bool):
                return value
            if text is not None and text.lower() in _BOOLEANS:
                return _BOOLEANS[text.lower()]
            raise _invalid_value(key, value, _TYPE_DESCRIPTIONS[target], source)
        case builtin if builtin is int or builtin is float:
            # An int may stand for a float, never the other way: a file's 4.0000000000000001 has become 4.0 here.
            if type(value) is target or type(value) is int:
                literal = str(value)
            elif text is not None and _NUMBER_PATTERNS[target].fullmatch(text):
                literal = text.replace("_", "")
            else:
                raise _invalid_value(key, value, _TYPE_DESCRIPTIONS[target], source)
            return target(literal)
        case builtin if builtin is tuple:
            if text is not None:
                return tuple(part.strip() for part in text.split(",") if part.strip())
            if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
                return tuple(value)
            raise _invalid_value(key, value, _TYPE_DESCRIPTIONS[target], source)
    if text is None:
        raise _invalid_value(key, value, _TYPE_DESCRIPTIONS[target], source)
    return text


def _reject_quoted(key: str, value: object, kind: Any, source: str) -> None:
    """A file has numbers, lists, true and false of its own; a text in their place is a mistake."""
    target = typing.get_origin(kind) or kind
    if isinstance(value, str) and target is not str:
        corrected = value
        if target is tuple:
            corrected = json.dumps([part.strip() for part in value.split(",")])
        elif target is bool:
            corrected = str(_BOOLEANS.get(value.lower(), True)).lower()
        raise ConfigError(
            f"{key} (from {source}): {value!r} is a text, not {_TYPE_DESCRIPTIONS[target]}; "
            f"write it as {key.rpartition('.')[2]} = {corrected}"
        )


_TYPE_DESCRIPTIONS: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple: "a list of texts",
    str: "a text",
}
# Numbers in the environment are written as in the file.
_INTEGER: Final = r"[+-]?(?:0|[1-9](?:_?[0-9]){0,30})"
_NUMBER_PATTERNS: Final[Mapping[type, re.Pattern[str]]] = {
    int: re.compile(_INTEGER),
    float: re.compile(_INTEGER + r"(?:\.[0-9](?:_?[0-9]){0,30})?(?:[eE][+-]?[0-9]{1,3})?"),
}
_BOOLEANS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def _check_range(key: str, value: Any, source: str) -> None:
    choices = CHOICES.get(key)
    if choices is not None and value not in choices:
        raise _invalid_value(key, value, f"one of {', '.join(choices)}", source)
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise _invalid_value(key, value, "UTF-8", source)
    if key == "data" and not value:
        raise _invalid_value(key, value, "the name of a folder", source)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    if key.endswith(".port"):
        if not 0 <= value <= PORT_MAX:
            raise _invalid_value(key, value, f"0 to {PORT_MAX}", source)
    elif value < 0 or value != value or value == float("inf") or (value == 0 and key not in ZERO_ALLOWED):
        raise _invalid_value(key, value, "a number of 0 or more" if key in ZERO_ALLOWED else "a number above 0", source)


def _invalid_value(key: str, value: object, allowed: str, source: str) -> ConfigError:
    shown = "the value" if key in SECRET_KEYS else repr(value)[:80]
    return ConfigError(f"{key} (from {source}): {shown} is not {allowed}")


def _check_combinations(settings: Settings) -> None:
    """What no single value can be blamed for."""
    hosts = {"http.host (--host)": settings.http.host}
    if settings.tcp.enabled and settings.tcp.host:
        hosts["tcp.host"] = settings.tcp.host
    for key, host in hosts.items():
        if not is_loopback(host):
            if settings.dev:
                raise ConfigError(
                    f"{key} is {host or 'every address'}, but --dev lets anybody in and so listens on this machine only"
                )
            if not settings.tls.certificate and not settings.tls.terminated_by_proxy:
                raise ConfigError(
                    f"{key} is {host or 'every address'}, which is beyond this machine: set tls.certificate, "
                    "or tls.terminated_by_proxy = true if a proxy in front encrypts"
                )
    if not settings.http.path.startswith("/") or settings.http.path in {"/", "/health", "/metrics"}:
        raise ConfigError(
            f"http.path is {settings.http.path!r}; it must begin with / and not be one of the other pages"
        )
    for origin in settings.http.origins:
        scheme, separator, authority = origin.partition("://")
        if not separator or not scheme or not authority or "/" in authority or "*" in origin:
            raise ConfigError(f"http.origins: {origin!r} is not an origin such as https://chat.example.org")
    for network in settings.http.trusted_proxies:
        try:
            is_every_address = ip_network(network).prefixlen == 0
        except ValueError as error:
            raise ConfigError(
                f"http.trusted_proxies: {network!r} is no address or network such as 192.0.2.7 or 10.0.0.0/8 ({error})"
            ) from error
        if is_every_address:
            raise ConfigError(f"http.trusted_proxies: {network!r} is every address there is; name the proxies alone")
    if settings.tls.key and not settings.tls.certificate:
        raise ConfigError("tls.key is set and tls.certificate is not; set both")
    secret_bytes = len(settings.auth.secret.encode())
    if not secret_bytes and not settings.dev:
        raise ConfigError(
            f"auth.secret is not set: set TIDINGS_AUTH__SECRET to {SECRET_BYTES_MIN} bytes or more "
            "(openssl rand -hex 32), or start with --dev to try things out on this machine"
        )
    if secret_bytes and secret_bytes < SECRET_BYTES_MIN:
        raise ConfigError(
            f"auth.secret has {secret_bytes} bytes; at least {SECRET_BYTES_MIN} are needed: openssl rand -hex 32"
        )


def _build_settings(values: Mapping[str, Any], sources: Mapping[str, str]) -> Settings:
    def build_group(group: type, prefix: str) -> Any:
        kinds = typing.get_type_hints(group)
        given: dict[str, Any] = {}
        for row in dataclasses.fields(group):
            key = f"{prefix}{row.name}"
            if dataclasses.is_dataclass(kinds[row.name]):
                given[row.name] = build_group(kinds[row.name], f"{key}.")
            elif key in values:
                given[row.name] = values[key]
        try:
            return group(**given)
        except ValueError as error:
            # A group knows best what its own values may be; its sentence begins with the field's name.
            raise ConfigError(f"{prefix}{' '.join(str(error).split())}") from error

    filled: Settings = build_group(Settings, "")
    return dataclasses.replace(filled, sources=types.MappingProxyType(dict(sources)))


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
