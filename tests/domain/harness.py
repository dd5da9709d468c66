"""All services of the domain under test: a real store in memory, the real hub, and time in the hands of the test."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from reactivex.scheduler import VirtualTimeScheduler

from tidings.contract import methods, v1
from tidings.contract.codecs import PROTOBUF
from tidings.contract.context import CallContext, Identity, Session
from tidings.contract.errors import ApiError, Code
from tidings.domain import services
from tidings.domain.identity.jwt import JwtSettings
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.ports.commit_feed import CommitFeed
from tidings.domain.ports.store import Store
from tidings.hub import Batch, HubLimits, KeyChangeLimits, Subscription
from tidings.stores.memory.store import MemoryStore

UNBOUNDED = 0x7FFFFFFF
START_MS = 1_700_000_000_000


class FakeClock:
    """Time stands still until the test lets it pass; the timers of `scheduler` run when their moment comes."""

    def __init__(self) -> None:
        self.scheduler = VirtualTimeScheduler()

    def now_ms(self) -> int:
        return START_MS + round(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return self.scheduler.to_seconds(self.scheduler.now)

    def call_later(self, seconds: float, callback: Callable[[], Any]) -> None:
        """`schedule_later`."""
        self.scheduler.schedule_relative(seconds, lambda *_: callback())


@dataclass(eq=False)
class RecordingSink:
    """A sink that remembers what it got and holds its source to its demand."""

    demanded: int = UNBOUNDED
    batches: list[Batch[Any]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    completed: bool = False
    subscription: Subscription | None = None

    def demand(self) -> int:
        return self.demanded

    def deliver(self, batch: Batch[Any], /) -> bool:
        assert batch.items, "an empty batch"
        assert not self.ended, "something after the end"
        if len(batch.items) > self.demanded:
            return False
        if self.demanded < UNBOUNDED:
            self.demanded -= len(batch.items)
        self.batches.append(batch)
        return True

    def complete(self) -> None:
        assert not self.ended
        self.completed = True

    def fail(self, error: Exception, /) -> None:
        assert not self.ended
        self.errors.append(error)

    # the test's side

    @property
    def ended(self) -> bool:
        return self.completed or bool(self.errors)

    @property
    def items(self) -> list[Any]:
        """Everything it got, as messages."""
        return [item.parse() for batch in self.batches for item in batch.items]

    @property
    def data(self) -> list[bytes]:
        return [item.encoded(PROTOBUF) for batch in self.batches for item in batch.items]

    @property
    def events(self) -> list[v1.Event]:
        return [item.event for item in self.items if item.HasField("event")]

    @property
    def seqs(self) -> list[int]:
        return [event.seq for event in self.events]

    @property
    def api_error(self) -> ApiError:
        (error,) = self.errors
        assert isinstance(error, ApiError), error
        return error

    def request(self, items: int) -> None:
        """Ask for more."""
        self.demanded += items
        assert self.subscription is not None
        self.subscription.wake()

    def take_items(self) -> list[Any]:
        """What it got since the last time."""
        items = self.items
        self.batches.clear()
        return items

    def close(self) -> None:
        assert self.subscription is not None
        self.subscription.close()


class ConnectedUser:
    """Somebody with a connection."""

    def __init__(self, harness: "DomainHarness", session: Session) -> None:
        self.harness = harness
        self.session = session
        self.close_errors: list[ApiError] = []
        self._client_ids = count(1)

    @property
    def name(self) -> str:
        return self.session.identity.user

    def disconnect(self) -> None:
        """The connection dies."""
        self.harness.services.session_registry.unregister(self.session)

    async def call(self, route: str, request: Any) -> Any:
        method = self.harness.methods[route]
        reply = method.handler(request, CallContext(self.session))
        reply = await reply if method.is_async else reply
        assert type(reply) is method.reply
        return reply

    async def watch(self, route: str, request: Any, credit: int = UNBOUNDED) -> RecordingSink:
        reader = RecordingSink(credit)
        reader.subscription = await self.harness.methods[route].handler(request, CallContext(self.session), reader)
        return reader

    def channel(self, credit: int = UNBOUNDED) -> "ChannelClient":
        reader = RecordingSink(credit)
        channel = ChannelClient(reader, self.harness.methods["chat.channel"].handler(CallContext(self.session), reader))
        reader.subscription = channel.handler
        return channel

    # what people do most

    async def create_room(self, room: str = "den", kind: int = v1.GROUP, *others: str) -> v1.RoomReply:
        """A room of this name. A GROUP is made as rooms of former releases were, which have the names asked for."""
        if room and kind == v1.GROUP:
            await self.harness.store.create_room(
                room, kind=kind, title="", creator=self.name, members=others, at_ms=self.harness.clock.now_ms()
            )
            got: v1.RoomReply = await self.call("rooms.get", v1.GetRequest(room=room))
            return got
        request = v1.CreateRequest(room=room, kind=v1.RoomKind.ValueType(kind), members=others)
        reply: v1.RoomReply = await self.call("rooms.create", request)
        return reply

    async def join_room(self, room: str = "den", user: str = "", role: int = 0) -> v1.RoomReply:
        request = v1.JoinRequest(room=room, user=user, role=v1.Role.ValueType(role))
        reply: v1.RoomReply = await self.call("rooms.join", request)
        return reply

    async def leave_room(self, room: str = "den", user: str = "") -> None:
        await self.call("rooms.leave", v1.LeaveRequest(room=room, user=user))

    async def send(self, text: str = "hello", room: str = "den", reply_to: int = 0, client_id: str = "") -> int:
        """The seq of the message."""
        request = v1.SendRequest(room=room, client_id=client_id or self.new_client_id(), text=text, reply_to=reply_to)
        reply: v1.SendReply = await self.call("chat.send", request)
        return reply.cursor.seq

    async def watch_room(self, room: str = "den", **request: Any) -> RecordingSink:
        """chat.watch."""
        return await self.watch("chat.watch", v1.WatchRequest(room=room, **request))

    async def page(self, room: str = "den", **request: Any) -> v1.PageReply:
        reply: v1.PageReply = await self.call("history.page", v1.PageRequest(room=room, **request))
        return reply

    async def mark(self, room: str = "den", delivered: int = 0, read: int = 0) -> v1.MarkReply:
        request = v1.MarkRequest(room=room, delivered=delivered, read=read)
        reply: v1.MarkReply = await self.call("receipts.mark", request)
        return reply

    def new_client_id(self) -> str:
        return f"{self.session.id}-{next(self._client_ids)}"


class ChannelClient:
    """A client's end of a channel."""

    def __init__(self, reader: RecordingSink, handler: Any) -> None:
        self.reader = reader
        self.handler = handler
        self._refs = count(1)

    def send_command(self, **command: Any) -> int:
        """Send a command; its ref."""
        ref = next(self._refs)
        self.handler.receive(v1.ChannelCommand(ref=ref, **command))
        return ref

    def replies(self) -> list[v1.ChannelItem]:
        return [item for item in self.reader.items if item.ref]

    def reply(self, ref: int) -> v1.ChannelItem:
        (item,) = [item for item in self.reader.items if item.ref == ref]
        return item  # type: ignore[no-any-return]

    def events(self, room: str) -> list[v1.WatchItem]:
        return [item.event for item in self.reader.items if item.room == room and item.HasField("event")]

    def presence(self, room: str) -> list[v1.PresenceItem]:
        return [item.presence for item in self.reader.items if item.room == room and item.HasField("presence")]


class DomainHarness:
    """A product, its store, its time. Make it inside a running loop."""

    def __init__(
        self,
        store: Store | None = None,
        *,
        dev: bool = True,
        feed: CommitFeed | None = None,
        hub: HubLimits | None = None,
        key_changes: KeyChangeLimits | None = None,
        **limits: Any,
    ) -> None:
        self.clock = FakeClock()
        self.store: Store = store or MemoryStore()
        self.reported_errors: list[tuple[BaseException, str]] = []
        self.limits = DomainLimits(**limits)
        tokens = JwtSettings(b"s" * 32)
        self.services = services.build_services(
            self.store,
            clock=self.clock,
            schedule=asyncio.get_running_loop().call_soon,
            schedule_later=self.clock.call_later,
            make_rx_scheduler=lambda: self.clock.scheduler,
            report=lambda error, where: self.reported_errors.append((error, where)),
            feed=feed,
            settings=services.DomainSettings(
                dev=dev,
                jwt=tokens,
                limits=self.limits,
                hub=hub or HubLimits(),
                key_changes=key_changes or KeyChangeLimits(),
                version="1.2.3",
            ),
        )
        self.methods = methods.build_method_table(self.services.handlers).methods
        self._ids = count(1)

    def connect(self, user: str, **identity: Any) -> ConnectedUser:
        session = Session(f"s{next(self._ids)}", Identity(user, **identity), "test", close=lambda failure: None)
        person = ConnectedUser(self, session)
        session.close = person.close_errors.append
        self.services.session_registry.register(session)
        return person

    def connect_all(self, *names: str) -> Sequence[ConnectedUser]:
        return [self.connect(name) for name in names]

    async def advance_time(self, seconds: float) -> None:
        """Let time pass, and everything happen that it brings."""
        await settle()
        self.clock.scheduler.advance_by(seconds)
        self.services.tick(self.clock.monotonic())
        await settle()


async def settle() -> None:
    """Wait until nothing moves any more: there is no I/O here, so callbacks only follow callbacks."""
    for _ in range(60):
        await asyncio.sleep(0)


@contextlib.contextmanager
def raises_error(code: Code, words: str = "") -> Iterator[None]:
    """What is done inside is refused with this code and these words."""
    with pytest.raises(ApiError) as caught:
        yield
    assert caught.value.code is code, caught.value
    assert words in caught.value.text, caught.value.text
    assert caught.value.text[-1] != ".", "an error is one sentence, and has no full stop on the wire"
