"""The whole product, built of its parts around a store: what `app` starts and the transports serve."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidings.contract import v1
from tidings.contract.call import Gate
from tidings.contract.codecs import Prepared
from tidings.contract.memory import Accounts
from tidings.domain.access import Access
from tidings.domain.channel import Exchange
from tidings.domain.chat import Chat
from tidings.domain.connections import Connections
from tidings.domain.endings import failure_of
from tidings.domain.errands import Errands, Report
from tidings.domain.gate import DevGate, TokenGate
from tidings.domain.gatherings import Gatherings
from tidings.domain.history import History
from tidings.domain.inbox import Inboxes
from tidings.domain.items import WatchMarks, event_items, weigh
from tidings.domain.limits import EVERYONE, PACES, DomainLimits
from tidings.domain.lines import Lines
from tidings.domain.messages import Messages
from tidings.domain.pace import Pace, WriteLimiter
from tidings.domain.ports import Clock, Head, Store
from tidings.domain.presence import Presence
from tidings.domain.publication import Publication
from tidings.domain.receipts import Receipts
from tidings.domain.rooms import Rooms
from tidings.domain.roster import Roster
from tidings.domain.rules import Rules
from tidings.domain.session import Sessions
from tidings.domain.tokens import Tokens, TokenSettings
from tidings.domain.visibility import Visibility
from tidings.hub import Board, BoardLimits, Hub, HubLimits
from tidings.hub import Head as HubHead
from tidings.hub.ports import Events, Schedule, ScheduleLater

if TYPE_CHECKING:
    from reactivex.abc import SchedulerBase

Item = Prepared[v1.WatchItem]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decides. `dev`: names without tokens, guests, and no rate limits."""

    dev: bool = False
    tokens: TokenSettings | None = None
    limits: DomainLimits = field(default_factory=DomainLimits)
    hub: HubLimits = field(default_factory=HubLimits)
    board: BoardLimits = field(default_factory=BoardLimits)
    version: str = ""
    # Limits of others (frame sizes and the like) that session.info shows beside the domain's.
    shown_limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Product:
    """The built product. `services` is what `contract.table.build` wants."""

    services: Mapping[str, object]
    gate: Gate
    hub: Hub[Item]
    boards: Mapping[str, Board]
    connections: Connections
    accounts: Accounts
    roster: Roster
    _errands: Errands

    def tick(self, now: float) -> None:
        """Time has passed: call it every second or so, with the monotonic clock's time."""
        self.hub.tick(now)
        self.connections.tick()

    async def close(self) -> None:
        """Nobody is connected any more: write down what is to be remembered. The store must still be open."""
        self.roster.close()
        await self._errands.finish()


def build(
    store: Store,
    *,
    clock: Clock,
    schedule: Schedule,
    schedule_later: ScheduleLater,
    scheduler: "Callable[[], SchedulerBase]",
    report: Report,
    settings: Settings | None = None,
) -> Product:
    """Build the product.

    `schedule` is `loop.call_soon`, `schedule_later` is `loop.call_later`, and `scheduler` makes reactivex's for the
    same loop (`AsyncIOScheduler(loop)`) when a room needs it; these timers and `clock.monotonic` must agree.
    `report(error, where)` gets faults that nobody waits for. ValueError for settings that contradict one another.
    """
    settings = settings or Settings()
    limits = settings.limits
    rules = Rules(limits, store.older_names())
    errands = Errands(report)

    def board() -> Board:
        return Board(
            epoch=secrets.token_hex(4),
            schedule=schedule,
            schedule_later=schedule_later,
            clock=clock.monotonic,
            limits=settings.board,
        )

    access = Access(store, limits)
    hub = Hub(
        read=_reader(store, access, errands),
        head=_head(store, errands),
        marks=WatchMarks(),
        schedule=schedule,
        clock=clock.monotonic,
        limits=settings.hub,
        weigh=weigh,
        worded=failure_of,
    )
    accounts = Accounts(limits.user_bytes_max, limits.user_requests_max)
    connections = Connections(clock, limits.user_connections_max, accounts)
    roster = Roster(store=store, errands=errands, clock=clock, schedule_later=schedule_later, limits=limits)
    connections.arrived.append(roster.arrived)
    connections.departed.append(roster.departed)
    people_board, rooms_board = board(), board()
    gatherings = Gatherings(
        epoch=people_board.epoch,
        store=store,
        roster=roster,
        errands=errands,
        clock=clock,
        schedule=schedule,
        schedule_later=schedule_later,
        scheduler=scheduler,
        limits=limits,
    )
    limited = limits.presence_visible_to != EVERYONE
    lines = Lines(limits)
    visibility = Visibility(limited=limited, store=store, lines=lines, errands=errands, schedule=schedule)
    inboxes = Inboxes(board=rooms_board, store=store, errands=errands, lines=lines, limits=limits)
    writes = WriteLimiter(limits, clock.monotonic, lifted=settings.dev)
    updates = Pace(
        0.0 if settings.dev else limits.updates_per_second_max,
        limits.updates_burst_max,
        limits.paced_users_max,
        clock.monotonic,
        "updates of status, typing and positions per second (updates_per_second_max)",
    )
    calls = Pace(
        0.0 if settings.dev else limits.calls_per_second_max,
        limits.calls_burst_max,
        limits.paced_users_max,
        clock.monotonic,
        "calls per second over one connection (calls_per_second_max)",
    )
    searches = Pace(
        0.0 if settings.dev else limits.searches_per_second_max,
        limits.searches_burst_max,
        limits.paced_users_max,
        clock.monotonic,
        "searches per second (searches_per_second_max)",
    )
    messages = Messages(
        store=store,
        hub=hub,
        access=access,
        rules=rules,
        writes=writes,
        calls=calls,
        clock=clock,
        stop_typing=gatherings.stop_typing,
    )
    presence = Presence(
        board=people_board,
        roster=roster,
        gatherings=gatherings,
        access=access,
        rules=rules,
        errands=errands,
        calls=calls,
        updates=updates,
        visibility=visibility,
    )
    receipts = Receipts(
        store=store,
        access=access,
        gatherings=gatherings,
        inboxes=inboxes,
        rules=rules,
        calls=calls,
        updates=updates,
    )
    history = History(
        store=store,
        access=access,
        rules=rules,
        lines=lines,
        errands=errands,
        schedule=schedule,
        calls=calls,
        searches=searches,
    )
    publication = Publication(access, hub)
    publication.cuts += [gatherings, history]
    publication.followers += [gatherings, inboxes, visibility]
    store.on_committed(publication.committed)
    exchange = Exchange(
        messages=messages,
        presence=presence,
        receipts=receipts,
        rules=rules,
        errands=errands,
        schedule=schedule,
        report=report,
    )
    gate = _gate(settings, connections, clock, rules)
    return Product(
        services={
            "chat": Chat(exchange),
            "rooms": Rooms(
                store=store,
                access=access,
                inboxes=inboxes,
                rules=rules,
                lines=lines,
                writes=writes,
                updates=updates,
                calls=calls,
                clock=clock,
                visibility=visibility,
            ),
            "presence": presence,
            "receipts": receipts,
            "history": history,
            "session": Sessions(
                gate=gate,
                clock=clock,
                version=settings.version,
                limits={**_shown(limits, settings), **settings.shown_limits},
            ),
        },
        gate=gate,
        hub=hub,
        boards={"people": people_board, "rooms": rooms_board},
        connections=connections,
        accounts=accounts,
        roster=roster,
        _errands=errands,
    )


def _gate(settings: Settings, connections: Connections, clock: Clock, rules: Rules) -> Gate:
    tokens = Tokens(settings.tokens, rules) if settings.tokens else None
    if settings.dev:
        return DevGate(tokens, connections, clock, rules)
    if tokens is None:
        raise ValueError("nobody could come in: set a token secret of 32 bytes or more, or start with --dev")
    return TokenGate(tokens, connections, clock)


def _shown(limits: DomainLimits, settings: Settings) -> dict[str, int]:
    """The limits that clients run into; those of pace are off in development."""
    shown = limits.shown()
    if settings.dev:
        shown.update(dict.fromkeys(PACES, 0))
    return shown


def _reader(store: Store, access: Access, errands: Errands) -> Callable[..., None]:
    """The hub's `read`: pages of a log as items."""

    async def page(room: str, after: int, limit: int) -> Sequence[tuple[int, Item]]:
        place = await access.place(room)
        events = await store.read(room, after, limit)
        return event_items(place.epoch, events)

    def read(room: str, after: int, limit: int, done: Callable[[Events[Item] | Exception], None]) -> None:
        errands.run(page(room, after, limit), done)

    return read


def _head(store: Store, errands: Errands) -> Callable[..., None]:
    """The hub's `head`."""

    def head(room: str, done: Callable[[HubHead | Exception], None]) -> None:
        def answered(answer: Head | Exception) -> None:
            done(answer if isinstance(answer, Exception) else HubHead(*answer))

        errands.run(store.head(room), answered)

    return head
