"""`tidings import`: sends a file of messages to a room; running it again sends nothing twice.

Many sends are in flight at once and the service commits them together. They start in the order of the file, and the
order of one connection is the order in the log, unless the service rejects some temporarily (a rate limit, a restart):
the SDK sends those again later.
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final

import typer

from tidings.cli.errors import CliError
from tidings.cli.import_lines import ImportLine, InvalidLine, ParsedLine, read_lines
from tidings.cli.options import DEFAULT_CONNECTION, ConnectOptions, Room, parse_path, takes_connection
from tidings.cli.terminal import escape_controls, is_terminal, pluralize, print_note

if TYPE_CHECKING:
    from tidings.contract import v1
    from tidings_client import Client

STDIN: Final = Path("-")
# About 0.5 ms each when sent one by one: enough to fill every commit, far below the streams a connection may open.
SENDS_IN_FLIGHT_MAX: Final = 256
# Errors of one message: the line is invalid, and the next one may be valid.
INVALID_LINE_CODES: Final = frozenset({"INVALID_ARGUMENT", "CONFLICT"})


@takes_connection
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            parser=parse_path,
            help='One JSON object per line: {"text": "…"}, or the output of export; - reads stdin.',
            metavar="FILE",
            show_default=False,
        ),
    ],
    room: Room,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Report invalid lines and continue.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    connection: ConnectOptions = DEFAULT_CONNECTION,
) -> int:
    """Send every line of a file as a message of yours. After an error run it again: nothing is sent twice."""
    from tidings.cli.connect import with_client

    job = ImportRun(skip_invalid=skip_bad)
    try:
        with _open_input(file) as lines, _progress_bar(file, quiet or file == STDIN) as advance:

            async def work(client: "Client") -> None:
                await job.run(read_lines(lines), client.rooms[room].send, advance)

            with_client(connection, work)
    finally:
        job.print_summary()
    return 0


class ImportRun:
    """One run over one file, and its counts."""

    def __init__(self, *, skip_invalid: bool) -> None:
        self._skip_invalid = skip_invalid
        self._stop_error: CliError | None = None
        self._is_started = False
        self.sent = 0
        self.duplicates = 0
        self.invalid = 0

    async def run(
        self,
        lines: Iterable[ParsedLine],
        send: "Callable[..., Awaitable[v1.SendReply]]",
        advance: Callable[[int], None],
    ) -> None:
        """Send all lines; CliError at the first invalid line unless those are skipped. Sends in flight are finished.

        `send` appends a message; `advance` is called with the bytes of each line that is done.
        """
        self._is_started, self._send, self._advance = True, send, advance
        slots = asyncio.Semaphore(SENDS_IN_FLIGHT_MAX)
        async with asyncio.TaskGroup() as sends:
            is_first = True
            for line in lines:
                if self._stop_error:
                    break
                if isinstance(line, ImportLine):
                    await slots.acquire()
                    task = sends.create_task(self._send_line(line, slots))
                    if is_first:
                        # If the room or the permission is missing, this is one error, not hundreds.
                        await asyncio.wait([task])
                        is_first = False
                    continue
                if isinstance(line, InvalidLine):
                    self._reject_line(line.number, line.reason)
                self._advance(line.size_bytes)
        if self._stop_error:
            raise self._stop_error

    def print_summary(self) -> None:
        """Print the counts on stderr; nothing if the run did not start."""
        if not self._is_started:
            return
        parts = [f"{self.sent:,} sent"]
        parts += [f"{self.duplicates:,} already sent"] if self.duplicates else []
        parts += [f"{pluralize(self.invalid, 'invalid line')} skipped"] if self.invalid and self._skip_invalid else []
        print_note(", ".join(parts))

    async def _send_line(self, line: ImportLine, slots: asyncio.Semaphore) -> None:
        from tidings.contract.errors import ApiError

        try:
            reply = await self._send(line.text, reply_to=line.reply_to, client_id=line.client_id)
        except ApiError as failure:
            if failure.code.name not in INVALID_LINE_CODES:
                raise
            self._reject_line(line.number, failure.text)
        else:
            self.sent += not reply.duplicate
            self.duplicates += reply.duplicate
        finally:
            slots.release()
        self._advance(line.size_bytes)

    def _reject_line(self, number: int, reason: str) -> None:
        self.invalid += 1
        print_note(f"line {number}: {escape_controls(reason)}")
        if not self._skip_invalid and self._stop_error is None:
            self._stop_error = CliError(
                f"stopped at line {number}; correct it, or skip invalid lines with --skip-bad, and run the command "
                "again: nothing is sent twice"
            )


def _open_input(file: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    return contextlib.nullcontext(sys.stdin.buffer) if file == STDIN else file.open("rb")


@contextlib.contextmanager
def _progress_bar(file: Path, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar if stderr is a terminal: bytes, rate, time left. Yields the function that advances it by bytes."""
    if quiet or not is_terminal(sys.stderr):
        yield lambda _bytes: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(escape_controls(file.name), total=file.stat().st_size)
        yield lambda count: bar.advance(task, count)
