"""`tidings presence`: whether users are online."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.options import DEFAULT_CONNECTION, ConnectOptions, Json, takes_connection

if TYPE_CHECKING:
    from tidings.contract import v1
    from tidings_client import Client


@takes_connection
def presence(
    users: Annotated[list[str], typer.Argument(help="The users.", metavar="USER…", show_default=False)],
    watch: Annotated[bool, typer.Option("--watch", help="Also print every change, until Ctrl-C.")] = False,
    json: Json = False,
    connection: ConnectOptions = DEFAULT_CONNECTION,
) -> int:
    """Print whether users are online, and when the others were last seen."""
    from tidings.cli.connect import with_client

    async def work(client: "Client") -> None:
        await _show_all(client, users, watch, json)

    with_client(connection, work)
    return 0


async def _show_all(client: "Client", users: list[str], watch: bool, json: bool) -> None:
    import asyncio

    from tidings.cli.connect import report_states
    from tidings.cli.format import format_json
    from tidings.cli.terminal import print_line

    states = asyncio.create_task(report_states(client))
    try:
        async for item in client.presence.watch(users):
            if item.HasField("user"):
                print_line(format_json(item.user) if json else _format_presence(item.user))
            if item.HasField("live") and not watch:
                return
    finally:
        states.cancel()


def _format_presence(state: "v1.UserPresence") -> str:
    from tidings.cli.format import enum_label, format_time
    from tidings.cli.terminal import bidi_isolate, styled
    from tidings.contract import v1

    offline = state.status == v1.OFFLINE
    status = styled(enum_label(v1.Status.DESCRIPTOR, state.status), "dim" if offline else "green")
    since = f" since {format_time(state.last_seen_ms)}" if offline and state.last_seen_ms else ""
    text = f"  {bidi_isolate(state.text)}" if state.text else ""
    return f"{styled(bidi_isolate(state.user), 'bold')} {status}{since}{text}"
