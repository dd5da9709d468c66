"""What one client says comes to the log in the order in which it was said."""

import asyncio
from pathlib import Path

import pytest

import tidings_client
from service_runner import running_service


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", ["ws_url", "tcp_url"])
async def test_messages_sent_without_waiting_keep_their_order_in_a_room_nobody_has_asked_about(
    tmp_path: Path, transport: str
) -> None:
    for attempt in range(5):
        async with (
            running_service(tmp_path / str(attempt)) as service,
            tidings_client.connect(getattr(service, transport), user="ann") as ann,
        ):
            replies = await asyncio.gather(*(ann.rooms["general"].send(f"{n}") for n in range(300)))
            assert [reply.cursor.seq for reply in replies] == list(range(1, 301))
