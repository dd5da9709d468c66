"""What values may be: types, ranges, and combinations."""

import json
import re
import typing
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, Final

from tidings.config.settings import SECRET_KEYS, ConfigError, Settings
from tidings.domain.limits.limits import EVERYONE, RATE_LIMITS, SHARED_ROOMS
from tidings.server.settings import is_loopback

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


def convert(key: str, value: object, kind: Any, source: str) -> object:
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


def reject_quoted(key: str, value: object, kind: Any, source: str) -> None:
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


def check_range(key: str, value: Any, source: str) -> None:
    """Raise ConfigError where a value of the right type is not one of the choices, or out of range."""
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


def check_combinations(settings: Settings) -> None:
    """Raise ConfigError where values do not fit together, or a value needs more than its type."""
    for check in (_check_hosts, _check_path, _check_origins, _check_proxies, _check_tls, _check_secret):
        check(settings)


def _check_hosts(settings: Settings) -> None:
    """Beyond this machine only with encryption, and never in development."""
    hosts = {"http.host (--host)": settings.http.host}
    if settings.tcp.enabled and settings.tcp.host:
        hosts["tcp.host"] = settings.tcp.host
    for key, host in hosts.items():
        if not is_loopback(host):
            if settings.dev:
                raise ConfigError(
                    f"{key} is {host or 'every address'}, but --dev needs no tokens and so listens on this machine only"
                )
            if not settings.tls.certificate and not settings.tls.terminated_by_proxy:
                raise ConfigError(
                    f"{key} is {host or 'every address'}, which is beyond this machine: set tls.certificate, "
                    "or tls.terminated_by_proxy = true if a proxy in front encrypts"
                )


def _check_path(settings: Settings) -> None:
    """The WebSocket's path is none of the other pages."""
    if not settings.http.path.startswith("/") or settings.http.path in {"/", "/health", "/metrics"}:
        raise ConfigError(
            f"http.path is {settings.http.path!r}; it must begin with / and not be one of the other pages"
        )


def _check_origins(settings: Settings) -> None:
    """Origins are whole: scheme, host and port."""
    for origin in settings.http.origins:
        scheme, separator, authority = origin.partition("://")
        if not separator or not scheme or not authority or "/" in authority or "*" in origin:
            raise ConfigError(f"http.origins: {origin!r} is not an origin such as https://chat.example.org")


def _check_proxies(settings: Settings) -> None:
    """Proxies are named, not every address."""
    for network in settings.http.trusted_proxies:
        try:
            is_every_address = ip_network(network).prefixlen == 0
        except ValueError as error:
            raise ConfigError(
                f"http.trusted_proxies: {network!r} is no address or network such as 192.0.2.7 or 10.0.0.0/8 ({error})"
            ) from error
        if is_every_address:
            raise ConfigError(f"http.trusted_proxies: {network!r} is every address there is; name the proxies alone")


def _check_tls(settings: Settings) -> None:
    """A key needs its certificate."""
    if settings.tls.key and not settings.tls.certificate:
        raise ConfigError("tls.key is set and tls.certificate is not; set both")


def _check_secret(settings: Settings) -> None:
    """Outside of development there is a secret, and it is long enough."""
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
