"""What the hub may hold and how long it waits: every limit with its unit last, and its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HubLimits:
    """Limits of rooms' logs. None of them loses an event: what is not in memory is read from the log."""

    tail_events_max: int = 1024  # a phone asleep 30 s at 30 events/s misses ~900; those still come from memory
    tail_bytes_max: int = 1_048_576  # 1,024 events of 1 KiB; a room with long messages keeps fewer of them
    # All rooms together; the room that was silent longest is evicted first. Not more than one user may hold, because
    # one user alone can fill it.
    tails_bytes_max: int = 67_108_864
    batch_events_max: int = 128  # one step for one reader: 2 ms in JSON, and all other readers wait for it
    batch_bytes_max: int = 65_536  # the same for large events, as `item_size` counts: 32 KiB on the wire
    page_events_min: int = 32  # a reader that requests one event at a time does not cause a read for each
    page_events_max: int = 512  # a read costs as much as some 50 events
    page_bytes_max: int = 262_144  # of a page in memory, at least one event
    held_bytes_max: int = 16_384  # rest of a page kept for a reader without demand; a larger one is read again
    owner_held_bytes_max: int = 4_194_304  # the same for all readers of one owner; further pages are read again
    reads_max: int = (
        64  # reads in flight; when 5,000 phones reconnect together, their reads queue here and not in the store
    )
    shard_subscriptions_max: int = 128  # ~0.1 ms of deliveries between two polls of the sockets
    latest_lag_events: int = 256  # policy LATEST: further behind than this skips
    latest_keep_events: int = 32  # ... to this far before the head: a screenful, so that a person sees context
    close_lag_events: int = 4096  # policy CLOSE: further behind than this ends
    # A reader that takes nothing for ten minutes although events are available has probably abandoned its stream. (A
    # dead connection is found within seconds by its keepalive, and a closed laptop lid should cost nothing.) It holds a
    # number and no queue, so there is no hurry; ending it releases its subscription and what its transport holds.
    # The error names the cursor to resume from.
    stall_seconds: float = 600.0
    idle_room_seconds: float = 60.0  # a phone that reconnects within a minute finds the tail still there
    idle_rooms_max: int = 1024  # rooms without subscriptions; the one without for longest is removed first
    # Heads of active rooms are compared with the log once in this time, so that a lost notice costs this delay and no
    # event; 0: never. The rooms are spread over it: 10,000 are 1,000 look-ups a second, about 1 % of a processor.
    head_check_seconds: float = 10.0
    head_check_rooms_max: int = 2_048  # in one read, one read at a time; about 15 ms of a reading thread
    room_subscriptions_max: int = 50_000  # more than the sockets of one process (about 20,000)
    subscriptions_max: int = 100_000  # at about 0.2 KiB each

    def __post_init__(self) -> None:
        if not 0 <= self.latest_keep_events < self.latest_lag_events:
            raise ValueError(f"latest_keep_events is {self.latest_keep_events}; it must be 0 to latest_lag_events - 1")


@dataclass(frozen=True, slots=True)
class KeyChangeLimits:
    """Limits of a `KeyChangeHub`."""

    subscriptions_max: int = 100_000
    keys_per_subscription_max: int = 10_000  # a subscription's dirty set never has more keys than this
    batch_items_max: int = 64  # one step for one reader: 1 ms in JSON, and all other readers wait for it
    batch_bytes_max: int = (
        65_536  # the same in bytes, where the size of items is known: rows of rooms with long messages
    )
    round_subscriptions_max: int = 128  # subscriptions flushed between two polls of the sockets
