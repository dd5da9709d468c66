"""What the process that is measured says of itself (commits), and the kernel of it (processor time and memory).

The kernel's figures are true even where other programs take turns with that process.
"""

import os
import re
import urllib.request
from pathlib import Path


def cpu_us(pid: int) -> float:
    """Processor time that a process has used, µs, with the kernel's on its behalf; 0 where it cannot be known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """What a process holds in memory."""
    found = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def commits(port: int) -> int:
    """Transactions that Tidings has committed so far. Blocks."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        found = re.search(rb"^tidings_commit_seconds_count (\S+)", answer.read(), re.MULTILINE)
    return int(float(found[1])) if found else 0
