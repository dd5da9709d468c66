"""`tidings serve`: runs the service until a signal stops it."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Final, Protocol

import typer

from tidings.cli.options import URL_DEFAULT, ConfigFile, parse_path

Dev = Annotated[
    bool, typer.Option("--dev", help="Development mode: no tokens, any user name, reachable from this machine only.")
]
DataDirectory = Annotated[
    Path | None,
    typer.Option("--data", parser=parse_path, help="The folder of the database.", metavar="DIR", show_default=False),
]
Host = Annotated[
    str | None, typer.Option("--host", help="The address to listen on.", metavar="ADDRESS", show_default=False)
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port", help="The port for HTTP and WebSocket; 0 chooses a free one.", min=0, max=65_535, show_default=False
    ),
]
TcpPort = Annotated[
    int | None,
    typer.Option(
        "--tcp-port", help="The port for RSocket over TCP; 0 chooses a free one.", min=0, max=65_535, show_default=False
    ),
]
Loop = Annotated[
    str | None, typer.Option("--loop", help="The event loop: uvloop or asyncio.", metavar="LOOP", show_default=False)
]


EXAMPLES_DEV: Final = (
    "Try in another terminal:",
    (
        "{tidings} tail general{where}",
        "{tidings} send general hello{where}",
        "{tidings} history general{where}",
    ),
)
EXAMPLES: Final = (
    "Try in another terminal, with the same TIDINGS_AUTH__SECRET:",
    (
        "export TIDINGS_TOKEN=$({tidings} token --user ada)",
        "{tidings} create general --open{where}",
        "{tidings} send general hello{where}",
    ),
)


ALL_ADDRESSES_NOTE: Final = "; it listens on all addresses of this machine, so other machines can connect to it"


class Listening(Protocol):
    """The addresses and the data folder of a running service."""

    @property
    def http_url(self) -> str:
        """The URL of the chat page."""

    @property
    def ws_url(self) -> str:
        """The URL of RSocket over WebSocket."""

    @property
    def tcp_url(self) -> str:
        """The URL of RSocket over TCP."""

    @property
    def data(self) -> Path:
        """The folder of the database."""

    @property
    def dev(self) -> bool:
        """Whether it runs in development mode."""

    @property
    def all_interfaces(self) -> bool:
        """Whether it listens on all addresses of this machine."""


def serve(
    host: Host = None,
    port: Port = None,
    tcp_port: TcpPort = None,
    data: DataDirectory = None,
    dev: Dev = False,
    config: ConfigFile = None,
    loop: Loop = None,
) -> int:
    """Run the service until Ctrl-C or SIGTERM."""
    import gc
    import os

    from tidings.runtime.signals import ignore_until_installed

    ignore_until_installed()

    # Imported objects live as long as the process: collecting garbage while they are imported or when the service
    # starts (`tune_gc`) would only make the start slower.
    gc.disable()
    from tidings.app import ShutdownResult
    from tidings.app import serve as serve_until_told
    from tidings.config import Settings, load

    gc.freeze()
    gc.enable()

    cli_values = {
        "http.host": host,
        "http.port": port,
        "tcp.port": tcp_port,
        "data": data,
        "dev": dev or None,
        "loop": loop,
    }
    overrides = {name: value for name, value in cli_values.items() if value is not None}

    def read_settings() -> Settings:
        return load(config, os.environ, overrides)

    def announce(listening: Listening) -> None:
        for line in startup_lines(listening, program=program_name()):
            print(line, flush=True)

    def conclude(ending: ShutdownResult, drained_seconds: float) -> None:
        print(f"Tidings has stopped: {ending.value} ({drained_seconds:.2f} s)", flush=True)

    return serve_until_told(read_settings(), on_started=announce, on_stopped=conclude, load_settings=read_settings)


def startup_lines(listening: Listening, *, program: str) -> list[str]:
    """The lines printed at the start: the mode, the addresses, and three commands to try."""
    from tidings.cli.terminal import styled

    kind = (
        styled("in development mode: no tokens, from this machine only", "yellow")
        if listening.dev
        else "in production mode"
    )
    where = "" if listening.ws_url == URL_DEFAULT else f" --url {listening.ws_url}"
    head, examples = EXAMPLES_DEV if listening.dev else EXAMPLES
    return [
        f"{styled('Tidings', 'bold')} is running {kind}{ALL_ADDRESSES_NOTE if listening.all_interfaces else ''}",
        f"  RSocket   {listening.ws_url}",
        f"  RSocket   {listening.tcp_url}",
        f"  HTTP      {listening.http_url}",
        f"  data      {listening.data.resolve()}",
        head,
        *(f"  {line.format(tidings=program, where=where)}" for line in examples),
    ]


def program_name() -> str:
    """The command that starts this program: `tidings` if the PATH finds the same file, else the path that was used."""
    import shutil

    started = sys.argv[0]
    found = shutil.which("tidings")
    if found and Path(found).resolve() == Path(started).resolve():
        return "tidings"
    path = Path(started)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path))
