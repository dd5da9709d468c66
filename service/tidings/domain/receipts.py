"""How far somebody has come in a room."""

from tidings.contract import v1
from tidings.contract.call import Call
from tidings.contract.errors import permission_denied
from tidings.domain.access import STRANGER, Access
from tidings.domain.gatherings import Gatherings
from tidings.domain.inbox import Inboxes
from tidings.domain.pace import Pace
from tidings.domain.ports import Store
from tidings.domain.rules import SEQ_MAX, Rules


class Receipts:
    """The service `Receipts`."""

    def __init__(
        self,
        *,
        store: Store,
        access: Access,
        gatherings: Gatherings,
        inboxes: Inboxes,
        rules: Rules,
        calls: Pace,
        updates: Pace,
    ) -> None:
        self._store = store
        self._access = access
        self._gatherings = gatherings
        self._inboxes = inboxes
        self._rules = rules
        self._calls = calls
        self._updates = updates

    async def mark(self, request: v1.MarkRequest, call: Call) -> v1.MarkReply:
        """Move my positions forward; what was read was delivered, and nothing beyond the head can have been."""
        self._calls.take(call.session.id)
        room = self._rules.room(request.room)
        standing = await self._access.may_read(room, call.user)
        if standing.role == STRANGER:
            raise permission_denied(f"positions are kept for members; join {room} first")
        self._updates.take(call.user, self._gatherings.weigh_receipt(room))
        read = min(request.read, SEQ_MAX)
        delivered = max(min(request.delivered, SEQ_MAX), read)
        delivered, read, changed = await self._store.mark(room, call.user, delivered=delivered, read=read)
        if changed:
            self._gatherings.marked(room, call.user, delivered, read)
            self._inboxes.touch(room, call.user)
        return v1.MarkReply(delivered=delivered, read=read)
