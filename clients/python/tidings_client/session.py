"""The session: who am I, is the service there, a new token."""

import asyncio
from typing import TYPE_CHECKING

from tidings.contract import v1

if TYPE_CHECKING:
    from tidings_client.client import Client


class Session:
    """`client.session`: the living connection, as the service sees it."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    async def info(self) -> v1.InfoReply:
        """Who I am, when my token runs out, and which limits hold for me."""
        return await self._client.call("session.info", v1.InfoRequest(), v1.InfoReply)

    async def ping(self) -> float:
        """There and back, in seconds."""
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        await self._client.call("session.ping", v1.PingRequest(), v1.PingReply)
        return loop.time() - started_at

    async def refresh(self, token: str) -> v1.RefreshReply:
        """Use a new token of the same user, on this connection and on later ones; nothing is interrupted."""
        reply = await self._client.call("session.refresh", v1.RefreshRequest(token=token), v1.RefreshReply)
        self._client.reconnector.credentials.set_token(token)
        return reply
