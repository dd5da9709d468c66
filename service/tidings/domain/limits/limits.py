"""What the domain takes and keeps: every limit with its unit last, and its reason."""

from dataclasses import dataclass, fields
from math import ceil


@dataclass(frozen=True, slots=True)
class DomainLimits:
    """Limits of what people may ask. The sizes are the contract's; the counts protect the process."""

    # Sizes of what people write.
    id_bytes_max: int = 64  # fits a UUID with a prefix, and a name in three-byte letters of 21 characters
    client_id_chars_max: int = 64
    text_bytes_max: int = 65_536  # a long letter; larger things are files
    emoji_bytes_max: int = 64  # the longest emoji of Unicode 17, a kiss of two with skin tones, has 35
    title_bytes_max: int = 256
    status_text_bytes_max: int = 256
    query_bytes_max: int = 256

    # Sizes of pages.
    page_events_max: int = 1_000
    page_events_default: int = 50  # two screens of a phone
    list_items_max: int = 1_000
    list_items_default: int = 100
    search_results_max: int = 100
    search_results_default: int = 20

    # Reads of one user that the store has at a time; further ones wait for these. Enough for all its threads.
    user_reads_max: int = 8
    user_large_reads_max: int = 3  # those among them whose answers may be large: pages of history, lists, search

    # history.read: one page of these is held for each reader.
    read_events_min: int = 32  # who asks for one event at a time does not cost a read each
    read_events_max: int = 512
    read_ahead_events_max: int = 256  # a page of up to twice what was asked for; the other half, of chat, is 45 KB
    read_buffer_bytes_max: int = 65_536  # of a page, kept for a reader without demand; what is more is read again

    # Rooms.
    created_rooms_max: int = 1_000  # 0 = no limit. Made by one user and still there; a program may need more
    create_members_max: int = 500  # one transaction with an event for each

    # Connections and their pace.
    user_connections_max: int = 64  # a person with every device and many tabs; a broken loop of reconnects stops here
    sends_per_second_max: float = 20.0  # 0 = no limit. Faster than anyone types, slow enough to stop a broken bot
    sends_burst_max: int = 60  # a phone that empties its outbox after a tunnel
    send_cost_bytes: int = 4_096  # a change counts once more for each so many bytes; what people type is shorter
    # Typing, statuses, positions and hidden rooms of one user, over all connections.
    updates_per_second_max: float = 50.0  # 0 = no limit. A client says some 2 a second while its user reads and types
    updates_burst_max: int = 2_000  # a client that comes back and says what was delivered in each of its rooms
    update_cost_readers: int = 500  # an update counts once more for each so many who are told of it
    # What one user may add to both files: a text counts with what it takes in the search index, ASCII five times, a
    # Chinese character with 48 bytes. The count begins again at 0 after a restart.
    stored_bytes_per_day_max: int = 536_870_912  # 0 = no limit. 100 MB of ASCII text, or 11 million Chinese characters
    rate_limited_users_max: int = 100_000  # how many buckets are remembered
    # Everything but messages and `session.*`, of one user over all connections (of one address where there is no user):
    # pages, lists, positions, watches that are opened.
    calls_per_second_max: float = 500.0  # 0 = no limit. A person's client needs 50 at most, so ten of them fit
    calls_burst_max: int = 5_000  # a client that comes back and opens all its rooms
    # history.search, of one user over all connections. Besides its cost, it bounds how fast words can be tried.
    searches_per_second_max: float = 5.0  # 0 = no limit. A page that searches while one types asks 3 times a second
    searches_burst_max: int = 30

    # What one user holds at once, over all connections, so that one cannot take what is there for all.
    # Bytes of the service's memory, by measured weights: a thousand rooms open on each of five devices take 20 MiB.
    user_bytes_max: int = 67_108_864
    user_requests_max: int = 2_048  # that wait for something: an eighth of the store's pending_reads_max
    # Watches of one room, two for each of a user's connections: an OPEN room has places for 50,000 readers.
    user_room_watches_max: int = 128
    watched_rooms_max: int = 10_000  # rooms watched, one by one or on channels: a tenth of the hub's subscriptions_max
    watched_lists_max: int = 64  # rooms.watch: one for each of a user's connections
    watched_users_max: int = 50_000  # users named by presence watches: about 0.3 KiB each
    presence_watches_max: int = 1_024  # presence watches of people: a client needs one or two

    # chat.channel
    channel_commands_max: int = 64  # commands waiting, running, or answered and not yet taken, of one channel
    channel_rooms_max: int = 1_000  # rooms one channel has open

    # Presence.
    presence_visible_to: str = "everyone"  # who sees whether a user is there and was last seen: everyone, shared_rooms
    presence_users_max: int = 1_000  # users named by one presence.watch
    presence_room_members_max: int = 500  # above it a room's presence is two numbers
    presence_count_seconds: float = 5.0  # how often those two numbers may change
    presence_count_members_max: int = 1_000_000  # names kept of one watched room, about 100 bytes each
    unwatched_presence_bytes_max: int = 16_777_216  # of rooms kept for a minute for who reconnects: 20 of 500 members
    cached_offline_users_max: int = 100_000  # users gone offline whose last state is kept in memory
    grace_seconds: float = 10.0  # a reload or a change of network is no goodbye
    typing_seconds: float = 6.0  # clients repeat it every 3 s; one repetition may be lost
    typing_users_shown_max: int = 20  # "and others" is all a screen has room for
    typing_users_max: int = 100_000  # people typing at once, over all rooms
    user_typing_rooms_max: int = 64  # rooms in which one user types at once

    # rooms.watch
    room_list_min_interval_seconds: float = 0.2  # faster than the eye, slow enough to fold a burst into one row
    recent_room_changes_max: int = (
        100_000  # rooms whose last change is kept, so that a reconnect costs only the changes
    )

    # What is kept in memory to answer quickly.
    cached_rooms_max: int = 50_000  # about 0.5 KiB each
    cached_refusals_max: int = 50_000  # (room, user) that were answered NOT_FOUND, about 0.3 KiB each
    # About 0.2 KiB each: 20,000 connections with 25 rooms. As many again of rooms whose roles are all known, 0.1 KiB
    # each.
    # How long a role is trusted that was read from the store, where notices of changes by other nodes may be lost; a
    # change that no notice told of counts after this time. In a service of one process roles do not expire.
    cached_role_seconds: float = 10.0
    cached_roles_max: int = 500_000
    small_room_members_max: int = 50  # of so many members all roles are read at once; more would take longer than one

    def advertised(self) -> dict[str, int]:
        """What session.info tells: whole numbers by name, seconds in milliseconds."""
        numbers: dict[str, int] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_seconds"):
                numbers[field.name.removesuffix("_seconds") + "_ms"] = round(value * 1000)
            elif field.name not in INTERNAL_LIMITS and not isinstance(value, str):
                numbers[field.name] = ceil(value)
        return numbers


# Values of `presence_visible_to`.
EVERYONE = "everyone"
SHARED_ROOMS = "shared_rooms"

# How fast one user may go, over hours or a day: off in development.
RATE_LIMITS = (
    "sends_per_second_max",
    "updates_per_second_max",
    "calls_per_second_max",
    "searches_per_second_max",
    "stored_bytes_per_day_max",
)

# Nobody outside can run into these.
INTERNAL_LIMITS = frozenset(
    {
        "rate_limited_users_max",
        "cached_offline_users_max",
        "recent_room_changes_max",
        "presence_count_members_max",
        "typing_users_max",
        "unwatched_presence_bytes_max",
    }
    | {"cached_rooms_max", "cached_refusals_max", "cached_roles_max", "small_room_members_max"}
    | {"user_reads_max", "user_large_reads_max"}
    | {"read_events_min", "read_ahead_events_max", "read_events_max", "read_buffer_bytes_max"}
)
