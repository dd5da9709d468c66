"""What the hub may hold and how long it waits: every limit with its unit last, and its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HubLimits:
    """Limits of the feeds. None of them loses an event: what is not in memory is read from the log."""

    tail_events_max: int = 1024  # a phone asleep 30 s at 30 events/s misses ~900; those still come from memory
    tail_bytes_max: int = 1_048_576  # 1,024 events of 1 KiB; a room that posts novels keeps fewer of them
    # All rooms together; the room that was silent longest forgets first. No more than one user may hold, who could fill
    # it alone.
    tails_bytes_max: int = 67_108_864
    batch_events_max: int = 128  # one step for one reader: 2 ms in JSON, since everybody else waits for its end
    batch_bytes_max: int = 65_536  # the same for large events, as `item_size` counts: 32 KiB on the wire
    page_events_min: int = 32  # a reader that asks for one event at a time does not cost a read for each
    page_events_max: int = 512  # a read costs as much as some 50 events
    page_bytes_max: int = 262_144  # of a page in memory, at least one event
    held_bytes_max: int = 16_384  # rest of a page kept for a reader without demand; a larger one is read again
    owner_held_bytes_max: int = 4_194_304  # the same for all readers of one owner; further pages are read again
    reads_max: int = 64  # reads in flight; 5,000 phones that wake together wait in line, not in the store
    shard_subscriptions_max: int = 128  # ~0.1 ms of deliveries between two looks at the sockets
    latest_lag_events: int = 256  # policy LATEST: further behind than this skips
    latest_keep_events: int = 32  # ... to this far before the head: a screenful, so that a person sees context
    close_lag_events: int = 4096  # policy CLOSE: further behind than this ends
    # A reader that took nothing for ten minutes, though something was there for it, has forgotten its stream: a
    # dead connection is found in seconds by its keepalive, and a lift or a lid shut for lunch should cost
    # nothing. There is no hurry, since a stopped reader holds a number and no queue; it is ended at all so that
    # it gives back its place and what its transport holds. An error costs little: it names the cursor.
    stall_seconds: float = 600.0
    idle_room_seconds: float = 60.0  # a phone that reconnects within a minute finds the tail still there
    idle_rooms_max: int = 1024  # feeds that nobody listens to; the one left first goes first
    # Heads of active rooms are compared with the log once in this time, so that a lost notice costs this delay and no
    # event; 0: never. The rooms are spread over it: 10,000 are 1,000 look-ups a second, about 1 % of a processor.
    head_check_seconds: float = 10.0
    head_check_rooms_max: int = 2_048  # in one read, one read at a time; about 15 ms of a reading thread
    room_subscriptions_max: int = 50_000  # more than the sockets of one process (about 20,000)
    subscriptions_max: int = 100_000  # at about 0.2 KiB each

    def __post_init__(self) -> None:
        if not 0 <= self.latest_keep_events < self.latest_lag_events:
            raise ValueError("latest_keep_events must be less than latest_lag_events: a skip leads forward")


@dataclass(frozen=True, slots=True)
class KeyChangeLimits:
    """Limits of a board of latest values."""

    subscriptions_max: int = 100_000
    keys_per_subscription_max: int = 10_000  # one reader's dirty set never grows beyond its interest
    batch_items_max: int = 64  # one step for one reader: 1 ms in JSON, since everybody else waits for its end
    batch_bytes_max: int = 65_536  # the same in bytes, where items are weighed: rows of rooms with long messages
    round_subscriptions_max: int = 128  # readers visited between two looks at the sockets
