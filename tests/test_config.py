"""Settings: where values come from, what is refused and in which words."""

import dataclasses
from pathlib import Path

import pytest

from tidings.config import ConfigError, Settings, describe, load
from tidings.domain.limits.limits import RATE_LIMITS, DomainLimits

SECRET = "s" * 32


def dev_settings(**overrides: object) -> Settings:
    return load(None, {}, {"dev": True, **{key.replace("__", "."): value for key, value in overrides.items()}})


def config_error(*args: object, **overrides: object) -> str:
    with pytest.raises(ConfigError) as error:
        dev_settings(**overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


def load_file(tmp_path: Path, text: str, environment: dict[str, str] | None = None, **overrides: object) -> Settings:
    file = tmp_path / "tidings.toml"
    file.write_text(text)
    return load(file, environment or {}, {"dev": True, **overrides})


# --- where values come from -------------------------------------------------------------------------------------


def test_development_needs_no_setting_but_dev() -> None:
    settings = dev_settings()
    assert settings.http.host == "127.0.0.1"
    assert settings.domain.sends_per_second_max == 0
    assert settings.domain.calls_per_second_max == 0
    paced = DomainLimits()
    assert dataclasses.replace(paced, **dict.fromkeys(RATE_LIMITS, 0)) == settings.domain  # type: ignore[arg-type]


def test_file_environment_and_command_line_overrule_each_other_in_this_order(tmp_path: Path) -> None:
    text = "[http]\nport = 1001\npath = '/a'\n[hub]\ntail_events_max = 5\n[tcp]\nport = 1001\n"
    environment = {"TIDINGS_HTTP__PORT": "1002", "TIDINGS_HTTP__PATH": "/b", "TIDINGS_DATA": "elsewhere"}
    settings = load_file(tmp_path, text, environment, **{"http.port": 1003})
    assert (settings.tcp.port, settings.http.path, settings.http.port) == (1001, "/b", 1003)
    assert (settings.hub.tail_events_max, settings.data) == (5, "elsewhere")
    sources = {row.name: row.source for row in describe(settings)}
    assert sources["tcp.port"] == str(tmp_path / "tidings.toml")
    assert sources["http.path"] == "TIDINGS_HTTP__PATH"
    assert sources["http.port"] == "command line"
    assert sources["hub.tail_bytes_max"] == "default"
    assert sources["domain.sends_per_second_max"] == "dev"


def test_variables_of_the_command_line_tool_are_left_alone() -> None:
    load(None, {"TIDINGS_URL": "ws://x", "TIDINGS_TOKEN": "y", "TIDINGS_USER": "z", "PATH": "/bin"}, {"dev": True})


def test_text_of_the_environment_is_read_as_the_settings_type() -> None:
    settings = load(
        None,
        {
            "TIDINGS_DEV": "yes",
            "TIDINGS_TCP__ENABLED": "false",
            "TIDINGS_CONNECTIONS__CONNECTIONS_MAX": "12_000",
            "TIDINGS_CONNECTIONS__HTTP_HEAD_SECONDS": "2.5",
            "TIDINGS_HTTP__ORIGINS": "https://a.example, https://b.example",
        },
        {},
    )
    assert settings.dev is True
    assert settings.tcp.enabled is False
    assert settings.connections.connections_max == 12_000
    assert settings.connections.http_head_seconds == 2.5
    assert settings.http.origins == ("https://a.example", "https://b.example")


def test_a_path_on_the_command_line_is_a_text(tmp_path: Path) -> None:
    assert dev_settings(data=tmp_path).data == str(tmp_path)


def test_explicit_rate_limits_hold_in_development_too() -> None:
    assert dev_settings(domain__sends_per_second_max=3.0).domain.sends_per_second_max == 3.0


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"http__prot": 1}, ["http.prot", "is it http.port?"]),
        ({"nonsense": 1}, ["nonsense", "tidings config"]),
        ({"http__port": "many"}, ["http.port", "'many'", "a whole number"]),
        ({"http__port": 70_000}, ["http.port", "0 to 65535"]),
        ({"http__port": -1}, ["http.port"]),
        ({"http__port": True}, ["http.port", "a whole number"]),
        ({"http__port": 1.5}, ["http.port", "a whole number"]),
        ({"http__port": 7878.0}, ["http.port", "a whole number"]),
        ({"http__port": float("inf")}, ["http.port", "a whole number"]),
        ({"http__port": "７８７８"}, ["http.port", "a whole number"]),
        ({"http__port": " 7878"}, ["http.port", "a whole number"]),
        ({"http__port": "7878.0"}, ["http.port", "a whole number"]),
        ({"http__port": "07878"}, ["http.port", "a whole number"]),
        ({"http__port": "7__878"}, ["http.port", "a whole number"]),
        ({"http__port": "7878_"}, ["http.port", "a whole number"]),
        ({"http__port": "9" * 5000}, ["http.port"]),
        ({"connections__http_head_seconds": "1_0.5 "}, ["connections.http_head_seconds", "a number"]),
        ({"connections__http_head_seconds": "１"}, ["connections.http_head_seconds", "a number"]),
        ({"connections__http_head_seconds": True}, ["connections.http_head_seconds", "a number"]),
        ({"connections__http_head_seconds": 10**400}, ["connections.http_head_seconds"]),
        ({"dev": "perhaps"}, ["dev", "true or false"]),
        ({"http__host": 5}, ["http.host", "a text"]),
        ({"http__origins": 5}, ["http.origins", "a list"]),
        ({"http__origins": ["*"]}, ["http.origins", "'*'"]),
        ({"http__origins": ["https://a.example/"]}, ["http.origins"]),
        ({"http__trusted_proxies": ["proxy.example"]}, ["http.trusted_proxies", "'proxy.example'", "10.0.0.0/8"]),
        ({"http__trusted_proxies": ["10.0.0.1/8"]}, ["http.trusted_proxies", "host bits set"]),
        ({"http__trusted_proxies": ["0.0.0.0/0"]}, ["http.trusted_proxies", "every address"]),
        ({"http__trusted_proxies": ["::/0"]}, ["http.trusted_proxies", "every address"]),
        ({"http__metrics_access": "everyone"}, ["http.metrics_access", "loopback, anyone, none"]),
        ({"loop": "trio"}, ["loop", "uvloop, asyncio"]),
        ({"hub__tail_events_max": 0}, ["hub.tail_events_max", "above 0"]),
        ({"domain__sends_per_second_max": -1}, ["domain.sends_per_second_max", "0 or more"]),
        ({"connections__http_head_seconds": "inf"}, ["connections.http_head_seconds"]),
        ({"connections__http_head_seconds": "nan"}, ["connections.http_head_seconds"]),
        ({"rsocket__fragment_bytes": 10}, ["rsocket.fragment_bytes", "64 to 16777215"]),
        ({"http__path": "rsocket"}, ["http.path"]),
        ({"http__path": "/metrics"}, ["http.path"]),
        ({"tls__key": "key.pem"}, ["tls.certificate"]),
        ({"auth__secret": "short"}, ["auth.secret", "5 bytes", "32"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_that_names_it(overrides: dict[str, object], words: list[str]) -> None:
    text = config_error(**overrides)
    for word in words:
        assert word in text


def test_a_secret_is_never_repeated() -> None:
    text = config_error(auth__secret=12345)
    assert "12345" not in text
    settings = dev_settings(auth__secret=SECRET)
    assert SECRET not in repr(settings)
    assert all(SECRET not in row.value for row in describe(settings))
    assert {row.name: row.value for row in describe(settings)}["auth.secret"] == "(set)"


def test_unknown_keys_of_a_file_are_refused_with_the_file(tmp_path: Path) -> None:
    for text in ("colour = 'red'", "[http]\ncolour = 'red'", "[colours]\nfront = 'red'", "[http.deeper]\nport = 1"):
        with pytest.raises(ConfigError, match=r"tidings\.toml"):
            load_file(tmp_path, text)


def test_unknown_settings_of_the_environment_are_refused_with_the_variable() -> None:
    with pytest.raises(ConfigError, match="TIDINGS_HTTP__COLOUR"):
        load(None, {"TIDINGS_HTTP__COLOUR": "red"}, {"dev": True})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[http]\nport = '8000'", "'8000' is a text, not a whole number; write it as port = 8000"),
        ("drain_seconds = '5'", "'5' is a text, not a number; write it as drain_seconds = 5"),
        ("[tcp]\nenabled = 'no'", "'no' is a text, not true or false; write it as enabled = false"),
        (
            "[http]\norigins = 'https://a.example'",
            "'https://a.example' is a text, not a list of texts; write it as origins = [\"https://a.example\"]",
        ),
    ],
)
def test_what_is_quoted_in_a_file_and_is_no_text_is_refused_with_the_right_form(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load_file(tmp_path, text)
    assert str(refused.value).endswith(complaint)


def test_a_file_that_is_missing_or_no_toml_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the settings in"):
        load(tmp_path / "absent.toml", {}, {"dev": True})
    with pytest.raises(ConfigError, match="is not TOML"):
        load_file(tmp_path, "[http\nport")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_file(tmp_path, f"[http]\nport = {'9' * 5000}")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "", "::", "chat.example.org", "127.evil.example"])
def test_development_listens_on_this_machine_only(host: str) -> None:
    text = config_error(http__host=host)
    assert "--host" in text
    assert "--dev" in text
    assert "tcp.host" in config_error(tcp__host="0.0.0.0")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_loopback_has_many_names(host: str) -> None:
    assert dev_settings(http__host=host).http.host == host


def production_settings(**overrides: object) -> Settings:
    named = {key.replace("__", "."): value for key, value in overrides.items()}
    return load(None, {"TIDINGS_AUTH__SECRET": SECRET}, named)


def test_production_needs_a_secret() -> None:
    with pytest.raises(ConfigError, match="TIDINGS_AUTH__SECRET"):
        load(None, {}, {})
    assert production_settings().auth.secret == SECRET


def test_beyond_this_machine_there_is_encryption_somewhere() -> None:
    with pytest.raises(ConfigError, match=r"tls\.certificate"):
        production_settings(http__host="0.0.0.0")
    assert production_settings(http__host="0.0.0.0", tls__certificate="cert.pem").http.host == "0.0.0.0"
    assert production_settings(http__host="0.0.0.0", tls__terminated_by_proxy=True).http.host == "0.0.0.0"
    assert production_settings(tcp__enabled=False, tcp__host="0.0.0.0").tcp.host == "0.0.0.0"


# --- what there is ----------------------------------------------------------------------------------------------


def test_every_setting_is_described_and_every_limit_has_a_unit() -> None:
    rows = describe(dev_settings())
    assert len({row.name for row in rows}) == len(rows)
    by_name = {row.name: row for row in rows}
    assert by_name["hub.tail_events_max"].unit == "events"
    assert by_name["connections.write_stall_seconds"].unit == "seconds"
    assert by_name["rsocket.keepalives_per_second_max"].unit == "keepalives per second"
    assert "phone" in by_name["hub.tail_events_max"].reason
    assert by_name["rsocket.frame_bytes_max"].value == "16_777_215"
    assert all("\n" not in cell for row in rows for cell in row)
    assert all(row.reason for row in rows if row.name.partition(".")[0] in {"connections", "rsocket", "hub"})


def test_the_listener_gets_its_part() -> None:
    settings = dev_settings(http__port=0)
    assert settings.listener.http is settings.http
    assert settings.listener.tcp_host == "127.0.0.1"
    assert settings.listener.rsocket is settings.rsocket


def test_the_service_gathers_less_than_its_engine_could_and_an_operator_may_change_that() -> None:
    settings = load(None, {}, {"dev": True})
    assert settings.rsocket.reassembly_bytes_max >= settings.connections.request_bytes_max
    assert settings.rsocket.reassembly_connection_bytes_max == 4_194_304
    assert load(None, {}, {"dev": True, "rsocket.reassembly_bytes_max": 65_536}).rsocket.reassembly_bytes_max == 65_536
