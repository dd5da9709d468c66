"""`tidings presence`: who is there."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.options import URL_DEFAULT, Json, Link, Token, Url, User

if TYPE_CHECKING:
    from tidings.contract import v1
    from tidings_client import Client


def presence(
    users: Annotated[list[str], typer.Argument(help="Whose.", metavar="USER…", show_default=False)],
    watch: Annotated[bool, typer.Option("--watch", help="Stay and show every change, until Ctrl-C.")] = False,
    json: Json = False,
    url: Url = URL_DEFAULT,
    token: Token = "",
    user: User = "",
) -> int:
    """Show whether users are online, and since when they are not."""
    from tidings.cli.link import with_client

    async def work(client: "Client") -> None:
        await _show_all(client, users, watch, json)

    with_client(Link(url, token, user), work)
    return 0


async def _show_all(client: "Client", users: list[str], watch: bool, json: bool) -> None:
    import asyncio

    from tidings.cli.events import json_line
    from tidings.cli.link import tell_states
    from tidings.cli.screen import say

    states = asyncio.create_task(tell_states(client))
    try:
        async for item in client.presence.watch(users):
            if item.HasField("user"):
                say(json_line(item.user) if json else _line(item.user))
            if item.HasField("live") and not watch:
                return
    finally:
        states.cancel()


def _line(person: "v1.UserPresence") -> str:
    from tidings.cli.events import moment, word
    from tidings.cli.screen import isolated, styled
    from tidings.contract import v1

    offline = person.status == v1.OFFLINE
    state = styled(word(v1.Status.DESCRIPTOR, person.status), "dim" if offline else "green")
    since = f" since {moment(person.last_seen_ms)}" if offline and person.last_seen_ms else ""
    text = f"  {isolated(person.text)}" if person.text else ""
    return f"{styled(isolated(person.user), 'bold')} {state}{since}{text}"
