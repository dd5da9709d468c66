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

from tidings.domain.limits import EVERYONE, PACES, SHARED_ROOMS, DomainLimits
from tidings.hub import BoardLimits, HubLimits
from tidings.log import LogLimits
from tidings.rsocket import Limits
from tidings.stores.limits import StoreLimits
from tidings.transports.settings import (
    ConnectionLimits,
    HttpSettings,
    ListenerSettings,
    TcpSettings,
    TlsSettings,
    is_loopback,
)

ENVIRONMENT_PREFIX: Final = "TIDINGS_"
LEVEL: Final = "__"  # in a variable's name, what the dot is in a key
SECRET_BYTES_MIN: Final = 32
PORT_MAX: Final = 65_535
CHOICES: Final = {
    "loop": ("uvloop", "asyncio"),
    "log": ("debug", "info", "warning", "error"),
    "domain.presence_visible_to": (EVERYONE, SHARED_ROOMS),
    "http.forwarded_header": ("x-forwarded-for", "forwarded"),
    "http.metrics": ("loopback", "anyone", "nobody"),
}
# Where 0 means something: any free port, no limit, now.
MAY_BE_ZERO: Final = frozenset(
    (
        "http.port",
        "tcp.port",
        "drain_seconds",
        "trim_seconds",
        *(f"domain.{name}" for name in PACES),
        "domain.created_rooms_max",
        "connections.compressed_bytes_min",
        "connections.user_processor_ms_per_second_max",
        "connections.address_processor_ms_per_second_max",
    )
)
SECRETS: Final = frozenset({"auth.secret"})
# In development nobody is slowed down; the sizes stay what they are.
DEV_DEFAULTS: Final = {
    **{f"domain.{name}": 0 for name in PACES},
    "connections.user_processor_ms_per_second_max": 0,
    "connections.address_processor_ms_per_second_max": 0,
}
# The engine may gather payloads of 16 MiB, since the client's side has to. Nobody asks the service anything above
# `connections.request_bytes_max`, which it takes as the limit of one payload as well (`RSocketService`).
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
    log: str = "info"  # how much is logged: debug, info, warning, error
    log_limits: LogLimits = field(default_factory=LogLimits)
    drain_seconds: float = 10.0  # what was asked may be answered so long after the signal to stop
    trim_seconds: float = 30.0  # how often freed memory goes back to the system, where much was freed; 0 = never
    http: HttpSettings = field(default_factory=HttpSettings)
    tcp: TcpSettings = field(default_factory=TcpSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    rsocket: Limits = field(default_factory=Limits)
    hub: HubLimits = field(default_factory=HubLimits)
    board: BoardLimits = field(default_factory=BoardLimits)
    domain: DomainLimits = field(default_factory=DomainLimits)
    store: StoreLimits = field(default_factory=StoreLimits)
    # Where each value came from that is not a default, by key.
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def listener(self) -> ListenerSettings:
        """What the transports need of it."""
        return ListenerSettings(self.dev, self.http, self.tcp, self.tls, self.connections, self.rsocket)


class SettingRow(NamedTuple):
    """One setting, as `tidings config` shows it."""

    name: str
    value: str
    unit: str
    reason: str
    source: str


def load(file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """The settings of a file, an environment and a command line (values by key). Raises ConfigError."""
    given: dict[str, tuple[object, str]] = {}
    for key, value in _from_file(file):
        given[key] = (value, str(file))
    for key, value, variable in _from_environment(environment):
        given[key] = (value, variable)
    for key, override in overrides.items():
        given[key] = (str(override) if isinstance(override, Path) else override, "command line")

    known = {key: kind for key, kind, _ in _keys()}
    values: dict[str, Any] = {}
    for key, (value, source) in given.items():
        if key not in known:
            raise ConfigError(f"{key} (from {source}) is not a setting{_nearest(key, known)}; see: tidings config")
        if source == str(file):
            _refuse_quoted(key, value, known[key], source)
        values[key] = _typed(key, value, known[key], source)
        _check_range(key, values[key], source)
    sources = {key: source for key, (_, source) in given.items()}
    values = SERVICE_DEFAULTS | values
    if values.get("dev"):
        for key, value in DEV_DEFAULTS.items():
            if key not in values:
                values[key], sources[key] = value, "dev"
    settings = _build(values, sources)
    _check_whole(settings)
    return settings


def describe(settings: Settings) -> list[SettingRow]:
    """Every setting with its value, unit, reason, and where the value came from. Secrets are not shown."""
    rows = []
    for key, _, group in _keys():
        value = settings
        for name in key.split("."):
            value = getattr(value, name)
        reason = _reasons(group).get(name, "")
        rows.append(SettingRow(key, _shown(key, value), _unit(key), reason, settings.sources.get(key, "default")))
    return rows


# --- what there is ----------------------------------------------------------------------------------------------


@cache
def _keys() -> tuple[tuple[str, Any, type], ...]:
    """(key, type, group) of every setting, in order."""
    return tuple(_walk(Settings, ""))


def _walk(group: type, prefix: str) -> Iterator[tuple[str, Any, type]]:
    kinds = typing.get_type_hints(group)
    for row in dataclasses.fields(group):
        kind = kinds[row.name]
        if row.name == "sources":
            continue
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            yield from _walk(kind, f"{prefix}{row.name}.")
        else:
            yield f"{prefix}{row.name}", kind, group


@cache
def _reasons(group: type) -> Mapping[str, str]:
    """The comment beside each field, or above it: a limit and its reason are written once, in one place.

    For who wants to see it: reading the sources of all groups takes 40 ms.
    """
    try:
        source = inspect.getsource(group)
    except (OSError, TypeError):
        return {}  # installed without sources
    names = {row.name for row in dataclasses.fields(group)}
    reasons: dict[str, str] = {}
    above: list[str] = []
    name = ""  # of the field whose line or lines are being read
    for token in tokenize.generate_tokens(io.StringIO(inspect.cleandoc("\n" + source)).readline):
        if token.type == tokenize.NAME and token.string in names and not token.line[: token.start[1]].strip():
            name = token.string
            reasons[name] = " ".join(above)
            above = []
        elif token.type == tokenize.COMMENT:
            text = token.string.lstrip("# ")
            if token.line.strip().startswith("#") and not name:
                above.append(text)
            elif name:
                reasons[name] = text  # what stands above a field that has a comment of its own is a heading
        elif token.type == tokenize.NEWLINE:
            name = ""
        elif token.type == tokenize.NL and not token.line.strip():
            above = []
    return reasons


def _unit(key: str) -> str:
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


def _nearest(key: str, known: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, known, n=1)
    return f"; is it {near[0]}?" if near else ""


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
    single = {key for key, _, _ in _keys() if "." not in key}
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if LEVEL in name or name in single:
            yield name.replace(LEVEL, "."), value, variable


# --- what they may be -------------------------------------------------------------------------------------------


def _typed(key: str, value: object, kind: Any, source: str) -> object:
    """The value as the field's type; text of the environment is read as that type."""
    wanted = typing.get_origin(kind) or kind
    said = value if isinstance(value, str) else None
    match wanted:
        case builtin if builtin is bool:
            if isinstance(value, bool):
                return value
            if said is not None and said.lower() in _WORDS:
                return _WORDS[said.lower()]
            raise _wrong(key, value, _KINDS[wanted], source)
        case builtin if builtin is int or builtin is float:
            # An int may stand for a float, never the other way: a file's 4.0000000000000001 has become 4.0 here.
            if type(value) is wanted or type(value) is int:
                written = str(value)
            elif said is not None and _NUMBERS[wanted].fullmatch(said):
                written = said.replace("_", "")
            else:
                raise _wrong(key, value, _KINDS[wanted], source)
            return wanted(written)
        case builtin if builtin is tuple:
            if said is not None:
                return tuple(part.strip() for part in said.split(",") if part.strip())
            if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
                return tuple(value)
            raise _wrong(key, value, _KINDS[wanted], source)
    if said is None:
        raise _wrong(key, value, _KINDS[wanted], source)
    return said


def _refuse_quoted(key: str, value: object, kind: Any, source: str) -> None:
    """A file has numbers, lists, true and false of its own; a text in their place is a mistake."""
    wanted = typing.get_origin(kind) or kind
    if isinstance(value, str) and wanted is not str:
        right = value
        if wanted is tuple:
            right = json.dumps([part.strip() for part in value.split(",")])
        elif wanted is bool:
            right = str(_WORDS.get(value.lower(), True)).lower()
        raise ConfigError(
            f"{key} (from {source}): {value!r} is a text, not {_KINDS[wanted]}; "
            f"write it as {key.rpartition('.')[2]} = {right}"
        )


_KINDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple: "a list of texts",
    str: "a text",
}
# Numbers in the environment are written as in the file.
_WHOLE: Final = r"[+-]?(?:0|[1-9](?:_?[0-9]){0,30})"
_NUMBERS: Final[Mapping[type, re.Pattern[str]]] = {
    int: re.compile(_WHOLE),
    float: re.compile(_WHOLE + r"(?:\.[0-9](?:_?[0-9]){0,30})?(?:[eE][+-]?[0-9]{1,3})?"),
}
_WORDS: Final = {
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
        raise _wrong(key, value, f"one of {', '.join(choices)}", source)
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise _wrong(key, value, "UTF-8", source)
    if key == "data" and not value:
        raise _wrong(key, value, "the name of a folder", source)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    if key.endswith(".port"):
        if not 0 <= value <= PORT_MAX:
            raise _wrong(key, value, f"0 to {PORT_MAX}", source)
    elif value < 0 or value != value or value == float("inf") or (value == 0 and key not in MAY_BE_ZERO):
        raise _wrong(key, value, "a number of 0 or more" if key in MAY_BE_ZERO else "a number above 0", source)


def _wrong(key: str, value: object, allowed: str, source: str) -> ConfigError:
    shown = "the value" if key in SECRETS else repr(value)[:80]
    return ConfigError(f"{key} (from {source}): {shown} is not {allowed}")


def _check_whole(settings: Settings) -> None:
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
            if not settings.tls.certificate and not settings.tls.elsewhere:
                raise ConfigError(
                    f"{key} is {host or 'every address'}, which is beyond this machine: set tls.certificate, "
                    "or tls.elsewhere = true if a proxy in front encrypts"
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
            whole = ip_network(network).prefixlen == 0
        except ValueError as error:
            raise ConfigError(
                f"http.trusted_proxies: {network!r} is no address or network such as 192.0.2.7 or 10.0.0.0/8 ({error})"
            ) from error
        if whole:
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


def _build(values: Mapping[str, Any], sources: Mapping[str, str]) -> Settings:
    def fill(group: type, prefix: str) -> Any:
        kinds = typing.get_type_hints(group)
        given: dict[str, Any] = {}
        for row in dataclasses.fields(group):
            key = f"{prefix}{row.name}"
            if dataclasses.is_dataclass(kinds[row.name]):
                given[row.name] = fill(kinds[row.name], f"{key}.")
            elif key in values:
                given[row.name] = values[key]
        try:
            return group(**given)
        except ValueError as error:
            # A group knows best what its own values may be; its sentence begins with the field's name.
            raise ConfigError(f"{prefix}{' '.join(str(error).split())}") from error

    filled: Settings = fill(Settings, "")
    return dataclasses.replace(filled, sources=types.MappingProxyType(dict(sources)))


def _shown(key: str, value: object) -> str:
    if key in SECRETS:
        return "(set)" if value else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)
