"""`tidings serve`: the service, until it is told to stop."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Final, Protocol

import typer

from tidings.cli.options import URL_DEFAULT, ConfigFile, to_path

Dev = Annotated[
    bool, typer.Option("--dev", help="For development: anybody is let in under any name, from this machine only.")
]
DataFolder = Annotated[
    Path | None,
    typer.Option("--data", parser=to_path, help="Where the database is kept.", metavar="DIR", show_default=False),
]
Host = Annotated[
    str | None, typer.Option("--host", help="The address to listen on.", metavar="ADDRESS", show_default=False)
]
Port = Annotated[
    int | None,
    typer.Option("--port", help="For HTTP and WebSocket; 0 takes a free one.", min=0, max=65_535, show_default=False),
]
TcpPort = Annotated[
    int | None,
    typer.Option("--tcp-port", help="For RSocket over TCP; 0 takes a free one.", min=0, max=65_535, show_default=False),
]
Loop = Annotated[str | None, typer.Option("--loop", help="uvloop or asyncio.", metavar="LOOP", show_default=False)]


TRIES_DEV: Final = (
    "Try in another terminal:",
    (
        "{tidings} tail general{where}",
        "{tidings} send general hello{where}",
        "{tidings} history general{where}",
    ),
)
TRIES: Final = (
    "Try in another terminal, with the same TIDINGS_AUTH__SECRET:",
    (
        "export TIDINGS_TOKEN=$({tidings} token --user ada)",
        "{tidings} create general --open{where}",
        "{tidings} send general hello{where}",
    ),
)


EVERYWHERE: Final = "; it listens on every address of this machine, and others reach it under its name"


class Listening(Protocol):
    """Where a service listens and keeps its data."""

    @property
    def http_url(self) -> str:
        """Of the page."""

    @property
    def ws_url(self) -> str:
        """Of RSocket over WebSocket."""

    @property
    def tcp_url(self) -> str:
        """Of RSocket over TCP."""

    @property
    def data(self) -> Path:
        """The folder of the database."""

    @property
    def dev(self) -> bool:
        """Whether it is for development."""

    @property
    def everywhere(self) -> bool:
        """Whether it listens on every address of this machine."""


def serve(
    host: Host = None,
    port: Port = None,
    tcp_port: TcpPort = None,
    data: DataFolder = None,
    dev: Dev = False,
    config: ConfigFile = None,
    loop: Loop = None,
) -> int:
    """Run the service until Ctrl-C or SIGTERM."""
    import gc
    import os

    from tidings.signals import ignore_until_listening

    ignore_until_listening()

    # What is imported lives as long as the process: looking through it for rubbish, while it is imported or when the
    # service starts (`spare_the_collector`), would only make the start longer.
    gc.disable()
    from tidings.app import Ending
    from tidings.app import serve as serve_until_told
    from tidings.config import Settings, load

    gc.freeze()
    gc.enable()

    said = {"http.host": host, "http.port": port, "tcp.port": tcp_port, "data": data, "dev": dev or None, "loop": loop}
    overrides = {name: value for name, value in said.items() if value is not None}

    def read_settings() -> Settings:
        return load(config, os.environ, overrides)

    def announce(listening: Listening) -> None:
        for line in announcement(listening, program=program_name()):
            print(line, flush=True)

    def conclude(ending: Ending, drained_seconds: float) -> None:
        print(f"Tidings has stopped: {ending.value} ({drained_seconds:.2f} s)", flush=True)

    return serve_until_told(read_settings(), announce=announce, conclude=conclude, reread=read_settings)


def announcement(listening: Listening, *, program: str) -> list[str]:
    """Where it listens, and three commands to try next."""
    from tidings.cli.screen import styled

    kind = (
        styled("for development: anybody is let in, from this machine only", "yellow") if listening.dev else "for real"
    )
    where = "" if listening.ws_url == URL_DEFAULT else f" --url {listening.ws_url}"
    head, tries = TRIES_DEV if listening.dev else TRIES
    return [
        f"{styled('Tidings', 'bold')} is running, {kind}{EVERYWHERE if listening.everywhere else ''}",
        f"  RSocket   {listening.ws_url}",
        f"  RSocket   {listening.tcp_url}",
        f"  HTTP      {listening.http_url}",
        f"  data      {listening.data.resolve()}",
        head,
        *(f"  {line.format(tidings=program, where=where)}" for line in tries),
    ]


def program_name() -> str:
    """How the caller can start this program again: as it was started now, or `tidings` if that finds the same."""
    import shutil

    started = sys.argv[0]
    found = shutil.which("tidings")
    if found and Path(found).resolve() == Path(started).resolve():
        return "tidings"
    path = Path(started)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path))
