"""The process that the load comes from, as the benchmark sees it: started once, on the other core.

Every load is a fork of it (`bench.load.__main__`), so that none inherits anything from the one before, and none has to
import Python's half of the world again, which took longer than many of them.
"""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import cores

ROOT = Path(__file__).parent.parent
LOAD_SECONDS_MAX = 300


class LoadError(Exception):
    """The load could not do its work; the text is what it said."""


class LoadProcess:
    """Starts the process when it is wanted first, and again after a load that had to be ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def measure(self, scenario: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """What a scenario measured. Raises LoadFailed."""
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps([scenario, parameters]).encode() + b"\n")
        process.stdin.flush()
        try:
            line = _read_line(process)
        except BaseException:
            self.close()
            raise
        if not line:
            self.close()
            raise LoadError(f"{scenario}: no answer within {LOAD_SECONDS_MAX} s")
        result: dict[str, Any] = json.loads(line)
        if "failed" in result:
            raise LoadError(f"{scenario} {parameters}\n{result['failed'][-2000:]}")
        return result

    def _start(self) -> "subprocess.Popen[bytes]":
        with cores.pinned_to(cores.LOAD_CORE):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.load"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # a load that hangs is a child of it, and goes with it
            )
        return self._process

    def close(self) -> None:
        """End it, with the load that it may be at. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()


def _read_line(process: "subprocess.Popen[bytes]") -> bytes:
    """The next line that it prints; empty if it prints none in time."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([process.stdout], [], [], LOAD_SECONDS_MAX)[0]:
            return b""
        chunk = process.stdout.read(1 << 16)
        if not chunk:
            return b""
        line += chunk
    return line
