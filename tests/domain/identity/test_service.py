"""session.*: the connection itself."""

import pytest

from domain.harness import START_MS, DomainHarness, raises_error
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.identity.jwt import issue_token


def token(user: str, ttl_seconds: int = 600) -> str:
    return issue_token(user, secret=b"s" * 32, ttl_seconds=ttl_seconds, now_ms=START_MS)


@pytest.mark.asyncio
async def test_info_says_who_i_am_and_which_limits_hold() -> None:
    harness = DomainHarness()
    alice = harness.connect("alice", operator=True, expires_at_ms=START_MS + 5_000)
    info = await alice.call("session.info", v1.InfoRequest())
    assert (info.user, info.guest, info.operator, info.version) == ("alice", False, True, "1.2.3")
    assert (info.expires_at_ms, info.now_ms) == (START_MS + 5_000, harness.clock.now_ms())
    assert info.limits["text_bytes_max"] == 65_536
    assert info.limits["typing_ms"] == 6_000
    assert info.limits["sends_per_second_max"] == info.limits["calls_per_second_max"] == 0
    assert "cached_roles_max" not in info.limits
    guest = harness.connect("guest-1", guest=True)
    assert (await guest.call("session.info", v1.InfoRequest())).guest


@pytest.mark.asyncio
async def test_every_limit_that_is_shown_has_its_unit_in_its_name() -> None:
    harness = DomainHarness(dev=False)
    limits = (await harness.connect("alice").call("session.info", v1.InfoRequest())).limits
    assert limits["sends_per_second_max"] == 20
    units = [
        "bytes",
        "chars",
        "events",
        "items",
        "results",
        "members",
        "users",
        "rooms",
        "readers",
        "lists",
        "ms",
        "connections",
        "commands",
        "requests",
        "watches",
        "people",
        "per_second",
        "burst",
    ]
    assert not [name for name in limits if not any(f"_{unit}_" in f"{name}_" for unit in units)]


@pytest.mark.asyncio
async def test_a_new_token_of_the_same_user_prolongs_the_connection() -> None:
    harness = DomainHarness(dev=False)
    alice = harness.connect("alice", expires_at_ms=START_MS + 60_000)
    reply = await alice.call("session.refresh", v1.RefreshRequest(token=token("alice")))
    assert reply.expires_at_ms == alice.session.identity.expires_at_ms == START_MS + 600_000
    await harness.advance_time(300)
    assert alice.close_errors == []
    await harness.advance_time(400)
    assert [failure.code for failure in alice.close_errors] == [Code.UNAUTHENTICATED]


@pytest.mark.asyncio
async def test_a_token_of_another_user_or_none_changes_nothing() -> None:
    alice = DomainHarness(dev=False).connect("alice", expires_at_ms=START_MS + 60_000)
    before = alice.session.identity
    for wrong, code in (
        (token("bob"), Code.UNAUTHENTICATED),
        (token("alice", ttl_seconds=-60), Code.UNAUTHENTICATED),
        ("nonsense", Code.UNAUTHENTICATED),
        ("", Code.INVALID_ARGUMENT),
    ):
        with raises_error(code):
            await alice.call("session.refresh", v1.RefreshRequest(token=wrong))
    assert alice.session.identity is before


@pytest.mark.asyncio
async def test_a_ping_comes_back() -> None:
    assert await DomainHarness().connect("alice").call("session.ping", v1.PingRequest()) == v1.PingReply()
