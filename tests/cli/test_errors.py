"""What goes wrong is one line on stderr that says what to do, and an exit code."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cli.command import CommandRunner, tidings
from tidings.cli.errors import describe_error
from tidings.contract.errors import not_found, unauthenticated

CLIENT_COMMANDS = [
    ("send", "general", "hi"),
    ("tail", "general"),
    ("history", "general"),
    ("search", "word"),
    ("rooms",),
    ("create", "general"),
    ("join", "general"),
    ("leave", "general"),
    ("presence", "alice"),
    ("export", "general", "-"),
    ("import", os.devnull, "general"),
]


def unused_url() -> str:
    """The URL of a port on which no server listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{taken.getsockname()[1]}/rsocket"


@pytest.mark.parametrize("command", CLIENT_COMMANDS, ids=lambda command: command[0])
@pytest.mark.asyncio(loop_scope="module")
async def test_where_nobody_listens_the_line_says_how_to_start_one(command: tuple[str, ...]) -> None:
    url = unused_url()
    result = await tidings(*command, "--url", url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: cannot reach {url}; is the service running? "
        "start it with: tidings serve --dev, or name another with --url\n"
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("send", "general"), "error: Missing argument 'TEXT'; see: tidings send --help\n"),
        (("sned",), "error: No such command 'sned'"),
        (("send", "general", "hi", "--rom"), "error: No such option: --rom"),
        (("history", "general", "--limit", "0"), "error: Invalid value for '--limit' / '-n': "),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_call_is_one_line_and_exit_code_2(arguments: tuple[str, ...], complaint: str) -> None:
    result = await tidings(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(complaint)
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nonsense", "ws://127.0.0.1:port/"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_url_that_is_none_is_said_with_what_one_looks_like(url: str) -> None:
    result = await tidings("send", "general", "hi", "--url", url)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "--url" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["send", "tail", "history"])
@pytest.mark.asyncio(loop_scope="module")
async def test_what_the_service_refuses_is_one_line_with_its_code(run: CommandRunner, command: str) -> None:
    result = await run(command, "nowhere", *(["hi"] if command == "send" else []))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: NOT_FOUND: ")
    assert len(result.stderr.splitlines()) == 1
    assert "tidings create ROOM --open" in result.stderr


def test_a_message_that_is_not_there_brings_no_word_about_rooms() -> None:
    said = describe_error(not_found("there is no message 9 in general"))
    assert said == ("NOT_FOUND: there is no message 9 in general", 1)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_token_that_is_none_names_the_option_to_change(run: CommandRunner) -> None:
    result = await run("send", "general", "hi", "--token", "nonsense")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: UNAUTHENTICATED: ")
    assert "--token" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_traceback_is_for_who_asks_for_it() -> None:
    url = unused_url()
    result = await tidings("send", "general", "hi", "--url", url, env={"TIDINGS_DEBUG": "1"})
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"error: cannot reach {url}")


@pytest.mark.asyncio(loop_scope="module")
async def test_help_names_every_command_and_is_plain_in_a_pipe() -> None:
    result = await tidings("--help")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    for command in (
        "serve",
        "config",
        "token",
        "version",
        "send",
        "tail",
        "create",
        "join",
        "leave",
        "import",
        "rooms",
        "history",
        "search",
    ):
        assert f" {command} " in result.stdout, command
        of_its_own = await tidings(command, "--help")
        assert of_its_own.exit_code == 0, of_its_own
        assert f"tidings {command}" in of_its_own.stdout


def test_the_command_line_imports_nothing_heavy_before_it_knows_the_command() -> None:
    heavy = ["rich", "google.protobuf", "aiohttp", "apsw", "picows", "uvloop", "reactivex", "joserfc", "structlog"]
    code = (
        "import sys, tidings.cli.commands as commands; commands.build_program(); "
        f"loaded = [name for name in {heavy} if name in sys.modules]; sys.exit(str(loaded) if loaded else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)


def test_a_start_imports_nothing_that_it_does_not_need_to_listen() -> None:
    # Together they take as long as all that it needs.
    late = {"aiohttp", "reactivex", "joserfc", "structlog", "rich", "prometheus_client", "tomllib"}
    code = f"import sys, tidings.app; loaded = {late} & set(sys.modules); sys.exit(str(loaded) if loaded else 0)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_itself_imports_next_to_nothing() -> None:
    code = "import sys, tidings.cli; sys.exit('typer' in sys.modules or 'asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_port_of_the_other_transport_is_told_from_a_service_that_is_not_there(run: CommandRunner) -> None:
    service = run.service
    http, tcp = service.ws_url.partition("://")[2], service.tcp_url.partition("://")[2]
    for url, other in (
        (f"tcp://{http.partition('/')[0]}", "HTTP and WebSocket (ws://)"),
        (f"ws://{tcp}/rsocket", "RSocket over TCP (tcp://)"),
    ):
        result = await run("send", "general", "hi", "--url", url)
        assert result.exit_code == 1
        assert f"it looks like the port for {other}: ws:// is 7878, tcp:// is 7879 unless configured" in result.stderr
        assert "is the service running" not in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("failure", "told", "not_told"),
    [
        ("no secret is set to check tokens with", "omit --token", "pass it with"),
        ("this service needs a token", "tidings token --user NAME", "leave out"),
        ("the token ended 9 s ago", "pass it with --token or TIDINGS_TOKEN", "leave out"),
    ],
)
def test_who_is_not_let_in_is_told_what_helps_here(failure: str, told: str, not_told: str) -> None:
    text, _ = describe_error(unauthenticated(failure))
    assert told in text
    assert not_told not in text


@pytest.mark.asyncio(loop_scope="module")
async def test_a_text_of_several_arguments_is_to_be_put_in_quotes() -> None:
    result = await tidings("send", "general", "hi", "there")
    assert result.exit_code == 2
    assert "(there): put the text in quotes, as one argument; see: tidings send --help" in result.stderr


@pytest.mark.parametrize(
    ("port", "words"),
    [("abc", "it is not a whole number"), ("99999", "it is at most 65535"), ("-1", "it is at least 0")],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_port_that_is_none_is_said_in_our_words(port: str, words: str) -> None:
    result = await tidings("serve", "--dev", f"--port={port}")
    assert result == (2, "", f"error: Invalid value for '--port': {words}; see: tidings serve --help\n")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_file_of_trusted_certificates_that_is_not_there_is_named(run: CommandRunner) -> None:
    url = run.service.ws_url.replace("ws://", "wss://")
    result = await run("send", "general", "hi", "--url", url, SSL_CERT_FILE="/nowhere.pem")
    assert result.exit_code == 1
    assert "SSL_CERT_FILE names /nowhere.pem, and there is no such file" in result.stderr
