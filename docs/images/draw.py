"""Draws terminal.svg: what the commands in it print is what they printed just now, on a terminal.

Run it with .venv/bin/python docs/images/draw.py
"""

import os
import pty
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HERE = Path(__file__).parent
TIDINGS = HERE.parents[1] / ".venv" / "bin" / "tidings"
COLUMNS = 92
# No fonts from elsewhere, no window buttons: the reader's own fixed-width font.
FRAME = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, monospace; white-space: pre;
  font-size: {char_height}px; line-height: {line_height}px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
<rect fill="#16181d" x="1" y="1" width="{width}" height="{height}" rx="8"/>
<g transform="translate({terminal_x}, 18)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">{matrix}</g>
</g>
</svg>
"""
BACKGROUND, TEXT, GREY = (22, 24, 29), (222, 225, 230), (110, 115, 125)
COLOURS = [(235, 110, 110), (130, 200, 130), (225, 190, 100), (110, 160, 235), (190, 140, 220), (100, 190, 200)]
THEME = TerminalTheme(BACKGROUND, TEXT, [GREY, *COLOURS, TEXT])
CONVERSATION = (
    ("ada", "Hello, everybody"),
    ("ひかり", "おはようございます"),
    ("bob", "Two lines,\nin one message"),
    ("דנה", "שלום"),
)


class Session:
    """A shell session as it would look, filled by running its commands on a pseudo-terminal."""

    def __init__(self) -> None:
        self.console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115

    def say(self, ansi: str) -> None:
        """Add output."""
        self.console.print(Text.from_ansi(ansi), soft_wrap=False, highlight=False)

    def command(self, line: str) -> None:
        """Add a prompt with a command typed behind it."""
        self.console.print(Text.assemble(("$ ", "green"), (line, "bold")), highlight=False)


def lines_of(descriptor: int) -> Iterator[str]:
    """What comes from a pseudo-terminal, line by line."""
    held = b""
    while True:
        try:
            data = os.read(descriptor, 4096)
        except OSError:
            return
        held += data
        *whole, held = held.split(b"\n")
        yield from (line.decode().rstrip("\r") for line in whole)


def started(arguments: list[str], user: str = "ada") -> tuple[subprocess.Popen[bytes], Iterator[str]]:
    """A command on a pseudo-terminal of its own, and its lines."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TIDINGS_USER": user, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    process = subprocess.Popen([str(TIDINGS), *arguments], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    return process, lines_of(ours)


def main() -> None:
    """Hold the conversation and draw it."""
    session = Session()
    with tempfile.TemporaryDirectory() as folder:
        service, printed = started(["serve", "--dev", "--data", f"{folder}/data"])
        session.command("make serve")
        for _ in range(9):
            line = next(printed).replace(f"{folder}/", "").replace(str(TIDINGS), ".venv/bin/tidings")
            session.say(line)
        session.say("")
        session.command(".venv/bin/tidings tail general")
        tail, heard = started(["tail", "general"])
        for user, text in CONVERSATION:
            process, number = started(["send", "general", text], user)
            next(number)
            process.wait()
            for _ in text.split("\n"):
                session.say(next(heard))
        tail.send_signal(signal.SIGINT)
        tail.wait()
        session.say("")
        session.command('.venv/bin/tidings search "ござい" --room general')
        process, found = started(["search", "ござい", "--room", "general"])
        session.say(next(found))
        process.wait()
        service.send_signal(signal.SIGTERM)
        service.wait()
    svg = session.console.export_svg(title="", theme=THEME, code_format=FRAME, unique_id="t")
    (HERE / "terminal.svg").write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE))


if __name__ == "__main__":
    main()
