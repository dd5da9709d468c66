"""`tidings serve`: what it says, how it ends, what keeps it from starting."""

import asyncio
import os
import pty
import re
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from cli.command import TEST_TIMEOUT_SECONDS, TIDINGS, environment, next_line, tidings
from kits.transport.harness import call_frame
from rsocket_harness import setup
from service_runner import ServiceProcess
from tidings.app import App
from tidings.cli.serve import startup_lines
from tidings.config import load
from tidings.contract.methods import MethodTable
from tidings.frontend import Frontend

pytestmark = pytest.mark.asyncio

MAKE_CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout {key} -out {file} -days 2 -nodes "
    "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
)
STOPPED = re.compile(r"Tidings has stopped: what was asked was answered \(\d+\.\d\d s\)\n")
SECRET = "0123456789abcdef0123456789abcdef"


@pytest_asyncio.fixture
async def service_process(tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """A service in its own process, on ports that are reserved while it is down."""
    service = ServiceProcess(tmp_path / "data", environment=environment())
    async with service:
        yield service


async def test_it_says_where_it_listens_and_three_commands_that_work(tmp_path: Path) -> None:
    service = await shell(f"{TIDINGS} serve --dev --port 0 --tcp-port 0 --data {tmp_path}")
    lines = [await next_line(service.stdout) for _ in range(9)]
    assert lines[0] == "Tidings is running in development mode: no tokens, from this machine only"
    assert [line.split("://")[0].split()[-1] for line in lines[1:4]] == ["ws", "tcp", "http"]
    assert lines[4] == f"  data      {tmp_path}"
    tail, send, history = (line.strip() for line in lines[6:])
    listening = await shell(tail)
    try:
        await wait_for_exit(await shell(send))
        assert (await next_line(listening.stdout)).endswith(" alice: hello")
        assert (await wait_for_exit(await shell(history))).endswith(" alice: hello\n")
    finally:
        listening.kill()
        await listening.communicate()
        service.terminate()
    assert STOPPED.fullmatch(await wait_for_exit(service))


async def shell(command: str, env: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    """The command as a user would paste it."""
    return await asyncio.create_subprocess_shell(
        f"exec {command}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=env or environment()
    )


async def wait_for_exit(process: asyncio.subprocess.Process) -> str:
    """What it printed; it must succeed."""
    out, err = await process.communicate()
    assert process.returncode == 0, err
    return out.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
async def test_a_signal_ends_it_with_exit_code_0_and_it_says_so(tmp_path: Path, number: signal.Signals) -> None:
    service = await shell(f"{TIDINGS} serve --dev --port 0 --tcp-port 0 --data {tmp_path}")
    for _ in range(9):
        assert "\x1b" not in await next_line(service.stdout)
    service.send_signal(number)
    out, err = await service.communicate()
    assert STOPPED.fullmatch(out.decode())
    assert (err, service.returncode) == (b"", 0)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE])
async def test_no_other_signal_ends_it(service_process: ServiceProcess, number: signal.Signals) -> None:
    assert service_process.process is not None
    env = environment(TIDINGS_URL=service_process.ws_url)
    async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
        for _ in range(2):
            service_process.process.send_signal(number)
            assert (await tidings("send", "general", "still here", env=env)).exit_code == 0
    assert await service_process.stop() == 0


async def reload(service: asyncio.subprocess.Process) -> str:
    """What the log says of it."""
    service.send_signal(signal.SIGHUP)
    while "reloaded" not in (line := await next_line(service.stderr)):
        pass
    return line


async def test_sighup_takes_over_the_log_level_and_says_what_needs_a_restart(tmp_path: Path) -> None:
    config = tmp_path / "tidings.toml"
    config.write_text("log_level = 'error'\n")
    service = await shell(
        f"{TIDINGS} serve --dev --port 0 --tcp-port 0 --data {tmp_path / 'data'} --config {config}",
        environment(TIDINGS_LOG_LIMITS__LINES_PER_MINUTE_MAX="5"),
    )
    try:
        port = int([await next_line(service.stdout) for _ in range(9)][2].rpartition(":")[2])
        config.write_text("log_level = 'debug'\n[http]\norigins = ['https://chat.example.org']\n")
        assert "restart_required=http.origins" in await reload(service)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\0\0\4oops")
        await reader.read()
        writer.close()
        assert "connection terminated" in await next_line(service.stderr)  # a line of level debug
        config.write_text("log_level = 'loud'\n")
        line = await reload(service)
        assert "the settings were not reloaded" in line
        assert "not one of debug, info, warning, error" in line
    finally:
        service.terminate()
        await wait_for_exit(service)


async def test_sighup_takes_over_a_certificate_that_was_renewed(tmp_path: Path) -> None:
    def certify(name: str) -> str:
        return MAKE_CERTIFICATE.format(file=certificate, key=key).replace("CN=localhost", f"CN={name}")

    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    await wait_for_exit(await shell(certify("before")))
    env = environment(TIDINGS_TLS__CERTIFICATE=str(certificate), TIDINGS_TLS__KEY=str(key))
    service = await shell(f"{TIDINGS} serve --dev --port 0 --tcp-port 0 --data {tmp_path / 'data'}", env)
    try:
        port = int([await next_line(service.stdout) for _ in range(9)][2].rpartition(":")[2])
        before = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
        await wait_for_exit(await shell(certify("after")))
        await reload(service)
        after = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
        assert after != before
        assert after.split() == certificate.read_text().split()
        key.write_text("this is no key")  # what is wrong changes nothing
        assert "the settings were not reloaded" in await reload(service)
        assert await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port)) == after
    finally:
        service.terminate()
        await wait_for_exit(service)


async def test_when_its_terminal_is_gone_sighup_drains_and_ends_it(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WITH_TERMINAL, os.ttyname(terminal), str(TIDINGS)),
        *("serve", "--dev", "--port", "0", "--tcp-port", "0", "--data", str(tmp_path)),
        stdin=terminal,
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    os.close(terminal)
    for _ in range(9):
        await next_line(service.stdout)
    os.close(controller)  # the window is closed, and the kernel sends SIGHUP
    assert service.stdout is not None
    async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
        assert STOPPED.fullmatch((await service.stdout.read()).decode())
        assert await service.wait() == 0


# The first process of a session gets the terminal that it opens; then it becomes the service.
WITH_TERMINAL = "import os, sys; os.open(sys.argv[1], os.O_RDWR); os.execv(sys.argv[2], sys.argv[2:])"


@pytest.mark.parametrize(
    ("drain_seconds", "signals", "said"),
    [
        ("0.1", 1, "it took too long, and what was still open was cut off"),
        ("3600", 2, "it was told twice, and what was still open was cut off"),
    ],
)
async def test_whom_it_cut_off_it_does_not_hide(tmp_path: Path, drain_seconds: str, signals: int, said: str) -> None:
    env = environment(TIDINGS_DRAIN_SECONDS=drain_seconds, TIDINGS_CONNECTIONS__CLOSE_SECONDS="0.1")
    service = await shell(f"{TIDINGS} serve --dev --port 0 --tcp-port 0 --data {tmp_path}", env)
    port = int([await next_line(service.stdout) for _ in range(9)][2].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for frame in (setup(), call_frame(1, "session.ping")):
        writer.write(len(frame).to_bytes(3, "big") + frame)
    await reader.readexactly(4)  # it is served
    service.send_signal(signal.SIGTERM)
    while b"stopping" not in await reader.read(65_536):
        pass
    # The client never hangs up.
    if signals > 1:
        service.send_signal(signal.SIGTERM)
    assert (await wait_for_exit(service)).startswith(f"Tidings has stopped: {said} (")
    writer.close()


async def test_a_fault_in_what_is_done_once_a_second_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(load(None, {}, {"auth.secret": SECRET}))
    ticks: list[float] = []
    done = asyncio.Event()

    class Product:
        def tick(self, now: float) -> None:
            ticks.append(now)
            if len(ticks) == 3:
                done.set()
            raise RuntimeError

    monkeypatch.setattr("tidings.app.TICK_SECONDS", 0.0)
    app.domain = cast(Any, Product())
    ticking = asyncio.create_task(app._tick())
    async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
        await asyncio.wait((ticking, asyncio.create_task(done.wait())), return_when=asyncio.FIRST_COMPLETED)
    assert len(ticks) >= 3
    ticking.cancel()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
async def test_who_listens_on_every_address_is_given_one_that_can_be_reached(host: str) -> None:
    settings = load(None, {}, {"http.host": host, "tls.terminated_by_proxy": True, "auth.secret": SECRET})
    app = App(settings)
    app.frontend = Frontend(MethodTable({}), cast(Any, None), cast(Any, None), settings.listener, app.metrics)
    app.frontend.listener.http_port, app.frontend.listener.tcp_port = 7878, 7879
    lines = startup_lines(app.listen_info, program="tidings")
    assert lines[0].endswith("; it listens on all addresses of this machine, so other machines can connect to it")
    assert [line.split()[-1] for line in lines[1:4]] == [
        "ws://localhost:7878/rsocket",
        "tcp://localhost:7879",
        "http://localhost:7878/",
    ]
    assert lines[-1].endswith(" --url ws://localhost:7878/rsocket")


async def test_a_tail_says_that_the_connection_was_lost_and_misses_nothing(service_process: ServiceProcess) -> None:
    env = environment(TIDINGS_URL=service_process.ws_url)
    tail = await asyncio.create_subprocess_exec(
        str(TIDINGS),
        *("tail", "general", "--after", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
    )
    try:
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            assert (await tidings("send", "general", "one", env=env)).exit_code == 0
            assert (await next_line(tail.stdout)).endswith(": one")
            await service_process.kill()
            assert await next_line(tail.stderr) == "connection lost; connecting again"
            await service_process.start()
            assert (await tidings("send", "general", "two", env=env)).exit_code == 0
            assert (await next_line(tail.stdout)).endswith(": two")
            assert await next_line(tail.stderr) == "connected again"
    finally:
        tail.kill()
        await tail.communicate()


async def test_outside_development_a_token_is_the_way_in_and_the_commands_it_names_work(tmp_path: Path) -> None:
    env = environment(TIDINGS_AUTH__SECRET=SECRET)
    service = await shell(f"{TIDINGS} serve --port 0 --tcp-port 0 --data {tmp_path}", env)
    try:
        lines = [await next_line(service.stdout) for _ in range(9)]
        assert lines[0] == "Tidings is running in production mode"
        url = lines[1].split()[-1]
        refused = await tidings("create", "tea", "--url", url)
        assert refused.exit_code == 1
        assert refused.stderr.startswith("error: UNAUTHENTICATED: ")
        assert "--token" in refused.stderr
        together = await shell(f"sh -c '{' && '.join(line.strip() for line in lines[6:])}'", env)
        assert await wait_for_exit(together) == "general (open, 1 member)\n#3\n"
    finally:
        service.terminate()
        await wait_for_exit(service)


async def test_under_tls_the_certificate_must_be_trusted(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    await wait_for_exit(await shell(MAKE_CERTIFICATE.format(file=certificate, key=key)))
    env = environment(TIDINGS_TLS__CERTIFICATE=str(certificate), TIDINGS_TLS__KEY=str(key))
    service = await shell(f"{TIDINGS} serve --dev --port 0 --tcp-port 0 --data {tmp_path}", env)
    try:
        url = [await next_line(service.stdout) for _ in range(9)][1].split()[-1]
        assert url.startswith("wss://")
        refused = await tidings("send", "general", "hi", "--url", url)
        assert refused.exit_code == 1
        assert refused.stderr.startswith(f"error: cannot reach {url}: TLS failed: ")
        assert "SSL_CERT_FILE" in refused.stderr
        trusting = {"SSL_CERT_FILE": str(certificate)}
        assert await tidings("send", "general", "hi", "--url", url, env=trusting) == (0, "#1\n", "")
    finally:
        service.terminate()
        await wait_for_exit(service)


async def start_error(*arguments: str, **variables: str) -> str:
    """The line with which it does not start."""
    result = await tidings("serve", *arguments, env=variables)
    assert (result.exit_code, result.stdout) == (1, ""), result
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


async def test_a_port_that_is_taken_is_one_line_that_names_the_option(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = await start_error("--dev", "--data", str(tmp_path), "--port", port, "--tcp-port", "0")
        assert port in line
        assert "--port" in line
        line = await start_error("--dev", "--data", str(tmp_path), "--port", "0", "--tcp-port", port)
        assert port in line
        assert "--tcp-port" in line


async def test_two_services_do_not_share_a_folder(service_process: ServiceProcess) -> None:
    line = await start_error("--dev", "--data", str(service_process.data), "--port", "0", "--tcp-port", "0")
    assert line.startswith(f"error: {service_process.data} is in use by another Tidings")


@pytest.mark.parametrize(
    ("arguments", "variables", "part"),
    [
        (("--dev", "--host", "0.0.0.0"), {}, "--dev needs no tokens and so listens on this machine only"),
        ((), {}, "auth.secret is not set: set TIDINGS_AUTH__SECRET"),
        (("--dev", "--loop", "trio"), {}, "loop (from command line): 'trio' is not one of uvloop, asyncio"),
        (("--dev",), {"TIDINGS_HTTP__PROT": "1"}, "http.prot (from TIDINGS_HTTP__PROT) is not a setting"),
        (("--dev", "--config", "none.toml"), {}, "cannot read the settings in none.toml: No such file or directory"),
    ],
)
async def test_settings_that_cannot_be_are_one_line(
    tmp_path: Path, arguments: tuple[str, ...], variables: dict[str, str], part: str
) -> None:
    assert part in await start_error(*arguments, "--data", str(tmp_path), "--port", "0", "--tcp-port", "0", **variables)


async def test_a_database_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tidings.sqlite").write_bytes(os.urandom(8192))
    line = await start_error("--dev", "--data", str(tmp_path), "--port", "0", "--tcp-port", "0")
    assert str(tmp_path / "tidings.sqlite") in line
