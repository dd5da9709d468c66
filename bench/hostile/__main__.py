"""`make hostile`: one hostile peer after the other beside ten honest clients, and what the honest ones feel of it.

Each attack meets a fresh service with the default settings of production, on a core of its own. Honest clients send
four messages a second each, and newcomers sign in twice a second, first in quiet, then during the attack. The attack is
passed when the 99th percentile of the honest latencies stays below 100 ms and below ten times its quiet value, and no
newcomer is turned away.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bench import cores
from bench.hostile.attacks import ATTACKS
from bench.load.process_stats import resident_bytes
from bench.servers import ROOT, Server, TidingsProgram
from tidings.domain.identity.jwt import issue_token

HONEST_CLIENTS = 10
ROOM = "square"
TOKEN_SECONDS = 86_400
BASELINE_SECONDS = 4.0
P99_MS_MAX = 100.0
P99_RATIO_MAX = 10.0
# On a noisy machine a baseline p99 below this is chance; ten times as much would be no sign of harm.
BASELINE_P99_MS_MIN = 3.0
SAMPLE_SECONDS = 0.1
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class AttackResult:
    """What one attack did. Latencies in ms, memory in MiB, log in KiB."""

    name: str
    baseline: dict[str, Any]
    during: dict[str, Any]
    memory: tuple[float, float, float]  # before, the most, after the attackers have left
    log_kib: float
    counts: dict[str, int]

    @property
    def problems(self) -> list[str]:
        """Why it is not passed; empty: it is."""
        before, after = percentile(self.baseline["sends"], 99), percentile(self.during["sends"], 99)
        found = []
        if after > P99_MS_MAX:
            found.append(f"p99 above {P99_MS_MAX:.0f} ms")
        elif after > P99_RATIO_MAX * max(before, BASELINE_P99_MS_MIN):
            found.append(f"p99 above {P99_RATIO_MAX:.0f} × quiet")
        if self.during["refused"]:
            found.append(f"{self.during['refused']} newcomers turned away")
        found += [f"honest clients were refused: {text}" for text in self.during["failures"][:1]]
        return found

    def row(self) -> list[str]:
        """The cells of the table."""
        quiet, during = self.baseline["sends"], self.during["sends"]
        refusals = ", ".join(
            f"{name} {count:,}" for name, count in sorted(self.counts.items()) if not name.endswith(("bytes", "opened"))
        )
        return [
            self.name,
            f"{percentile(quiet, 50):.1f} / {percentile(quiet, 99):.1f}",
            f"{percentile(during, 50):.1f} / {percentile(during, 99):.1f}",
            f"{percentile(self.during['newcomers'], 99):.0f}",
            " → ".join(f"{each:.0f}" for each in self.memory),
            f"{self.log_kib:.0f}",
            f"{self.counts.get('sent_bytes', 0) / MIB:.0f}",
            refusals[:90] or "none",
            "; ".join(self.problems) or "passed",
        ]


COLUMNS = (
    "attack",
    "quiet p50 / p99 ms",
    "during p50 / p99 ms",
    "sign-in p99 ms",
    "memory MiB",
    "log KiB",
    "sent MiB",
    "refusals",
    "verdict",
)


def percentile(values: Sequence[float], of_hundred: int) -> float:
    """The percentile; 0 of none."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[of_hundred - 1]


class HonestProcess:
    """The process of the honest clients."""

    def __init__(self, server: Server, tokens: Sequence[str]) -> None:
        options = {"port": server.port, "tokens": list(tokens), "room": ROOM}
        with cores.pinned_to(cores.LOAD_CORE):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.hostile.honest_clients", json.dumps(options)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self.close()
            raise RuntimeError("the honest clients could not begin")

    def start(self, seconds: float) -> None:
        """Let them talk for so long."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """What they measured."""
        assert self._process.stdout is not None
        result: dict[str, Any] = json.loads(self._process.stdout.readline())
        return result

    def close(self) -> None:
        """End them."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()


class MemorySampler(threading.Thread):
    """Looks at the memory of a process again and again; `most` is the largest it saw, MiB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._stopped = threading.Event()
        self.peak = 0.0

    def run(self) -> None:
        """Until `end`."""
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, resident_bytes(self._pid) / MIB)

    def stop(self) -> None:
        """Stop looking."""
        self._stopped.set()
        self.join()


def run_attack(name: str, seconds: float, connections: int, settings: dict[str, str]) -> AttackResult:
    """One attack on a fresh service."""
    attack = ATTACKS[name]
    secret = secrets.token_hex(32)

    def token(user: str) -> str:
        return issue_token(user, secret=secret.encode(), ttl_seconds=TOKEN_SECONDS, now_ms=time.time_ns() // 1_000_000)

    with tempfile.TemporaryDirectory(prefix="tidings-hostile-") as folder:
        log = Path(folder) / "log"
        service = TidingsProgram(
            Path(folder) / "data", {"auth__secret": secret, "log": "info", **settings}, dev=False, log=log
        )
        with service.running() as server:
            honest = HonestProcess(server, [token(f"honest{n}") for n in range(HONEST_CLIENTS)])
            try:
                honest.start(BASELINE_SECONDS)
                baseline = honest.result()
                before = resident_bytes(server.pid) / MIB
                log_before = log.stat().st_size
                watch = MemorySampler(server.pid)
                watch.start()
                options = {
                    "attack": name,
                    "port": server.port,
                    "tcp_port": server.tcp_port,
                    "room": ROOM,
                    "seconds": seconds + 1.0,
                    "connections": connections,
                    "tokens": [token(f"mallory{n}") for n in range(attack.users)],
                }
                with cores.pinned_to(cores.LOAD_CORE):
                    attacker = subprocess.Popen(
                        [sys.executable, "-m", "bench.hostile.peer", json.dumps(options)],
                        cwd=ROOT,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                time.sleep(0.5)  # until it has begun
                honest.start(seconds)
                during = honest.result()
                counts = json.loads(attacker.communicate()[0] or "{}")
                time.sleep(1.0)
                watch.stop()
                memory = (before, watch.peak, resident_bytes(server.pid) / MIB)
            finally:
                honest.close()
        log_kib = (log.stat().st_size - log_before) / 1024
    return AttackResult(name, baseline, during, memory, log_kib, counts)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows)]
    return "\n".join(lines)


def main() -> int:
    """0 when every attack was passed."""
    parser = argparse.ArgumentParser(prog="make hostile", description=__doc__)
    parser.add_argument("--attack", default="*", help="only these, by name or pattern, separated by commas")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each attack lasts (8)")
    parser.add_argument("--connections", type=int, default=4, help="of the attacker, where an attack has no number (4)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the service")
    parser.add_argument("--list", action="store_true", help="name the attacks and what they do")
    arguments = parser.parse_args()
    if arguments.list:
        for name, attack in ATTACKS.items():
            print(f"{name:18}{attack.description}")
        return 0
    patterns = arguments.attack.split(",")
    names = [name for name in ATTACKS if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not names:
        parser.error(f"no attack is called {arguments.attack}; see --list")
    settings = {key.replace(".", "__"): value for key, _, value in (each.partition("=") for each in arguments.set)}
    outcomes = []
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}: {ATTACKS[name].description}", flush=True)
        outcomes.append(run_attack(name, arguments.seconds, arguments.connections, settings))
        print("    " + " | ".join(outcomes[-1].row()[1:]), flush=True)
    print()
    print(table([outcome.row() for outcome in outcomes]))
    failed = [outcome.name for outcome in outcomes if outcome.problems]
    print(f"\n{len(outcomes) - len(failed)} of {len(outcomes)} attacks passed; load average {os.getloadavg()[0]:.1f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
