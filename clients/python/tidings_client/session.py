"""The session: who am I, is the service there, a new token."""

import asyncio

from tidings.contract import v1
from tidings_client.client_context import ClientContext


class Session:
    """`client.session`: the living connection, as the service sees it."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context

    async def info(self) -> v1.InfoReply:
        """Who I am, when my token runs out, and which limits hold for me."""
        return await self._context.call("session.info", v1.InfoRequest(), v1.InfoReply)

    async def ping(self) -> float:
        """There and back, in seconds."""
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        await self._context.call("session.ping", v1.PingRequest(), v1.PingReply)
        return loop.time() - started_at

    async def refresh(self, token: str) -> v1.RefreshReply:
        """Use a new token of the same user, on this connection and on later ones; nothing is interrupted."""
        reply = await self._context.call("session.refresh", v1.RefreshRequest(token=token), v1.RefreshReply)
        self._context.reconnector.credentials.set_token(token)
        return reply
