"""Reading a room's log: a page, a range as a stream, words."""

from functools import partial
from typing import Any

from tidings.contract import v1
from tidings.contract.context import CallContext
from tidings.contract.errors import ApiError, cursor_lost, invalid_argument
from tidings.domain.common.background import BackgroundTasks
from tidings.domain.common.items import page_reply, search_reply
from tidings.domain.history.range_stream import RangeStream
from tidings.domain.limits.rate_limiter import RateLimiter
from tidings.domain.limits.read_limiter import UserReadLimiter
from tidings.domain.permissions.authorizer import Authorizer
from tidings.domain.ports.store import PAGE_BYTES_MAX, LogHead, SearchPage, Store
from tidings.domain.validation.validator import SEQ_MAX, Validator
from tidings.hub import Sink, Subscription
from tidings.hub.ports import Schedule


class HistoryService:
    """The service `History`. Ends the readings of whoever loses the right to read (a `AccessRevocable`)."""

    def __init__(
        self,
        *,
        store: Store,
        authorizer: Authorizer,
        validator: Validator,
        read_limiter: UserReadLimiter,
        background: BackgroundTasks,
        schedule: Schedule,
        call_limiter: RateLimiter,
        search_limiter: RateLimiter,
    ) -> None:
        self._store = store
        self._authorizer = authorizer
        self._validator = validator
        self._limits = validator.limits
        self._read_limiter = read_limiter
        self._background = background
        self._schedule = schedule
        self._call_limiter = call_limiter
        self._search_limiter = search_limiter
        # (room, user) → the readings that are open.
        self._range_streams: dict[tuple[str, str], set[RangeStream]] = {}

    async def page(self, request: v1.PageRequest, context: CallContext) -> v1.PageReply:
        """A page before or after a seq."""
        self._call_limiter.acquire(context.limit_key)
        limit = self._validator.limit(request.limit, "page_events")
        before = min(request.before, SEQ_MAX) if request.HasField("before") else None
        after = min(request.after, SEQ_MAX) if request.HasField("after") else None
        if before is not None and after is not None:
            raise invalid_argument("before and after are both given; give one, or none for the newest page")
        room = self._validator.room(request.room)
        await self._authorizer.authorize_read(room, context.user)
        page = await self._read_limiter.wait(
            context,
            lambda: self._store.page(room, before=before, after=after, limit=limit),
            bytes_max=PAGE_BYTES_MAX,
        )
        # The right may have been lost in the line.
        await self._authorizer.authorize_read(room, context.user)
        return page_reply(
            (event.data for event in page.events), more=page.more, epoch=page.head.epoch, head=page.head.seq
        )

    async def read(self, request: v1.ReadRequest, context: CallContext, sink: Sink[Any]) -> Subscription:
        """A range from the log; what comes after the head of now is not part of it."""
        self._call_limiter.acquire(context.limit_key)
        room = self._validator.room(request.room)
        await self._authorizer.authorize_read(room, context.user)
        head = await self._store.head(room)
        # The right may have been lost while the head was read.
        await self._authorizer.authorize_read(room, context.user)
        check_cursor(request.after, room, head)
        key = (room, context.user)
        stream = RangeStream(
            sink,
            epoch=head.epoch,
            after=request.after.seq,
            last=min(request.to, head.seq) if request.HasField("to") else head.seq,
            fetch=lambda after, limit, done, wanted: self._read_limiter.start(
                self._background, context, partial(self._store.read, room, after, limit), done, wanted
            ),
            schedule=self._schedule,
            on_closed=lambda: self._remove(key, stream),
            limits=self._limits,
            account=context.memory,
        )
        self._range_streams.setdefault(key, set()).add(stream)
        return stream

    async def search(self, request: v1.SearchRequest, context: CallContext) -> v1.SearchReply:
        """Words in one room, or in all that the caller is in."""
        self._call_limiter.acquire(context.limit_key)
        self._search_limiter.acquire(context.user)
        limit = self._validator.limit(request.limit, "search_results")
        words = self._validator.query(request.query)
        sender = getattr(request, "from")
        if sender:
            sender = self._validator.user(sender)
        room = self._validator.room(request.room) if request.room else ""

        async def search_rooms() -> SearchPage:
            if room:
                await self._authorizer.authorize_read(room, context.user)
            rooms = [room] if room else list(await self._store.room_names_of(context.user))
            if not rooms:
                return SearchPage([], "")
            return await self._store.search(words, rooms=rooms, sender=sender, page_token=request.page, limit=limit)

        results = await self._read_limiter.wait(context, search_rooms, bytes_max=limit * self._limits.text_bytes_max)
        return search_reply((event.data for event in results.events), results.next_page_token)

    def owners(self, room: str, /) -> set[str]:
        """The users who read a range of the room now. Looks at all such reads."""
        return {user for name, user in self._range_streams if name == room}

    def revoke(self, room: str, user: str, error: ApiError, /) -> None:
        """This user may no longer read this room."""
        for stream in self._range_streams.pop((room, user), ()):
            stream.fail(error)

    def _remove(self, key: tuple[str, str], stream: RangeStream) -> None:
        streams = self._range_streams.get(key)
        if streams is not None:
            streams.discard(stream)
            if not streams:
                del self._range_streams[key]


def check_cursor(after: v1.Cursor, room: str, head: LogHead) -> None:
    """CURSOR_LOST for a cursor that was made from another log than this one."""
    if after.epoch and after.epoch != head.epoch:
        raise cursor_lost(f"the log of {room} was replaced since then; take a page and go on from its head")
    if after.seq > head.seq:
        raise cursor_lost(f"the cursor names seq {after.seq} of {room}, which ends at {head.seq}; take a page to go on")
