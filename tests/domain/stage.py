"""The whole product on a stage: a real store in memory, the real hub, and time in the hands of the test."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from reactivex.scheduler import VirtualTimeScheduler

from tidings.contract import table, v1
from tidings.contract.call import Call, Identity, Session
from tidings.contract.codecs import PROTOBUF
from tidings.contract.errors import Code, Failure
from tidings.domain import product
from tidings.domain.limits import DomainLimits
from tidings.domain.ports import Store
from tidings.domain.tokens import TokenSettings
from tidings.hub import Batch, BoardLimits, HubLimits, Source
from tidings.stores.memory import MemoryStore

UNBOUNDED = 0x7FFFFFFF
START_MS = 1_700_000_000_000


class StageClock:
    """Time stands still until the test lets it pass; the timers of `scheduler` run when their moment comes."""

    def __init__(self) -> None:
        self.scheduler = VirtualTimeScheduler()

    def now_ms(self) -> int:
        return START_MS + round(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return self.scheduler.to_seconds(self.scheduler.now)

    def later(self, seconds: float, callback: Callable[[], Any]) -> None:
        """`schedule_later`."""
        self.scheduler.schedule_relative(seconds, lambda *_: callback())


@dataclass(eq=False)
class Reader:
    """A sink that remembers what it got and holds its source to its demand."""

    credit: int = UNBOUNDED
    batches: list[Batch[Any]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    completed: bool = False
    source: Source | None = None

    def demand(self) -> int:
        return self.credit

    def deliver(self, batch: Batch[Any], /) -> bool:
        assert batch.items, "an empty batch"
        assert not self.ended, "something after the end"
        if len(batch.items) > self.credit:
            return False
        if self.credit < UNBOUNDED:
            self.credit -= len(batch.items)
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
        return [item.message() for batch in self.batches for item in batch.items]

    @property
    def data(self) -> list[bytes]:
        return [item.data(PROTOBUF) for batch in self.batches for item in batch.items]

    @property
    def events(self) -> list[v1.Event]:
        return [item.event for item in self.items if item.HasField("event")]

    @property
    def seqs(self) -> list[int]:
        return [event.seq for event in self.events]

    @property
    def failure(self) -> Failure:
        (error,) = self.errors
        assert isinstance(error, Failure), error
        return error

    def take(self, items: int) -> None:
        """Ask for more."""
        self.credit += items
        assert self.source is not None
        self.source.wake()

    def drain(self) -> list[Any]:
        """What it got since the last time."""
        items = self.items
        self.batches.clear()
        return items

    def close(self) -> None:
        assert self.source is not None
        self.source.close()


class Person:
    """Somebody with a connection."""

    def __init__(self, house: "House", session: Session) -> None:
        self.house = house
        self.session = session
        self.closed_with: list[Failure] = []
        self._keys = count(1)

    @property
    def name(self) -> str:
        return self.session.identity.user

    def leave(self) -> None:
        """The connection dies."""
        self.house.product.gate.left(self.session)

    async def call(self, route: str, request: Any) -> Any:
        row = self.house.rows[route]
        answer = row.handler(request, Call(self.session))
        answer = await answer if row.waits else answer
        assert type(answer) is row.reply
        return answer

    async def watch(self, route: str, request: Any, credit: int = UNBOUNDED) -> Reader:
        reader = Reader(credit)
        reader.source = await self.house.rows[route].handler(request, Call(self.session), reader)
        return reader

    def channel(self, credit: int = UNBOUNDED) -> "ChannelEnd":
        reader = Reader(credit)
        end = ChannelEnd(reader, self.house.rows["chat.channel"].handler(Call(self.session), reader))
        reader.source = end.conversation
        return end

    # what people do most

    async def create(self, room: str = "den", kind: int = v1.GROUP, *others: str) -> v1.RoomReply:
        """A room of this name. A GROUP is made as rooms of former releases were, which have the names asked for."""
        if room and kind == v1.GROUP:
            await self.house.store.create_room(
                room, kind=kind, title="", creator=self.name, members=others, at_ms=self.house.clock.now_ms()
            )
            got: v1.RoomReply = await self.call("rooms.get", v1.GetRequest(room=room))
            return got
        request = v1.CreateRequest(room=room, kind=v1.RoomKind.ValueType(kind), members=others)
        reply: v1.RoomReply = await self.call("rooms.create", request)
        return reply

    async def join(self, room: str = "den", user: str = "", role: int = 0) -> v1.RoomReply:
        request = v1.JoinRequest(room=room, user=user, role=v1.Role.ValueType(role))
        reply: v1.RoomReply = await self.call("rooms.join", request)
        return reply

    async def quit(self, room: str = "den", user: str = "") -> None:
        await self.call("rooms.leave", v1.LeaveRequest(room=room, user=user))

    async def send(self, text: str = "hello", room: str = "den", reply_to: int = 0, key: str = "") -> int:
        """The seq of the message."""
        request = v1.SendRequest(room=room, client_id=key or self.key(), text=text, reply_to=reply_to)
        reply: v1.SendReply = await self.call("chat.send", request)
        return reply.cursor.seq

    async def read(self, room: str = "den", **request: Any) -> Reader:
        """chat.watch."""
        return await self.watch("chat.watch", v1.WatchRequest(room=room, **request))

    async def page(self, room: str = "den", **request: Any) -> v1.PageReply:
        reply: v1.PageReply = await self.call("history.page", v1.PageRequest(room=room, **request))
        return reply

    async def mark(self, room: str = "den", delivered: int = 0, read: int = 0) -> v1.MarkReply:
        request = v1.MarkRequest(room=room, delivered=delivered, read=read)
        reply: v1.MarkReply = await self.call("receipts.mark", request)
        return reply

    def key(self) -> str:
        return f"{self.session.id}-{next(self._keys)}"


class ChannelEnd:
    """A client's end of a channel."""

    def __init__(self, reader: Reader, conversation: Any) -> None:
        self.reader = reader
        self.conversation = conversation
        self._refs = count(1)

    def say(self, **command: Any) -> int:
        """Send a command; its ref."""
        ref = next(self._refs)
        self.conversation.receive(v1.ChannelCommand(ref=ref, **command))
        return ref

    def answers(self) -> list[v1.ChannelItem]:
        return [item for item in self.reader.items if item.ref]

    def answer(self, ref: int) -> v1.ChannelItem:
        (item,) = [item for item in self.reader.items if item.ref == ref]
        return item  # type: ignore[no-any-return]

    def events(self, room: str) -> list[v1.WatchItem]:
        return [item.event for item in self.reader.items if item.room == room and item.HasField("event")]

    def life(self, room: str) -> list[v1.PresenceItem]:
        return [item.presence for item in self.reader.items if item.room == room and item.HasField("presence")]


class House:
    """A product, its store, its time. Make it inside a running loop."""

    def __init__(
        self,
        store: Store | None = None,
        *,
        dev: bool = True,
        hub: HubLimits | None = None,
        board: BoardLimits | None = None,
        **limits: Any,
    ) -> None:
        self.clock = StageClock()
        self.store: Store = store or MemoryStore()
        self.reports: list[tuple[BaseException, str]] = []
        self.limits = DomainLimits(**limits)
        tokens = TokenSettings(b"s" * 32)
        self.product = product.build(
            self.store,
            clock=self.clock,
            schedule=asyncio.get_running_loop().call_soon,
            schedule_later=self.clock.later,
            scheduler=lambda: self.clock.scheduler,
            report=lambda error, where: self.reports.append((error, where)),
            settings=product.Settings(
                dev=dev,
                tokens=tokens,
                limits=self.limits,
                hub=hub or HubLimits(),
                board=board or BoardLimits(),
                version="1.2.3",
            ),
        )
        self.rows = table.build(self.product.services).rows
        self._ids = count(1)

    def connect(self, user: str, **identity: Any) -> Person:
        session = Session(f"s{next(self._ids)}", Identity(user, **identity), "test", close=lambda failure: None)
        person = Person(self, session)
        session.close = person.closed_with.append
        self.product.gate.entered(session)
        return person

    def people(self, *names: str) -> Sequence[Person]:
        return [self.connect(name) for name in names]

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and everything happen that it brings."""
        await settled()
        self.clock.scheduler.advance_by(seconds)
        self.product.tick(self.clock.monotonic())
        await settled()


async def settled() -> None:
    """Wait until nothing moves any more: there is no I/O on this stage, so callbacks only follow callbacks."""
    for _ in range(60):
        await asyncio.sleep(0)


@contextlib.contextmanager
def refused(code: Code, words: str = "") -> Iterator[None]:
    """What is done inside is refused with this code and these words."""
    with pytest.raises(Failure) as caught:
        yield
    assert caught.value.code is code, caught.value
    assert words in caught.value.text, caught.value.text
    assert caught.value.text[-1] != ".", "an error is one sentence, and has no full stop on the wire"
