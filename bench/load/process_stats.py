"""Figures of the measured process: its own (commits), and the kernel's (processor time and memory).

The kernel's figures are true even where other programs take turns with that process.
"""

import re
import urllib.request
from pathlib import Path


def cpu_us(pid: int) -> float:
    """Processor time that a process has used, µs, with the kernel's on its behalf; 0 where it cannot be known."""
    threads = Path(f"/proc/{pid}/task")
    try:
        # Exact to nanoseconds; /proc/PID/stat counts in hundredths of a second, a tenth of what a short load takes.
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads.iterdir()) / 1e3
    except OSError:
        return 0.0


def resident_bytes(pid: int) -> int:
    """What a process holds in memory."""
    found = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def commits(port: int) -> int:
    """Transactions that Tidings has committed so far. Blocks."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        found = re.search(rb"^tidings_commit_seconds_count (\S+)", answer.read(), re.MULTILINE)
    return int(float(found[1])) if found else 0
