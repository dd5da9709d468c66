"""The connection of a command: there at once or a complaint that says what to change; kept alive from then on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from tidings.cli.complaints import MISUSED, Complaint
from tidings.cli.options import Link
from tidings.cli.screen import note
from tidings.cli.suggestions import room_meant
from tidings_client import Code, Failure, State, connect

if TYPE_CHECKING:
    from tidings_client import Client

T = TypeVar("T")

NOT_RUNNING: Final = "is the service running? start it with: tidings serve --dev, or name another with --url"
UNTRUSTED: Final = "name the file of the certificate to trust in SSL_CERT_FILE, or another service with --url"


def with_client(link: Link, work: "Callable[[Client], Awaitable[T]]") -> T:
    """What `work` gives, done over a connection to the service in an event loop of its own.

    Raises Complaint where nobody is reached, Failure for what the service refuses.
    """
    return asyncio.run(_with_client(link, work))


async def _with_client(link: Link, work: "Callable[[Client], Awaitable[T]]") -> T:
    client = await _connected(link)
    try:
        return await work(client)
    except Exception as error:
        room = await room_meant(client, error)
        if room:
            raise Complaint(f"NOT_FOUND: there is no room of that name; did you mean {room}?") from error
        raise
    finally:
        await client.aclose()


async def _connected(link: Link) -> "Client":
    try:
        client = connect(link.url, link.token) if link.token else connect(link.url, user=link.name)
        return await client.__aenter__()
    except Failure as failure:
        if failure.code is Code.INVALID_ARGUMENT:
            raise Complaint(f"{failure.text} (--url)", MISUSED) from failure
        if failure.code is Code.UNAVAILABLE:
            raise Complaint(_unreachable(link.url, failure.text)) from failure
        raise


def _unreachable(url: str, said: str) -> str:
    if "connection refused" in said:
        said = f"cannot reach {url}"
    if " instead of " in said or " unless configured" in said:  # TLS or not, the other port: it is nearly right
        return f"{said} (--url)"
    if "SSL_CERT_FILE" in said:
        return said
    hint = UNTRUSTED if "TLS failed" in said else NOT_RUNNING
    return f"{said.rstrip('.')}; {hint}"


async def tell_states(client: "Client") -> None:
    """Say on stderr when the connection is lost and when it is there again."""
    lost = False
    async for state in client.states():
        if state is State.RECONNECTING:
            lost = True
            note("connection lost; connecting again")
        elif state is State.CONNECTED and lost:
            lost = False
            note("connected again")
