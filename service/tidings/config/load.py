"""Where values come from: a file, the environment, the command line."""

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tidings.config.settings import DEV_DEFAULTS, SERVICE_DEFAULTS, ConfigError, Settings, setting_fields
from tidings.config.validate import check_combinations, check_range, convert, reject_quoted

ENVIRONMENT_PREFIX: Final = "TIDINGS_"
ENVIRONMENT_SEPARATOR: Final = "__"  # in a variable's name, what the dot is in a key


def load(file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """The settings of a file, an environment and a command line (values by key). Raises ConfigError."""
    raw_values: dict[str, tuple[object, str]] = {}
    for key, value in _from_file(file):
        raw_values[key] = (value, str(file))
    for key, value, variable in _from_environment(environment):
        raw_values[key] = (value, variable)
    for key, override in overrides.items():
        raw_values[key] = (str(override) if isinstance(override, Path) else override, "command line")

    types_by_key = {key: kind for key, kind, _ in setting_fields()}
    values: dict[str, Any] = {}
    for key, (value, source) in raw_values.items():
        if key not in types_by_key:
            raise ConfigError(
                f"{key} (from {source}) is not a setting{_suggestion(key, types_by_key)}; see: tidings config"
            )
        if source == str(file):
            reject_quoted(key, value, types_by_key[key], source)
        values[key] = convert(key, value, types_by_key[key], source)
        check_range(key, values[key], source)
    sources = {key: source for key, (_, source) in raw_values.items()}
    values = SERVICE_DEFAULTS | values
    if values.get("dev"):
        for key, value in DEV_DEFAULTS.items():
            if key not in values:
                values[key], sources[key] = value, "dev"
    settings = _build_settings(values, sources)
    check_combinations(settings)
    return settings


def _suggestion(key: str, keys: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    matches = get_close_matches(key, keys, n=1)
    return f"; is it {matches[0]}?" if matches else ""


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
    single = {key for key, _, _ in setting_fields() if "." not in key}
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if ENVIRONMENT_SEPARATOR in name or name in single:
            yield name.replace(ENVIRONMENT_SEPARATOR, "."), value, variable


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
