"""Boards of latest values: presence, and the list of rooms."""

from collections.abc import Callable

import pytest

from client.fake_service import FakeService, FakeSession
from tidings.contract import v1
from tidings.protocols.rsocket import Stream
from tidings_client import ApiError, Client

pytestmark = pytest.mark.asyncio
MakeClient = Callable[..., Client]


async def test_everybody_comes_then_live(service: FakeService, client: MakeClient) -> None:
    async with client() as me, me.presence.watch(["alice", "bob"]) as watch:
        items = [await anext(watch) for _ in range(3)]
        assert [item.user.user for item in items] == ["alice", "bob", ""]
        assert items[2].HasField("live")
        assert watch.live


async def test_after_a_reconnect_it_goes_on_from_the_last_cursor(service: FakeService, client: MakeClient) -> None:
    async with client() as me, me.presence.watch(["alice"]) as watch:
        for _ in range(2):
            await anext(watch)
        service.sessions[0].abort()
        assert (await anext(watch)).user.user == "alice"
    asked = [request for route, request in service.requests if route == "presence.watch"]
    assert [request.HasField("after") for request in asked] == [False, True]
    assert asked[1].after == v1.Cursor(epoch="p", seq=1)


async def test_a_snapshot_that_broke_off_is_asked_for_as_a_whole(service: FakeService, client: MakeClient) -> None:
    def half(session: FakeSession, stream: Stream, request: v1.PresenceWatchRequest) -> bool:
        if service.counts["presence.watch"] > 1:
            return False
        session.send_item(
            stream, v1.PresenceItem(cursor=v1.Cursor(epoch="p", seq=9), user=v1.UserPresence(user="alice"))
        )
        return True

    service.handlers["presence.watch"] = half
    async with client() as me, me.presence.watch(["alice", "bob"]) as watch:
        assert (await anext(watch)).user.user == "alice"
        service.sessions[0].abort()
        assert [(await anext(watch)).user.user for _ in range(2)] == ["alice", "bob"]
    assert not [request for route, request in service.requests if route == "presence.watch"][1].HasField("after")


async def test_users_or_a_room_and_not_both(service: FakeService, client: MakeClient) -> None:
    async with client() as me:
        with pytest.raises(ApiError, match="not both"):
            me.presence.watch(["alice"], room="general")
        with pytest.raises(ApiError, match="not both"):
            me.presence.watch()


async def test_the_list_of_rooms_is_watched_the_same_way(service: FakeService, client: MakeClient) -> None:
    def rooms(session: FakeSession, stream: Stream, request: v1.RoomsWatchRequest) -> bool:
        cursor = v1.Cursor(epoch="r", seq=4)
        session.send_item(stream, v1.RoomsItem(cursor=cursor, room=v1.RoomState(unread=3)))
        session.send_item(stream, v1.RoomsItem(cursor=cursor, live=v1.Live()))
        session.send_item(stream, v1.RoomsItem(cursor=cursor, gone="attic"))
        return True

    service.handlers["rooms.watch"] = rooms
    async with client() as me, me.rooms.watch() as watch:
        items = [await anext(watch) for _ in range(3)]
    assert (items[0].room.unread, items[2].gone) == (3, "attic")
