"""Full-text search, for one room or for all rooms of the user."""

from tidings.contract import v1
from tidings_client.client_context import ClientContext


async def search(
    context: ClientContext, query: str, *, room: str, sender: str, page: str, limit: int
) -> v1.SearchReply:
    """A page of messages that match; the arguments are those of `Client.search`. Raises ApiError."""
    request = v1.SearchRequest(query=query, room=room, page=page, limit=limit)
    # The field is named `from`, which Python does not allow as a keyword argument.
    setattr(request, "from", sender)
    return await context.call("history.search", request, v1.SearchReply)
