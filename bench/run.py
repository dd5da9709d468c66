"""One run of the benchmark: how often, how big, on which cores, and how a load is put on a server."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import cores
from bench.load_process import LoadError, LoadProcess
from bench.servers import PEERS, SERVICES, Server, TidingsProgram, service_program

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".tmp" / "bench"
PEER_SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class BenchmarkRun:
    """What a row gets."""

    quick: bool
    repetitions: int  # how often everything is measured
    loader: LoadProcess = field(default_factory=LoadProcess)

    def pick_size(self, full: int, quick: int) -> int:
        """A size that is smaller in the smoke run."""
        return quick if self.quick else full

    @property
    def seconds(self) -> float:
        """How long one load lasts."""
        return 0.2 if self.quick else 1.2

    @contextmanager
    def tidings(self, data: Path | None = None, **settings: object) -> Iterator[Server]:
        """The service on free ports, its data in a temporary folder unless one is given."""
        with (
            tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder,
            TidingsProgram(data or Path(folder), settings).running() as server,
        ):
            yield server

    @contextmanager
    def servers(self, names: Sequence[str]) -> Iterator[dict[str, Server]]:
        """The service and peers by name, one beside the other; those that this machine cannot run are left out."""
        with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder, ExitStack() as stack:
            running = {}
            for name in names:
                program = service_program(name, Path(folder)) if name in SERVICES else PEERS[name]
                missing = program.missing_dependency()
                if missing:
                    print(f"    without {name}: this machine has no {missing}", flush=True)
                else:
                    running[name] = stack.enter_context(program.running())
            yield running

    def load(self, scenario: str, server: Server | None, **parameters: object) -> dict[str, Any]:
        """Put a load on a server, from a process of its own on the other core; what it measured."""
        if server is not None:
            parameters |= {"port": server.port, "tcp_port": server.tcp_port, "pid": server.pid}
        return self.loader.measure(scenario, parameters)


def run_json(command: Sequence[str], core: int | None, seconds_max: float = PEER_SECONDS_MAX) -> Any:
    """The JSON in the last line that a command prints, run on a core."""
    with cores.pinned_to(core):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = process.communicate(timeout=seconds_max)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode:
        raise LoadError(f"{' '.join(command[2:])}\n{err.strip()[-2000:]}")
    return json.loads(out.strip().splitlines()[-1])
