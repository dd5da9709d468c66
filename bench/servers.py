"""Programs that are measured: each is started on free ports of loopback, on a core of its own, and ended by its pid."""

import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import cores

HERE = Path(__file__).parent
ROOT = HERE.parent
INTEROP = ROOT / "tests" / "interop"
STOP_SECONDS = 20
TIDINGS = Path(sys.executable).with_name("tidings")
ADDRESS = re.compile(r"\b(ws|wss|tcp|tls|http|https)\S*://[\d.]+:(\d+)")


@dataclass(frozen=True, slots=True)
class Server:
    """A program that listens."""

    name: str
    pid: int
    port: int
    tcp_port: int
    started_seconds: float  # from its start until it listened

    def resident_bytes(self) -> int:
        """What it holds in memory now."""
        return _proc_status_bytes(self.pid, "VmRSS")

    def resident_bytes_max(self) -> int:
        """The most it has held since `forget_peak`."""
        return _proc_status_bytes(self.pid, "VmHWM")

    def reset_peak(self) -> None:
        """Reset the peak."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


def _proc_status_bytes(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    return 0


class TidingsProgram:
    """The service, as its command starts it."""

    def __init__(
        self,
        data: Path,
        settings: Mapping[str, object],
        *,
        dev: bool = True,
        log: Path | None = None,
        program: Sequence[str] = (str(TIDINGS),),
    ) -> None:
        self.program = program
        self.data = data
        self.options = ["--dev"] if dev else []
        self.log = log  # the file that its log is written to
        # A pace for each user and a limit of connections for each address are for life, not for one loud process.
        self.environment = {f"TIDINGS_{name.upper()}": str(value) for name, value in settings.items()}

    def missing_dependency(self) -> str:
        """Never."""
        return ""

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Serve while the block runs."""
        ports_and_data = ["--port", "0", "--tcp-port", "0", "--data", str(self.data)]
        command = [*self.program, "serve", *self.options, *ports_and_data]
        with _start_process(command, {"TIDINGS_LOG_LEVEL": "error", **self.environment}, self.log) as (
            process,
            started_at,
        ):
            assert process.stdout is not None
            ports: dict[str, int] = {}
            while "http" not in ports:
                line = process.stdout.readline()
                if not line:
                    raise RuntimeError("the service ended before it listened")
                ports |= {
                    scheme.rstrip("s") if scheme != "tls" else "tcp": int(port)
                    for scheme, port in ADDRESS.findall(line)
                }
            took = time.perf_counter() - started_at
            # What speaks HTTP is loaded behind the open port; it shall take nothing from what is measured.
            scheme = "https" if "TIDINGS_TLS__CERTIFICATE" in self.environment else "http"
            url = f"{scheme}://127.0.0.1:{ports['http']}/health"
            urllib.request.urlopen(url, context=ssl._create_unverified_context()).close()
            yield Server("tidings", process.pid, ports["http"], ports["tcp"], took)


@dataclass(frozen=True, slots=True)
class PeerProgram:
    """A program of `bench/peers`: prints its ports as JSON, then serves until its standard input ends."""

    name: str
    command: tuple[str, ...]
    dependencies: tuple[str, ...] = ()  # programs and files without which it cannot run

    def missing_dependency(self) -> str:
        """What this machine lacks to run it."""
        return ", ".join(need for need in self.dependencies if not shutil.which(need) and not Path(need).exists())

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Server]:
        """Serve while the block runs."""
        with _start_process([*self.command, *arguments], {}) as (process, began):
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{self.name} ended before it listened")
            ports = json.loads(line)
            yield Server(self.name, process.pid, ports["ws"], ports.get("tcp", 0), time.perf_counter() - began)


@contextmanager
def _start_process(
    command: Sequence[str], environment: Mapping[str, str], log: Path | None = None
) -> Iterator[tuple["subprocess.Popen[str]", float]]:
    # An installed program has compiled modules; some test machines forbid writing them.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with cores.pinned_to(cores.SERVER_CORE), contextlib.ExitStack() as files:
        started_at = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**inherited, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if log is None else files.enter_context(log.open("wb")),
            text=True,
        )
    try:
        yield process, started_at
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()


def _peer_command(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"bench.peers.{module}")


# The service, and the service with a part of it exchanged.
SERVICES: dict[str, tuple[str, ...]] = {"tidings": (str(TIDINGS),), "json_format": _peer_command("json_format")}


def service_program(name: str, folder: Path) -> TidingsProgram:
    """One of SERVICES, its data below a folder."""
    return TidingsProgram(folder / name, {}, program=SERVICES[name])


PEERS: dict[str, PeerProgram] = {
    "rsocket-py": PeerProgram("rsocket-py", _peer_command("rsocket_py")),
    "rsocket-js": PeerProgram(
        "rsocket-js",
        ("node", str(HERE / "peers" / "rsocket_js.cjs")),
        dependencies=("node", str(INTEROP / "node_modules" / "protobufjs"), str(INTEROP / "legacy" / "node_modules")),
    ),
    "bare": PeerProgram("bare", _peer_command("bare")),
    "bare-history": PeerProgram("bare-history", _peer_command("bare_history")),
}
