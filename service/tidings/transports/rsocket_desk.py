"""The requests of one session: what each asks for, whether it may, and what is being done for it.

A call whose handler does not wait is answered at once. Everything else becomes a piece of work (`rsocket_work.py`,
`rsocket_calls.py`), bounded in number, kept in `live` until it is over.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tidings.contract.call import Call, Session
from tidings.contract.errors import Failure, permission_denied, resource_exhausted, unauthenticated, unimplemented
from tidings.contract.table import Permission, Verb
from tidings.log import log
from tidings.rsocket import Declined, Interaction, Stream
from tidings.rsocket.facts import RequestReceived
from tidings.transports import measured
from tidings.transports.endings import failure_of
from tidings.transports.measured import Measured
from tidings.transports.read_scheduler import ADMISSION_SECONDS
from tidings.transports.routes import Route, Routes
from tidings.transports.rsocket_calls import CallWork, ForgetWork
from tidings.transports.rsocket_work import AdmissionWork, ChannelWork, WatchWork, Work

if TYPE_CHECKING:
    from tidings.transports.rsocket_session import RSocketSession

INTERACTIONS: Final = {
    Verb.CALL: "REQUEST_RESPONSE or FIRE_AND_FORGET",
    Verb.WATCH: "REQUEST_STREAM",
    Verb.CHANNEL: "REQUEST_CHANNEL",
}
# What a request holds on its user's account (`contract.memory`) while it is served: the stream, the work and a task;
# and for each byte of it, what it becomes. Measured: 1.0 KiB for an open watch without its source; a text is held as
# frame, message, event and in the queue to the disk, an empty name of two bytes takes 16. (All weights are what
# tracemalloc says of a thousand of the kind, and a quarter more for what the allocator and growing tables take.)
STREAM_BYTES: Final = 1_280
REQUEST_BYTES_PER_BYTE: Final = 8
# Streams of a lost connection that end without a step: a person's connection has no more. 0.1 ms.
ENDED_AT_ONCE: Final = 16


class Desk:
    """Where an accepted session's requests arrive."""

    __slots__ = (
        "_call",
        "_caller",
        "_in_flight",
        "_known",
        "_lent",
        "_memory",
        "_routes",
        "_woken",
        "budget",
        "left",
        "live",
        "session",
    )

    def __init__(self, session: "RSocketSession", caller: Session, routes: Routes) -> None:
        self.session = session
        self.live: dict[Stream, Work] = {}
        self.left = False  # by the peer; what is in `live` ends step by step
        self.budget = session.wire.budget
        self._caller = caller
        self._memory = caller.memory
        self._call = Call(caller)
        self._routes = routes
        self._known = routes.known
        self._in_flight = 0
        self._woken: asyncio.Future[None] | None = None
        self._lent: dict[Work, int] = {}  # work on credentials of its own that run out, Unix ms

    def at_once(self, metadata: bytes | None, data: bytes) -> bytes | None:
        """The answer of a call that anybody may make and that does not wait; None: it is a `request`.

        What `serve` would do in the end, by the shortest way there is: nearly all calls come by here.
        """
        route = self._known.get(metadata)
        if route is None or not route.at_once:
            return None
        try:
            answer = route.answer(data, self._call)
        except Exception as error:
            raise _declined(route, error) from error
        route.outcomes.ok += 1
        return answer

    def request(self, fact: RequestReceived) -> None:
        """The peer asks for something."""
        stream, metadata, data, complete = fact
        route = self._known.get(metadata)
        if route is None:
            self._look_up(stream, metadata, data, complete)
        else:
            self.serve(route, stream, data, complete, self._call)

    def _look_up(self, stream: Stream, metadata: bytes | None, data: bytes, complete: bool) -> None:
        """Metadata that were not seen before, or must not be remembered."""
        try:
            route, credentials = self._routes.find(metadata)
            if credentials is not None:
                self.budget.used += ADMISSION_SECONDS
                admission = AdmissionWork(self, route, stream, self._call)
                self._register(admission, data)
                admission.begin(credentials, data, complete)
                return
        except Failure as failure:
            self._tell(stream, failure)
        else:
            self.serve(route, stream, data, complete, self._call)

    def serve(self, route: Route, stream: Stream, data: bytes, complete: bool, call: Call) -> None:
        """Do what the route says, as that caller."""
        row = route.row
        self.budget.used += route.later_seconds
        try:
            if row.permission is Permission.OPERATOR and not call.identity.operator:
                raise permission_denied(f"{row.route} is for operators; sign in as one")
            begin = self.BEGIN.get((row.verb, stream.interaction))
            if begin is None:
                raise unimplemented(
                    f"{row.route} is a {row.verb.value}: ask with {INTERACTIONS[row.verb]}, "
                    f"not {stream.interaction.name}"
                )
            begin(self, route, stream, data, complete, call)
        except Exception as error:
            self._failed(route, stream, error)

    def _failed(self, route: Route, stream: Stream, error: Exception) -> None:
        """A request could not be begun."""
        work: Work | None = stream.context
        if work is not None:
            work.fail(error)
        elif stream.interaction is Interaction.FIRE_AND_FORGET:
            self.forgotten(route, error)
        else:
            failure = failure_of(error, route.row.route)
            route.outcomes.failed[failure.code.name] += 1
            self._tell(stream, failure)

    def _begin_call(self, route: Route, stream: Stream, data: bytes, complete: bool, call: Call) -> None:
        if not route.row.waits:
            answer = route.answer(data, call)
            route.outcomes.ok += 1
            stream.next(answer, route.said)
            return
        work = CallWork(self, route, stream, call)
        self._register(work, data)
        work.begin(data)

    def _begin_forget(self, route: Route, stream: Stream, data: bytes, complete: bool, call: Call) -> None:
        if not route.row.waits:
            route.answer(data, call)
            route.outcomes.ok += 1
            return
        work = ForgetWork(self, route, stream, call)
        self._register(work, data)
        try:
            work.begin(data)
        except BaseException:
            self.release(work)
            raise

    def _begin_watch(self, route: Route, stream: Stream, data: bytes, complete: bool, call: Call) -> None:
        work = WatchWork(self, route, stream, call)
        self._register(work, data)
        work.begin(data)

    def _begin_channel(self, route: Route, stream: Stream, data: bytes, complete: bool, call: Call) -> None:
        work = ChannelWork(self, route, stream, call)
        self._register(work, data)
        work.begin(data, complete)

    BEGIN: ClassVar = {
        (Verb.CALL, Interaction.REQUEST_RESPONSE): _begin_call,
        (Verb.CALL, Interaction.FIRE_AND_FORGET): _begin_forget,
        (Verb.WATCH, Interaction.REQUEST_STREAM): _begin_watch,
        (Verb.CHANNEL, Interaction.REQUEST_CHANNEL): _begin_channel,
    }

    def _register(self, work: Work, data: bytes) -> None:
        """Take work on; RESOURCE_EXHAUSTED when there is no room for it."""
        most = self.session.service.connections.requests_in_flight_max
        if self._in_flight >= most:
            raise resource_exhausted(
                f"{most} requests of this connection are being served (requests_in_flight_max); wait for answers"
            )
        size = STREAM_BYTES + REQUEST_BYTES_PER_BYTE * len(data)
        self._memory.begin(size)
        work.held_bytes = size
        stream = work.stream
        if stream.interaction is Interaction.FIRE_AND_FORGET:
            return  # nobody can cancel it, and it outlives the connection
        self.live[stream] = work
        stream.context = work
        ends_ms = work.call.identity.expires_at_ms
        if ends_ms and work.call is not self._call:
            self._lent[work] = ends_ms
            self.session.rearm()

    def awaited(self, answer: asyncio.Future[Any] | Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
        """An answer that counts against the connection's limit until it `came`, or was given up."""
        self._in_flight += 1
        self._memory.requests += 1
        if isinstance(answer, asyncio.Future):
            return answer
        service = self.session.service
        return service.start(Measured(answer, service.clock, self._charge))

    def _charge(self, seconds: float) -> None:
        """A task of ours took so long."""
        self.session.service.reading.charge(self.budget, seconds)

    def came(self) -> None:
        """It counts no longer."""
        self._in_flight -= 1
        self._memory.requests -= 1

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Run it at once; where it waits, the rest is a task like those of `start`."""
        rest = measured.begin(coroutine, self.session.service.clock, self._charge)
        return None if rest is None else self._count(self.session.service.start(rest))

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that counts against the connection's limit until it has ended."""
        service = self.session.service
        return self._count(service.start(Measured(coroutine, service.clock, self._charge)))

    def _count(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._in_flight += 1
        self._memory.requests += 1
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, _task: Any) -> None:
        self.came()

    def served(self, work: Work) -> None:
        """A watch or a channel is open: its request is held no longer, its stream is."""
        if work.held_bytes > STREAM_BYTES:
            self._memory.release(work.held_bytes - STREAM_BYTES)
            work.held_bytes = STREAM_BYTES

    def hold(self, work: Work, size: int) -> None:
        """Hold so many bytes more for it until it is released. RESOURCE_EXHAUSTED where there is no room for them."""
        self._memory.hold(size)
        work.held_bytes += size

    def release(self, work: Work) -> None:
        """Nothing is held for it any more. Idempotent."""
        size, work.held_bytes = work.held_bytes, 0
        self._memory.release(size)

    def forgotten(self, route: Route, error: BaseException) -> None:
        """A FIRE_AND_FORGET failed. Nobody is told, so it is written down."""
        failure = failure_of(error, route.row.route)
        route.outcomes.failed[failure.code.name] += 1
        log.info(
            "a request without answer failed",
            session=self.session.id,
            route=route.row.route,
            code=failure.code.name,
        )

    def _tell(self, stream: Stream, failure: Failure) -> None:
        if not stream.closed:
            stream.fail(failure.row.rsocket, failure.wire)

    # --- all of them at once ------------------------------------------------------------------------------------

    def wake(self) -> None:
        """The socket takes bytes again: whoever has something to send may."""
        woken, self._woken = self._woken, None
        if woken is not None:
            woken.set_result(None)
        for work in list(self.live.values()):
            work.credit()

    def woken(self) -> Awaitable[None]:
        """To be awaited until the socket takes bytes again, or the peer is gone."""
        if self._woken is None:
            self._woken = self.session.service.loop.create_future()
        return asyncio.shield(self._woken)

    def stop(self) -> None:
        """The service is stopping: what would never end by itself ends now."""
        for work in list(self.live.values()):
            work.stop()

    def leave(self) -> None:
        """The peer is gone: nothing can be sent on its streams. What is done for them ends in later steps."""
        woken, self._woken = self._woken, None
        if woken is not None:
            woken.set_result(None)
        self.left = True
        reading, budget = self.session.service.reading, self.budget
        for number, work in enumerate(list(self.live.values())):
            if number < ENDED_AT_ONCE:
                work.cancelled()
            else:
                reading.later(budget, work.cancelled)

    def drop(self, work: Work) -> None:
        """It is over."""
        self.live.pop(work.stream, None)
        self.release(work)
        self._lent.pop(work, None)

    def first_ending_ms(self) -> int | None:
        """When the first token runs out, the connection's own or that of a single request, Unix ms."""
        ends_ms = min(self._lent.values(), default=None)
        own_ms = self._caller.identity.expires_at_ms
        if not own_ms:
            return ends_ms
        return own_ms if ends_ms is None else min(own_ms, ends_ms)

    def end_expired(self, latest_ms: float) -> None:
        """Whose token ran out at `latest_ms` or before is sent nothing more, from a later step on."""
        for work, ends_ms in list(self._lent.items()):
            if ends_ms <= latest_ms:
                del self._lent[work]
                failure = unauthenticated("the token of this request ran out; ask again with a new one")
                self.session.service.reading.later(self.budget, partial(work.fail, failure))
        if 0 < self._caller.identity.expires_at_ms <= latest_ms:
            self.session.close(unauthenticated("your token ran out; connect with a new one, and refresh it in time"))


def _declined(route: Route, error: Exception) -> Declined:
    """How the engine tells the peer of this error; counted.

    Not in `at_once`, whose frame the traceback of `error` refers to: a variable there that refers to `error` would be a
    cycle, which holds the request until the collector looks.
    """
    failure = failure_of(error, route.row.route)
    route.outcomes.failed[failure.code.name] += 1
    return Declined(failure.row.rsocket, failure.wire)
