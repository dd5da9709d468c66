"""What passes by in one room."""

import pytest

from domain.harness import DomainHarness, settle
from tidings.contract import v1
from tidings.domain.presence.room_presence import MEMBERS_PAGE_SIZE


@pytest.mark.asyncio
async def test_of_an_enormous_room_no_more_names_are_read_than_the_limit_says() -> None:
    harness = DomainHarness(presence_room_members_max=10, presence_count_members_max=MEMBERS_PAGE_SIZE)
    names = [f"u{number}" for number in range(2 * MEMBERS_PAGE_SIZE)]
    await harness.store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=names, at_ms=1)
    reader = await harness.connect("alice").watch("presence.watch", v1.PresenceWatchRequest(room="den"))
    await settle()
    assert [item.count.members for item in reader.items if item.HasField("count")] == [MEMBERS_PAGE_SIZE]
