"""`tidings import`: a file of messages into a room, quickly, and as often as needed.

Many sends are under way at once and the service commits them together. They are begun in the order of the file, and
the order of one connection is the order in the log, unless the service refuses some for a while (a rate limit, a
restart): those are sent again a little later, by the SDK.
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
from tidings.cli.options import URL_DEFAULT, ConnectOptions, Room, Token, Url, User, parse_path
from tidings.cli.terminal import escape_controls, is_terminal, pluralize, print_note

if TYPE_CHECKING:
    from tidings.contract import v1
    from tidings_client import Client

STDIN: Final = Path("-")
SENDS_IN_FLIGHT_MAX: Final = (
    256  # some 0.5 ms each when alone: enough to fill every commit, far below what a connection may open
)
# Refusals of one message, not of all: the line is bad, and the next one may be good.
INVALID_LINE_CODES: Final = frozenset({"INVALID_ARGUMENT", "CONFLICT"})


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            parser=parse_path,
            help='One JSON object a line: {"text": "…"}, or what export wrote; - reads stdin.',
            metavar="FILE",
            show_default=False,
        ),
    ],
    room: Room,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Report bad lines and go on without them.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    url: Url = URL_DEFAULT,
    token: Token = "",
    user: User = "",
) -> int:
    """Send every line of a file as a message of yours. Run it again after a stop: nothing is sent twice."""
    from tidings.cli.connect import with_client

    job = ImportRun(skip_invalid=skip_bad)
    try:
        with _open_input(file) as lines, _progress_bar(file, quiet or file == STDIN) as advance:

            async def work(client: "Client") -> None:
                await job.run(read_lines(lines), client.rooms[room].send, advance)

            with_client(ConnectOptions(url, token, user), work)
    finally:
        job.print_summary()
    return 0


class ImportRun:
    """One run over one file, and what came of it."""

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
        """Send them all; a Complaint at the first bad line unless those are skipped. What was begun is finished.

        `send` appends a message; `advance` is told the bytes of each line that is done with.
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
                        # If the room or the right to write is missing, one refusal says so, not hundreds.
                        await asyncio.wait([task])
                        is_first = False
                    continue
                if isinstance(line, InvalidLine):
                    self._reject_line(line.number, line.reason)
                self._advance(line.size_bytes)
        if self._stop_error:
            raise self._stop_error

    def print_summary(self) -> None:
        """What was done, on stderr; nothing if it never began."""
        if not self._is_started:
            return
        parts = [f"{self.sent:,} sent"]
        parts += [f"{self.duplicates:,} already there"] if self.duplicates else []
        parts += [f"{pluralize(self.invalid, 'bad line')} left out"] if self.invalid and self._skip_invalid else []
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
                f"stopped at line {number}; correct it, or leave bad lines out with --skip-bad, and run the same "
                f"again: "
                "nothing is sent twice"
            )


def _open_input(file: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    return contextlib.nullcontext(sys.stdin.buffer) if file == STDIN else file.open("rb")


@contextlib.contextmanager
def _progress_bar(file: Path, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where a person looks: bytes of the file, rate, time left. Yields what moves it forward."""
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
