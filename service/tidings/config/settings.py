"""All settings as dataclasses, and the list of their keys."""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from tidings.domain.limits.limits import RATE_LIMITS, DomainLimits
from tidings.hub import HubLimits, KeyChangeLimits
from tidings.log import LogLimits
from tidings.protocols.rsocket import Limits
from tidings.server.settings import ConnectionLimits, HttpSettings, ListenerSettings, TcpSettings, TlsSettings
from tidings.stores.sqlite.limits import SqliteLimits

SECRET_KEYS: Final = frozenset({"auth.secret"})
# Development mode has no rate limits; the limits of sizes stay the same.
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

    dev: bool = False  # development mode: no tokens, any user name, from this machine only; the room `general` exists
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


@cache
def setting_fields() -> tuple[tuple[str, Any, type], ...]:
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
