"""How far somebody has come in a room."""

from tidings.contract import v1
from tidings.contract.context import CallContext
from tidings.contract.errors import permission_denied
from tidings.domain.common.validation import SEQ_MAX, Validator
from tidings.domain.limits.rate_limiter import RateLimiter
from tidings.domain.permissions.authorizer import NON_MEMBER, Authorizer
from tidings.domain.ports.store import Store
from tidings.domain.presence.registry import RoomPresenceRegistry
from tidings.domain.rooms.room_list import RoomListRegistry


class ReceiptsService:
    """The service `Receipts`."""

    def __init__(
        self,
        *,
        store: Store,
        authorizer: Authorizer,
        room_presences: RoomPresenceRegistry,
        room_lists: RoomListRegistry,
        validator: Validator,
        call_limiter: RateLimiter,
        update_limiter: RateLimiter,
    ) -> None:
        self._store = store
        self._authorizer = authorizer
        self._room_presences = room_presences
        self._room_lists = room_lists
        self._validator = validator
        self._call_limiter = call_limiter
        self._update_limiter = update_limiter

    async def mark(self, request: v1.MarkRequest, context: CallContext) -> v1.MarkReply:
        """Move my positions forward; what was read was delivered, and nothing beyond the head can have been."""
        self._call_limiter.acquire(context.session.id)
        room = self._validator.room(request.room)
        access = await self._authorizer.authorize_read(room, context.user)
        if access.role == NON_MEMBER:
            raise permission_denied(f"positions are kept for members; join {room} first")
        self._update_limiter.acquire(context.user, self._room_presences.receipt_update_cost(room))
        read = min(request.read, SEQ_MAX)
        delivered = max(min(request.delivered, SEQ_MAX), read)
        delivered, read, changed = await self._store.advance_positions(
            room, context.user, delivered=delivered, read=read
        )
        if changed:
            self._room_presences.on_positions_changed(room, context.user, delivered, read)
            self._room_lists.invalidate(room, context.user)
        return v1.MarkReply(delivered=delivered, read=read)
