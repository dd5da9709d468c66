"""Reading a room's log: a page, a range as a stream, words."""

from functools import partial
from typing import Any

from tidings.contract import v1
from tidings.contract.call import Call
from tidings.contract.errors import Failure, cursor_lost, invalid_argument
from tidings.domain.access import Access
from tidings.domain.errands import Errands
from tidings.domain.items import page_reply, search_reply
from tidings.domain.lines import Lines
from tidings.domain.pace import Pace
from tidings.domain.ports import PAGE_BYTES_MAX, Head, SearchPage, Store
from tidings.domain.reading import Reading
from tidings.domain.rules import SEQ_MAX, Rules
from tidings.hub import Sink, Source
from tidings.hub.ports import Schedule


class History:
    """The service `History`. Ends the readings of whoever loses the right to read (a `Cut`)."""

    def __init__(
        self,
        *,
        store: Store,
        access: Access,
        rules: Rules,
        lines: Lines,
        errands: Errands,
        schedule: Schedule,
        calls: Pace,
        searches: Pace,
    ) -> None:
        self._store = store
        self._access = access
        self._rules = rules
        self._limits = rules.limits
        self._lines = lines
        self._errands = errands
        self._schedule = schedule
        self._calls = calls
        self._searches = searches
        # (room, user) → the readings that are open.
        self._readings: dict[tuple[str, str], set[Reading]] = {}

    async def page(self, request: v1.PageRequest, call: Call) -> v1.PageReply:
        """A page before or after a seq."""
        self._calls.take(call.session.id)
        limit = self._rules.limit(request.limit, "page_events")
        before = min(request.before, SEQ_MAX) if request.HasField("before") else None
        after = min(request.after, SEQ_MAX) if request.HasField("after") else None
        if before is not None and after is not None:
            raise invalid_argument("before and after are both given; give one, or none for the newest page")
        room = self._rules.room(request.room)
        await self._access.may_read(room, call.user)
        page = await self._lines.wait(
            call,
            lambda: self._store.page(room, before=before, after=after, limit=limit),
            bytes_max=PAGE_BYTES_MAX,
        )
        # The right may have been lost in the line.
        await self._access.may_read(room, call.user)
        return page_reply(
            (event.data for event in page.events), more=page.more, epoch=page.head.epoch, head=page.head.seq
        )

    async def read(self, request: v1.ReadRequest, call: Call, sink: Sink[Any]) -> Source:
        """A range from the log; what comes after the head of now is not part of it."""
        self._calls.take(call.session.id)
        room = self._rules.room(request.room)
        await self._access.may_read(room, call.user)
        head = await self._store.head(room)
        # The right may have been lost while the head was read.
        await self._access.may_read(room, call.user)
        check_cursor(request.after, room, head)
        key = (room, call.user)
        reading = Reading(
            sink,
            epoch=head.epoch,
            after=request.after.seq,
            last=min(request.to, head.seq) if request.HasField("to") else head.seq,
            fetch=lambda after, limit, done, wanted: self._lines.run(
                self._errands, call, partial(self._store.read, room, after, limit), done, wanted
            ),
            schedule=self._schedule,
            left=lambda: self._forget(key, reading),
            limits=self._limits,
            account=call.memory,
        )
        self._readings.setdefault(key, set()).add(reading)
        return reading

    async def search(self, request: v1.SearchRequest, call: Call) -> v1.SearchReply:
        """Words in one room, or in all that the caller is in."""
        self._calls.take(call.session.id)
        self._searches.take(call.user)
        limit = self._rules.limit(request.limit, "search_results")
        words = self._rules.query(request.query)
        sender = getattr(request, "from")
        if sender:
            sender = self._rules.user(sender)
        room = self._rules.room(request.room) if request.room else ""

        async def look() -> SearchPage:
            if room:
                await self._access.may_read(room, call.user)
            rooms = [room] if room else list(await self._store.names_of(call.user))
            if not rooms:
                return SearchPage([], "")
            return await self._store.search(words, rooms=rooms, sender=sender, page=request.page, limit=limit)

        found = await self._lines.wait(call, look, bytes_max=limit * self._limits.text_bytes_max)
        return search_reply((event.data for event in found.events), found.next)

    def end(self, room: str, owner: str, error: Failure, /) -> None:
        """This user may no longer read this room."""
        for reading in self._readings.pop((room, owner), ()):
            reading.fail(error)

    def _forget(self, key: tuple[str, str], reading: Reading) -> None:
        readings = self._readings.get(key)
        if readings is not None:
            readings.discard(reading)
            if not readings:
                del self._readings[key]


def check_cursor(after: v1.Cursor, room: str, head: Head) -> None:
    """CURSOR_LOST for a cursor that was made from another log than this one."""
    if after.epoch and after.epoch != head.epoch:
        raise cursor_lost(f"the log of {room} was replaced since then; take a page and go on from its head")
    if after.seq > head.seq:
        raise cursor_lost(f"the cursor names seq {after.seq} of {room}, which ends at {head.seq}; take a page to go on")
