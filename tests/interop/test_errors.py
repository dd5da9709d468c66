"""Errors reach foreign clients with a code and a sentence that says what to do."""

import pytest

from interop.foreign_clients import Connect, ForeignError

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID_ARGUMENT = 0x301
NOT_FOUND = 0x304
CONFLICT = 0x305
CURSOR_LOST = 0x307
UNIMPLEMENTED = 0x30B


async def test_an_unknown_route_is_unimplemented(connect: Connect) -> None:
    alice = await connect()
    with pytest.raises(ForeignError) as caught:
        await alice.call("chat.shout")
    assert caught.value.code == UNIMPLEMENTED
    assert caught.value.text.startswith("UNIMPLEMENTED: ")
    assert "chat.shout" in caught.value.text


async def test_a_route_asked_with_another_interaction_is_unimplemented(connect: Connect, room: str) -> None:
    alice = await connect()
    with pytest.raises(ForeignError) as caught:
        await alice.call("chat.watch", {"room": room})
    assert caught.value.code == UNIMPLEMENTED
    watch = await alice.watch("chat.send", {"room": room, "clientId": "a", "text": "b"}, n=1)
    error = await watch.wait_end()
    assert error is not None
    assert error.code == UNIMPLEMENTED


async def test_a_broken_rule_is_an_invalid_argument(connect: Connect, room: str) -> None:
    alice = await connect()
    with pytest.raises(ForeignError) as caught:
        await alice.call("chat.send", {"room": room, "clientId": "a", "text": ""})
    assert caught.value.code == INVALID_ARGUMENT
    assert caught.value.text.startswith("INVALID_ARGUMENT: ")


async def test_a_room_that_does_not_exist_is_not_found_by_calls_and_watches(connect: Connect, room: str) -> None:
    alice = await connect()
    with pytest.raises(ForeignError) as caught:
        await alice.call("history.page", {"room": f"not-{room}"})
    assert caught.value.code == NOT_FOUND
    watch = await alice.watch("chat.watch", {"room": f"not-{room}"}, n=1)
    error = await watch.wait_end()
    assert error is not None
    assert (error.code, error.text.partition(":")[0]) == (NOT_FOUND, "NOT_FOUND")


async def test_the_same_client_id_with_another_text_is_a_conflict(connect: Connect, room: str) -> None:
    alice = await connect()
    await alice.call("chat.send", {"room": room, "clientId": "same", "text": "one"})
    with pytest.raises(ForeignError) as caught:
        await alice.call("chat.send", {"room": room, "clientId": "same", "text": "two"})
    assert caught.value.code == CONFLICT


async def test_a_cursor_of_another_log_is_lost(connect: Connect, room: str) -> None:
    alice = await connect()
    watch = await alice.watch("chat.watch", {"room": room, "after": {"epoch": "another", "seq": "1"}}, n=1)
    error = await watch.wait_end()
    assert error is not None
    assert error.code == CURSOR_LOST


async def test_the_connection_lives_on_after_errors(connect: Connect, room: str) -> None:
    alice = await connect()
    for number in range(20):
        with pytest.raises(ForeignError):
            await alice.call("chat.shout", {})
        await alice.call("chat.send", {"room": room, "clientId": str(number), "text": "still here"})
    assert not alice.is_closed
