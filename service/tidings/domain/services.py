"""The whole product, built of its parts around a store: what `app` starts and the transports serve."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.contract.context import Authenticator
from tidings.contract.memory_account import MemoryAccounts
from tidings.domain.common.background import BackgroundTasks, ErrorReporter
from tidings.domain.common.hub_errors import translate_hub_error
from tidings.domain.common.items import WatchMarkerFactory, event_items, watch_item_bytes
from tidings.domain.common.local_commit_feed import LocalCommitFeed
from tidings.domain.history.service import HistoryService
from tidings.domain.identity.authenticator import DevAuthenticator, TokenAuthenticator
from tidings.domain.identity.jwt import JwtSettings, JwtVerifier
from tidings.domain.identity.service import SessionService
from tidings.domain.identity.session_registry import SessionRegistry
from tidings.domain.limits.limits import EVERYONE, RATE_LIMITS, DomainLimits
from tidings.domain.limits.rate_limiter import RateLimiter, WriteLimiter
from tidings.domain.limits.read_limiter import UserReadLimiter
from tidings.domain.messaging.channel_services import ChannelServices
from tidings.domain.messaging.commits import CommitSubscriber
from tidings.domain.messaging.messages import RoomMessages
from tidings.domain.messaging.service import ChatService
from tidings.domain.permissions.authorizer import Authorizer, RoleKey
from tidings.domain.ports.commit_feed import CommitFeed
from tidings.domain.ports.store import Clock, LogHead, Store
from tidings.domain.presence.registry import RoomPresenceRegistry
from tidings.domain.presence.service import PresenceService
from tidings.domain.presence.tracker import PresenceTracker
from tidings.domain.presence.visibility import Visibility
from tidings.domain.receipts.service import ReceiptsService
from tidings.domain.rooms.room_list import RoomListRegistry
from tidings.domain.rooms.service import RoomsService
from tidings.domain.validation.validator import Validator
from tidings.hub import Hub, HubLimits, KeyChangeHub, KeyChangeLimits
from tidings.hub.expiry import ExpiryQueue
from tidings.hub.ports import Events, Schedule, ScheduleLater

if TYPE_CHECKING:
    from reactivex.abc import SchedulerBase

Item = PreparedMessage[v1.WatchItem]


@dataclass(frozen=True, slots=True)
class DomainSettings:
    """What the operator decides. `dev`: names without tokens, guests, and no rate limits."""

    dev: bool = False
    jwt: JwtSettings | None = None
    limits: DomainLimits = field(default_factory=DomainLimits)
    hub: HubLimits = field(default_factory=HubLimits)
    key_changes: KeyChangeLimits = field(default_factory=KeyChangeLimits)
    version: str = ""
    # Limits of others (frame sizes and the like) that session.info shows beside the domain's.
    advertised_limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DomainServices:
    """The built product. `handlers` is what `contract.methods.build_method_table` wants."""

    handlers: Mapping[str, object]
    authenticator: Authenticator
    hub: Hub[Item]
    key_change_hubs: Mapping[str, KeyChangeHub]
    session_registry: SessionRegistry
    accounts: MemoryAccounts
    presence_tracker: PresenceTracker
    _background: BackgroundTasks

    def tick(self, now: float) -> None:
        """Time has passed: call it every second or so, with the monotonic clock's time."""
        self.hub.tick(now)
        self.session_registry.tick()

    async def close(self) -> None:
        """Nobody is connected any more: write down what is to be remembered. The store must still be open."""
        self.presence_tracker.close()
        await self._background.join()


def build_services(
    store: Store,
    *,
    clock: Clock,
    schedule: Schedule,
    schedule_later: ScheduleLater,
    make_rx_scheduler: "Callable[[], SchedulerBase]",
    report: ErrorReporter,
    settings: DomainSettings | None = None,
    feed: CommitFeed | None = None,
) -> DomainServices:
    """Build the product.

    `schedule` is `loop.call_soon`, `schedule_later` is `loop.call_later`, and `make_rx_scheduler` makes reactivex's
    for the same loop (`AsyncIOScheduler(loop)`) when a room needs it; these timers and `clock.monotonic` must agree.
    `feed` joins this node to others, by default to none. `report(error, where)` gets faults of background tasks.
    ValueError for settings that contradict one another.
    """
    settings = settings or DomainSettings()
    feed = feed or LocalCommitFeed()
    limits = settings.limits
    validator = Validator(limits, store.legacy_names())
    background = BackgroundTasks(report)

    def new_key_change_hub() -> KeyChangeHub:
        return KeyChangeHub(
            epoch=secrets.token_hex(4),
            schedule=schedule,
            schedule_later=schedule_later,
            clock=clock.monotonic,
            limits=settings.key_changes,
        )

    def new_role_expiry(on_expired: Callable[[RoleKey], None]) -> ExpiryQueue[RoleKey]:
        return ExpiryQueue(limits.cached_role_seconds, on_expired, clock=clock.monotonic, schedule_later=schedule_later)

    authorizer = Authorizer(store, limits, None if feed.is_lossless else new_role_expiry)
    hub = Hub(
        read_events=_page_loader(store, authorizer, background),
        read_head=_head_loader(store, background),
        read_heads=lambda rooms, done: background.start(_read_heads(store, rooms), done),
        on_missed_events=lambda room, epoch, seq: commits.on_missed_events(room, epoch, seq),
        markers=WatchMarkerFactory(),
        schedule=schedule,
        clock=clock.monotonic,
        limits=settings.hub,
        item_size=watch_item_bytes,
        translate_error=translate_hub_error,
    )
    commits = CommitSubscriber(
        feed=feed, authorizer=authorizer, hub=hub, background=background, rooms_max=limits.cached_rooms_max
    )
    accounts = MemoryAccounts(limits.user_bytes_max, limits.user_requests_max)
    session_registry = SessionRegistry(clock, limits.user_connections_max, accounts)
    tracker = PresenceTracker(
        store=store, background=background, clock=clock, schedule_later=schedule_later, limits=limits
    )
    session_registry.on_user_online.append(tracker.on_user_online)
    session_registry.on_user_offline.append(tracker.on_user_offline)
    user_changes, room_changes = new_key_change_hub(), new_key_change_hub()
    room_presences = RoomPresenceRegistry(
        epoch=user_changes.epoch,
        store=store,
        feed=feed,
        tracker=tracker,
        background=background,
        clock=clock,
        schedule=schedule,
        schedule_later=schedule_later,
        make_rx_scheduler=make_rx_scheduler,
        limits=limits,
    )
    limited = limits.presence_visible_to != EVERYONE
    read_limiter = UserReadLimiter(limits)
    visibility = Visibility(
        is_limited=limited, store=store, read_limiter=read_limiter, background=background, schedule=schedule
    )
    room_lists = RoomListRegistry(
        key_changes=room_changes, store=store, background=background, read_limiter=read_limiter, limits=limits
    )
    write_limiter = WriteLimiter(limits, clock.monotonic, is_disabled=settings.dev)

    def new_limiter(per_second: float, burst: int, description: str) -> RateLimiter:
        per_second = 0.0 if settings.dev else per_second
        return RateLimiter(per_second, burst, limits.rate_limited_users_max, clock.monotonic, description)

    update_limiter = new_limiter(
        limits.updates_per_second_max,
        limits.updates_burst_max,
        "updates of status, typing and positions per second (updates_per_second_max)",
    )
    call_limiter = new_limiter(
        limits.calls_per_second_max, limits.calls_burst_max, "calls per second (calls_per_second_max)"
    )
    search_limiter = new_limiter(
        limits.searches_per_second_max, limits.searches_burst_max, "searches per second (searches_per_second_max)"
    )
    messages = RoomMessages(
        store=store,
        hub=hub,
        authorizer=authorizer,
        validator=validator,
        write_limiter=write_limiter,
        call_limiter=call_limiter,
        clock=clock,
        stop_typing=room_presences.stop_typing,
    )
    presence = PresenceService(
        key_changes=user_changes,
        tracker=tracker,
        room_presences=room_presences,
        authorizer=authorizer,
        validator=validator,
        background=background,
        call_limiter=call_limiter,
        update_limiter=update_limiter,
        visibility=visibility,
    )
    receipts = ReceiptsService(
        store=store,
        authorizer=authorizer,
        feed=feed,
        update_cost=room_presences.receipt_update_cost,
        validator=validator,
        call_limiter=call_limiter,
        update_limiter=update_limiter,
    )
    history = HistoryService(
        store=store,
        authorizer=authorizer,
        validator=validator,
        read_limiter=read_limiter,
        background=background,
        schedule=schedule,
        call_limiter=call_limiter,
        search_limiter=search_limiter,
    )
    commits.revocables += [room_presences, history]
    commits.on_events_appended += [room_lists.on_events_appended]
    commits.on_member_changed += [room_presences.on_member_changed, visibility.on_member_changed]
    commits.on_member_hint += [room_lists.on_member_changed, visibility.on_member_hint]
    commits.on_positions_changed += [
        room_presences.on_positions_changed,
        lambda room, user, _delivered, _read: room_lists.invalidate(room, user),
    ]
    commits.on_typing_changed += [room_presences.on_typing_changed]
    commits.on_list_changed += [room_lists.invalidate]
    commits.on_members_unknown += [
        room_presences.on_members_unknown,
        room_lists.on_members_unknown,
        visibility.on_members_unknown,
    ]
    feed.subscribe(commits)
    store.on_committed(commits.on_store_commit)
    channel_services = ChannelServices(
        messages=messages,
        presence=presence,
        receipts=receipts,
        validator=validator,
        background=background,
        schedule=schedule,
        report=report,
    )
    authenticator = _build_authenticator(settings, session_registry, clock, validator)
    return DomainServices(
        handlers={
            "chat": ChatService(channel_services),
            "rooms": RoomsService(
                store=store,
                feed=feed,
                authorizer=authorizer,
                room_lists=room_lists,
                validator=validator,
                read_limiter=read_limiter,
                write_limiter=write_limiter,
                update_limiter=update_limiter,
                call_limiter=call_limiter,
                clock=clock,
                check_visibility=visibility.check,
            ),
            "presence": presence,
            "receipts": receipts,
            "history": history,
            "session": SessionService(
                authenticator=authenticator,
                clock=clock,
                version=settings.version,
                limits={**_advertised(limits, settings), **settings.advertised_limits},
            ),
        },
        authenticator=authenticator,
        hub=hub,
        key_change_hubs={"people": user_changes, "rooms": room_changes},
        session_registry=session_registry,
        accounts=accounts,
        presence_tracker=tracker,
        _background=background,
    )


def _build_authenticator(
    settings: DomainSettings, session_registry: SessionRegistry, clock: Clock, validator: Validator
) -> Authenticator:
    jwt_verifier = JwtVerifier(settings.jwt, validator) if settings.jwt else None
    if settings.dev:
        return DevAuthenticator(jwt_verifier, session_registry, clock, validator)
    if jwt_verifier is None:
        raise ValueError("nobody could come in: set a token secret of 32 bytes or more, or start with --dev")
    return TokenAuthenticator(jwt_verifier, clock)


def _advertised(limits: DomainLimits, settings: DomainSettings) -> dict[str, int]:
    """The limits that clients run into; those of pace are off in development."""
    advertised = limits.advertised()
    if settings.dev:
        advertised.update(dict.fromkeys(RATE_LIMITS, 0))
    return advertised


def _page_loader(store: Store, authorizer: Authorizer, background: BackgroundTasks) -> Callable[..., None]:
    """The hub's `load`: pages of a log as items."""

    async def load_page(room: str, after: int, limit: int) -> Sequence[tuple[int, Item]]:
        room_info = await authorizer.room_info(room)
        events = await store.read(room, after, limit)
        return event_items(room_info.epoch, events)

    def load(room: str, after: int, limit: int, done: Callable[[Events[Item] | Exception], None]) -> None:
        background.start(load_page(room, after, limit), done)

    return load


def _head_loader(store: Store, background: BackgroundTasks) -> Callable[..., None]:
    """The hub's `load`."""

    def load(room: str, done: Callable[[LogHead | Exception], None]) -> None:
        background.start(store.head(room), done)

    return load


async def _read_heads(store: Store, rooms: Sequence[str]) -> Mapping[str, LogHead]:
    """The hub's `read_heads`."""
    return await store.heads(rooms)
