"""Whether there is a room is told to nobody who may not know: not by the words of a refusal, not by the work for it."""

from typing import Any

import pytest

from domain.harness import ConnectedUser, DomainHarness, settle
from tidings.contract import v1
from tidings.contract.errors import ApiError, Code
from tidings.stores.memory.store import MemoryStore

# Every route that takes a room's name, as somebody asks who is not in the room.
CALLS: dict[str, Any] = {
    "chat.send": lambda room: v1.SendRequest(room=room, client_id="c", text="hi"),
    "chat.send, a reply": lambda room: v1.SendRequest(room=room, client_id="c", text="hi", reply_to=1),
    "chat.edit": lambda room: v1.EditRequest(room=room, client_id="c", target=3, text="hi"),
    "chat.delete": lambda room: v1.DeleteRequest(room=room, client_id="c", target=3),
    "chat.react": lambda room: v1.ReactRequest(room=room, client_id="c", target=3, emoji="👍"),
    "rooms.get": lambda room: v1.GetRequest(room=room),
    "rooms.join": lambda room: v1.JoinRequest(room=room),
    "rooms.join, an invitation": lambda room: v1.JoinRequest(room=room, user="bob"),
    "rooms.join, a role": lambda room: v1.JoinRequest(room=room, role=v1.OWNER),
    "rooms.leave": lambda room: v1.LeaveRequest(room=room),
    "rooms.leave, a removal": lambda room: v1.LeaveRequest(room=room, user="bob"),
    "rooms.hide": lambda room: v1.HideRequest(room=room),
    "rooms.members": lambda room: v1.MembersRequest(room=room),
    "presence.typing": lambda room: v1.TypingRequest(room=room),
    "receipts.mark": lambda room: v1.MarkRequest(room=room, read=1),
    "history.page": lambda room: v1.PageRequest(room=room),
    "history.search": lambda room: v1.SearchRequest(room=room, query="walrus"),
}
WATCHES: dict[str, Any] = {
    "chat.watch": lambda room: v1.WatchRequest(room=room),
    "history.read": lambda room: v1.ReadRequest(room=room),
    "presence.watch": lambda room: v1.PresenceWatchRequest(room=room),
}
COMMANDS = ("open", "send", "edit", "delete", "react", "typing", "mark")


class TracedStore(MemoryStore):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.called_methods: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if callable(found) and not name.startswith("_") and name != "on_committed":
            super().__getattribute__("called_methods").append(name)
        return found


async def error_of(who: ConnectedUser, route: str, request: Any) -> tuple[Code, str]:
    """With which code and words a request is refused."""
    try:
        if route in WATCHES:
            await who.watch(route, request)
        else:
            await who.call(route.partition(",")[0], request)
    except ApiError as failure:
        return failure.code, failure.text
    raise AssertionError(f"{route} was answered")


async def channel_error_of(who: ConnectedUser, command: str, room: str) -> tuple[Code, str]:
    """The same for a command of a channel."""
    request = CALLS[ROUTES[command]](room) if command != "open" else v1.WatchRequest(room=room)
    channel = who.channel()
    ref = channel.send_command(**{command: request})
    await settle()
    error = channel.reply(ref).error
    return Code(error.code), error.text


ROUTES = {
    "send": "chat.send",
    "edit": "chat.edit",
    "delete": "chat.delete",
    "react": "chat.react",
    "typing": "presence.typing",
    "mark": "receipts.mark",
}


async def harness_with_private_rooms() -> tuple[DomainHarness, TracedStore, ConnectedUser]:
    """A harness with a group and a direct room that are in use, and somebody who is in neither."""
    store = TracedStore()
    harness = DomainHarness(store)
    alice, bob, eve = harness.connect_all("alice", "bob", "eve")
    await store.create_room("secret", kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    await alice.create_room("", v1.DIRECT, "bob")
    for room in ("secret", "direct:alice:bob"):
        await alice.send(room=room)
        await bob.page(room)
    return harness, store, eve


@pytest.mark.asyncio
@pytest.mark.parametrize("route", [*CALLS, *WATCHES])
@pytest.mark.parametrize("room", ["secret", "direct:alice:bob"])
async def test_a_hidden_room_gets_the_same_error_and_costs_the_same_work_as_a_missing_one(
    route: str, room: str
) -> None:
    _, store, eve = await harness_with_private_rooms()
    request = (CALLS | WATCHES)[route]
    for times in range(3):
        told = {}
        for name in (room, "absent"):
            store.called_methods.clear()
            code, text = await error_of(eve, route, request(name))
            told[name] = (code, text.replace(name, "ROOM"), tuple(store.called_methods))
        assert told[room] == told["absent"], times
        assert told[room][0] is Code.NOT_FOUND


@pytest.mark.asyncio
async def test_making_a_group_takes_the_same_work_whether_others_have_one_of_that_name_or_not() -> None:
    _, store, eve = await harness_with_private_rooms()
    for _ in range(2):
        told = {}
        for name in ("secret", "absent"):
            store.called_methods.clear()
            made = await eve.call("rooms.create", v1.CreateRequest(room=name, kind=v1.GROUP))
            assert made.room.room == f"group:eve:{name}"
            told[name] = tuple(store.called_methods)
        assert told["secret"] == told["absent"]


@pytest.mark.asyncio
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_channel_tells_no_more(command: str) -> None:
    _, store, eve = await harness_with_private_rooms()
    for _ in range(2):
        told = {}
        for name in ("secret", "absent"):
            store.called_methods.clear()
            code, text = await channel_error_of(eve, command, name)
            told[name] = (code, text.replace(name, "ROOM"), tuple(store.called_methods))
        assert told["secret"] == told["absent"]


@pytest.mark.asyncio
async def test_who_was_refused_gets_in_as_soon_as_there_is_something_to_get_into() -> None:
    harness, store, eve = await harness_with_private_rooms()
    (alice,) = harness.connect_all("alice")
    for name in ("secret", "plaza", "club"):
        assert (await error_of(eve, "rooms.get", v1.GetRequest(room=name)))[0] is Code.NOT_FOUND
    await alice.join_room("secret", "eve")
    await alice.create_room("plaza", v1.OPEN)
    await store.create_room("club", kind=v1.GROUP, title="", creator="alice", members=["eve"], at_ms=1)
    for name in ("secret", "plaza", "club"):
        await eve.page(name)
    await alice.leave_room("secret", "eve")
    assert (await error_of(eve, "rooms.get", v1.GetRequest(room="secret")))[0] is Code.NOT_FOUND


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [v1.GROUP, v1.OPEN])
async def test_a_room_created_during_a_refusal_is_not_refused_for_ever(kind: int) -> None:
    harness, store, eve = await harness_with_private_rooms()
    (alice,) = harness.connect_all("alice")
    plain = store.membership

    async def late(room: str, user: str) -> tuple[int, int]:
        answer = await plain(room, user)
        if kind == v1.OPEN:
            await alice.create_room(room, v1.OPEN)
        else:
            await plain_create(room)
        return answer

    async def plain_create(room: str) -> None:
        await store.create_room(room, kind=v1.GROUP, title="", creator="alice", members=["eve"], at_ms=1)

    store.membership = late  # type: ignore[method-assign]
    try:
        await eve.page("plaza")
    except ApiError as failure:
        assert failure.code is Code.NOT_FOUND
    del store.membership
    await eve.page("plaza")


@pytest.mark.asyncio
async def test_refusals_are_remembered_so_many() -> None:
    store = TracedStore()
    (eve,) = DomainHarness(store, cached_refusals_max=10).connect_all("eve")
    for number in range(30):
        await error_of(eve, "rooms.get", v1.GetRequest(room=f"room{number}"))
    store.called_methods.clear()
    await error_of(eve, "rooms.get", v1.GetRequest(room="room29"))
    assert store.called_methods == []
    await error_of(eve, "rooms.get", v1.GetRequest(room="room0"))
    assert store.called_methods == ["membership"]
