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

from tidings.cli.complaints import Complaint
from tidings.cli.jsonl import BadLine, Draft, Line, read_lines
from tidings.cli.options import URL_DEFAULT, Link, Room, Token, Url, User, to_path
from tidings.cli.screen import clean, counted, is_terminal, note

if TYPE_CHECKING:
    from tidings.contract import v1
    from tidings_client import Client

STDIN: Final = Path("-")
IN_FLIGHT: Final = 256  # some 0.5 ms each when alone: enough to fill every commit, far below what a connection may open
# Refusals of one message, not of all: the line is bad, and the next one may be good.
BAD_LINE_CODES: Final = frozenset({"INVALID_ARGUMENT", "CONFLICT"})


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            parser=to_path,
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
    from tidings.cli.link import with_client

    job = Import(skip_bad=skip_bad)
    try:
        with _opened(file) as lines, _progress(file, quiet or file == STDIN) as advance:

            async def work(client: "Client") -> None:
                await job.run(read_lines(lines), client.rooms[room].send, advance)

            with_client(Link(url, token, user), work)
    finally:
        job.tell()
    return 0


class Import:
    """One run over one file, and what came of it."""

    def __init__(self, *, skip_bad: bool) -> None:
        self._skip_bad = skip_bad
        self._stop: Complaint | None = None
        self._began = False
        self.sent = 0
        self.repeated = 0
        self.bad = 0

    async def run(
        self,
        lines: Iterable[Line],
        send: "Callable[..., Awaitable[v1.SendReply]]",
        advance: Callable[[int], None],
    ) -> None:
        """Send them all; a Complaint at the first bad line unless those are skipped. What was begun is finished.

        `send` appends a message; `advance` is told the bytes of each line that is done with.
        """
        self._began, self._send, self._advance = True, send, advance
        free = asyncio.Semaphore(IN_FLIGHT)
        async with asyncio.TaskGroup() as sends:
            alone = True
            for line in lines:
                if self._stop:
                    break
                if isinstance(line, Draft):
                    await free.acquire()
                    task = sends.create_task(self._deliver(line, free))
                    if alone:
                        # If the room or the right to write is missing, one refusal says so, not hundreds.
                        await asyncio.wait([task])
                        alone = False
                    continue
                if isinstance(line, BadLine):
                    self._refuse(line.line, line.reason)
                self._advance(line.bytes)
        if self._stop:
            raise self._stop

    def tell(self) -> None:
        """What was done, on stderr; nothing if it never began."""
        if not self._began:
            return
        parts = [f"{self.sent:,} sent"]
        parts += [f"{self.repeated:,} already there"] if self.repeated else []
        parts += [f"{counted(self.bad, 'bad line')} left out"] if self.bad and self._skip_bad else []
        note(", ".join(parts))

    async def _deliver(self, draft: Draft, free: asyncio.Semaphore) -> None:
        from tidings.contract.errors import Failure

        try:
            reply = await self._send(draft.text, reply_to=draft.reply_to, client_id=draft.client_id)
        except Failure as failure:
            if failure.code.name not in BAD_LINE_CODES:
                raise
            self._refuse(draft.line, failure.text)
        else:
            self.sent += not reply.duplicate
            self.repeated += reply.duplicate
        finally:
            free.release()
        self._advance(draft.bytes)

    def _refuse(self, line: int, reason: str) -> None:
        self.bad += 1
        note(f"line {line}: {clean(reason)}")
        if not self._skip_bad and self._stop is None:
            self._stop = Complaint(
                f"stopped at line {line}; correct it, or leave bad lines out with --skip-bad, and run the same again: "
                "nothing is sent twice"
            )


def _opened(file: Path) -> contextlib.AbstractContextManager[BinaryIO]:
    return contextlib.nullcontext(sys.stdin.buffer) if file == STDIN else file.open("rb")


@contextlib.contextmanager
def _progress(file: Path, quiet: bool) -> Iterator[Callable[[int], None]]:
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
        task = bar.add_task(clean(file.name), total=file.stat().st_size)
        yield lambda count: bar.advance(task, count)
