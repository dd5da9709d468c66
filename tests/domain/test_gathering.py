"""What passes by in one room."""

import pytest

from domain.stage import House, settled
from tidings.contract import v1
from tidings.domain.gathering import MEMBERS_PAGE


@pytest.mark.asyncio
async def test_of_an_enormous_room_no_more_names_are_read_than_the_limit_says() -> None:
    house = House(presence_room_members_max=10, presence_count_members_max=MEMBERS_PAGE)
    names = [f"u{number}" for number in range(2 * MEMBERS_PAGE)]
    await house.store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=names, at_ms=1)
    reader = await house.connect("alice").watch("presence.watch", v1.PresenceWatchRequest(room="den"))
    await settled()
    assert [item.count.members for item in reader.items if item.HasField("count")] == [MEMBERS_PAGE]
