"""What all tests share: how Hypothesis searches, and that Ctrl-C reaches the programs they start."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from tidings.log import log

# A timing is never asserted, and a slow machine is no fault of the code. In CI the same examples are tried each time,
# so that a red run can be repeated; at home they differ, so that new faults are found.
settings.register_profile("home", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("home"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "home")

# A job in a shell's background ignores SIGINT, and so would each program that a test starts there and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _reset_log_counts() -> None:
    """The log counts lines of one kind, and all tests of a process share it."""
    log._windows.clear()
