"""Positions: how far a member has received and read a room."""

from collections.abc import Callable

from tidings.contract import v1
from tidings.contract.context import CallContext
from tidings.contract.errors import permission_denied
from tidings.domain.limits.rate_limiter import RateLimiter
from tidings.domain.permissions.authorizer import NON_MEMBER, Authorizer
from tidings.domain.ports.commit_feed import CommitFeed, PositionsChanged
from tidings.domain.ports.store import Store
from tidings.domain.validation.validator import SEQ_MAX, Validator


class ReceiptsService:
    """The service `Receipts`. `update_cost(room)` is what one update of positions costs of the user's rate."""

    def __init__(
        self,
        *,
        store: Store,
        authorizer: Authorizer,
        feed: CommitFeed,
        update_cost: Callable[[str], int],
        validator: Validator,
        call_limiter: RateLimiter,
        update_limiter: RateLimiter,
    ) -> None:
        self._store = store
        self._authorizer = authorizer
        self._feed = feed
        self._update_cost = update_cost
        self._validator = validator
        self._call_limiter = call_limiter
        self._update_limiter = update_limiter

    async def mark(self, request: v1.MarkRequest, context: CallContext) -> v1.MarkReply:
        """Move my positions forward; what was read was delivered, and nothing beyond the head can have been."""
        self._call_limiter.acquire(context.limit_key)
        room = self._validator.room(request.room)
        access = await self._authorizer.authorize_read(room, context.user)
        if access.role == NON_MEMBER:
            raise permission_denied(f"positions are kept for members; join {room} first")
        self._update_limiter.acquire(context.user, self._update_cost(room))
        read = min(request.read, SEQ_MAX)
        delivered = max(min(request.delivered, SEQ_MAX), read)
        delivered, read, changed = await self._store.advance_positions(
            room, context.user, delivered=delivered, read=read
        )
        if changed:
            self._feed.publish(PositionsChanged(room, context.user, delivered, read))
        return v1.MarkReply(delivered=delivered, read=read)
