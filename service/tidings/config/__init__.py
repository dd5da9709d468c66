"""The settings: what there is, where a value came from, what is refused.

Every setting is a field of a frozen dataclass; limits stand where they are used, and are taken up here as groups.
A value comes from, the later the stronger: the field's default, a TOML file (a table per group), the environment
(`TIDINGS_HTTP__PORT` is `http.port`), the command line. Whatever is unknown, of another type or out of range is
refused with one line that names the key, the place, and what is allowed.
"""

from tidings.config.describe import SettingInfo, describe
from tidings.config.load import load
from tidings.config.settings import AuthSettings, ConfigError, Settings

__all__ = ["AuthSettings", "ConfigError", "SettingInfo", "Settings", "describe", "load"]
