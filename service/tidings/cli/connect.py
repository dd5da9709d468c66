"""The connection of a command: opened at once, or an error that says what to change. The SDK reconnects it later."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

from tidings.cli.errors import EXIT_USAGE, CliError
from tidings.cli.options import ConnectOptions
from tidings.cli.suggestions import suggest_room
from tidings.cli.terminal import print_note
from tidings_client import ApiError, ClientState, Code, connect

if TYPE_CHECKING:
    from tidings_client import Client

T = TypeVar("T")

NOT_RUNNING_HINT: Final = "is the service running? start it with: tidings serve --dev, or name another with --url"
UNTRUSTED_HINT: Final = "name the file of the certificate to trust in SSL_CERT_FILE, or another service with --url"


def with_client(options: ConnectOptions, work: "Callable[[Client], Awaitable[T]]") -> T:
    """Run `work` with a connection to the service, in its own event loop; returns its result.

    Raises CliError when the service cannot be reached, and ApiError for a request that the service rejects.
    """
    return asyncio.run(_with_client(options, work))


async def _with_client(options: ConnectOptions, work: "Callable[[Client], Awaitable[T]]") -> T:
    client = await _connect(options)
    try:
        return await work(client)
    except Exception as error:
        room = await suggest_room(client, error)
        if room:
            raise CliError(f"NOT_FOUND: there is no room of that name; did you mean {room}?") from error
        raise
    finally:
        await client.aclose()


async def _connect(options: ConnectOptions) -> "Client":
    try:
        client = connect(options.url, options.token) if options.token else connect(options.url, user=options.user_name)
        return await client.__aenter__()
    except ApiError as failure:
        if failure.code is Code.INVALID_ARGUMENT:
            raise CliError(f"{failure.text} (--url)", EXIT_USAGE) from failure
        if failure.code is Code.UNAVAILABLE:
            raise CliError(_unreachable_message(options.url, failure.text)) from failure
        raise


def _unreachable_message(url: str, reason: str) -> str:
    if "connection refused" in reason:
        reason = f"cannot reach {url}"
    # TLS is missing or not expected, or the port is the other one: the text names the right URL.
    if " instead of " in reason or " unless configured" in reason:
        return f"{reason} (--url)"
    if "SSL_CERT_FILE" in reason:
        return reason
    hint = UNTRUSTED_HINT if "TLS failed" in reason else NOT_RUNNING_HINT
    return f"{reason.rstrip('.')}; {hint}"


async def report_states(client: "Client") -> None:
    """Report on stderr when the connection is lost and when it is open again."""
    is_lost = False
    async for state in client.states():
        if state is ClientState.RECONNECTING:
            is_lost = True
            print_note("connection lost; connecting again")
        elif state is ClientState.CONNECTED and is_lost:
            is_lost = False
            print_note("connected again")
