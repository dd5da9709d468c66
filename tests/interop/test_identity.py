"""Authentication in SETUP or with one request, by name or by token; and rejected credentials."""

import time
from typing import Any

import pytest

from interop.credentials import ALICE, BOB, token
from interop.foreign_clients import Combination, Connect, ForeignError
from service_runner import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="module")

REJECTED_SETUP = 0x003
UNAUTHENTICATED = 0x302


@pytest.fixture
def guarded_url(production_service: RunningService, combination: Combination) -> str:
    return {"ws": production_service.ws_url, "tcp": production_service.tcp_url}[combination.scheme]


# --- for development --------------------------------------------------------------------------------------------


async def test_a_name_in_setup_is_who_the_connection_is(connect: Connect) -> None:
    alice = await connect(auth=ALICE)
    info = await alice.call("session.info")
    assert (info["user"], info.get("guest", False)) == ("alice", False)


async def test_somebody_without_a_name_is_a_guest(connect: Connect) -> None:
    guest = await connect(auth=None)
    info = await guest.call("session.info")
    assert info["guest"] is True
    assert info["user"].startswith("guest-")


async def test_one_request_may_be_somebody_elses(connect: Connect, room: str) -> None:
    alice = await connect(auth=ALICE)
    await alice.call("chat.send", {"room": room, "clientId": "a", "text": "from bob"}, auth=BOB)
    await alice.call("chat.send", {"room": room, "clientId": "a", "text": "from alice"})
    page = await alice.call("history.page", {"room": room, "limit": 2})
    assert [(event["actor"], event["posted"]["text"]) for event in page["events"]] == [
        ("bob", "from bob"),
        ("alice", "from alice"),
    ]


async def test_a_name_that_breaks_the_rules_is_refused(connect: Connect) -> None:
    nobody = await connect(auth={"user": "no body", "password": ""})
    closed = await nobody.wait_closed()
    assert closed.code == REJECTED_SETUP
    assert closed.text.startswith("UNAUTHENTICATED: ")


# --- with tokens ------------------------------------------------------------------------------------------------


async def test_a_token_in_setup_is_who_the_connection_is(connect_to: Connect, guarded_url: str) -> None:
    alice = await connect_to(guarded_url, auth=token("alice"))
    info = await alice.call("session.info")
    assert info["user"] == "alice"
    assert int(info["expiresAtMs"]) > time.time() * 1000


REFUSED: dict[str, Any] = {
    "nobody": lambda: None,
    "a name and a password": lambda: ALICE,
    "a token of another issuer": lambda: token("alice", secret="another secret of thirty-two bytes!"),
    "a token that ran out": lambda: token("alice", ttl_seconds=-60),
    "what is no token": lambda: {"token": "no token"},
}


@pytest.mark.parametrize("credentials", REFUSED.values(), ids=REFUSED.keys())
async def test_who_is_refused_sees_why(connect_to: Connect, guarded_url: str, credentials: Any) -> None:
    somebody = await connect_to(guarded_url, auth=credentials())
    closed = await somebody.wait_closed()
    assert closed.code == REJECTED_SETUP
    assert closed.text.startswith("UNAUTHENTICATED: ")


async def test_a_wrong_token_with_one_request_fails_that_request_alone(connect_to: Connect, guarded_url: str) -> None:
    alice = await connect_to(guarded_url, auth=token("alice"))
    with pytest.raises(ForeignError) as caught:
        await alice.call("session.info", auth={"token": "no token"})
    assert caught.value.code == UNAUTHENTICATED
    info = await alice.call("session.info", auth=token("bob"))
    assert info["user"] == "bob"
    assert (await alice.call("session.info"))["user"] == "alice"


async def test_a_token_is_refreshed_on_the_living_connection(connect_to: Connect, guarded_url: str) -> None:
    alice = await connect_to(guarded_url, auth=token("alice", ttl_seconds=60))
    before = await alice.call("session.info")
    after = await alice.call("session.refresh", {"token": token("alice")["token"]})
    assert int(after["expiresAtMs"]) > int(before["expiresAtMs"])
    with pytest.raises(ForeignError) as caught:
        await alice.call("session.refresh", {"token": token("bob")["token"]})
    assert caught.value.code == UNAUTHENTICATED
