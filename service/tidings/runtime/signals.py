"""What the service does on each signal. None but SIGKILL ends it before what was asked is answered.

| signal | what happens |
|---|---|
| SIGINT, SIGTERM, SIGQUIT | it drains and ends; the second one ends it at once |
| SIGHUP | it reads its settings again; when its terminal is gone, it drains and ends |
| SIGUSR1, SIGUSR2 | nothing; they end a process that says nothing about them |
| SIGPIPE | nothing: Python ignores it, and a write to a closed pipe is an error like any other |
"""

import asyncio
import os
import signal
from collections.abc import Callable

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGQUIT")
IGNORED_SIGNALS = ("SIGUSR1", "SIGUSR2")


def ignore_until_installed() -> None:
    """For a process that begins: what would end it, and is no wish to end it, is not heard until `install_handlers`."""
    for name in ("SIGHUP", *IGNORED_SIGNALS):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def install_handlers(
    loop: asyncio.AbstractEventLoop, *, on_stop: Callable[[], None], on_reload: Callable[[], None]
) -> None:
    """Call what a signal stands for, in the loop."""
    had_terminal = has_controlling_terminal()

    def on_sighup() -> None:
        # A shell sends SIGHUP to its jobs when its window is closed: then nobody is left to stop the service.
        (on_stop if had_terminal and not has_controlling_terminal() else on_reload)()

    for name in STOP_SIGNALS:
        if hasattr(signal, name):
            loop.add_signal_handler(getattr(signal, name), on_stop)
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, on_sighup)


def has_controlling_terminal() -> bool:
    """Whether the process has a terminal that controls it."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
