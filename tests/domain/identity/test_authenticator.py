"""The front door: who comes in, in development and otherwise."""

import pytest

from domain.harness import START_MS, DomainHarness, FakeClock, raises_error
from tidings.contract.context import Credentials, Identity
from tidings.contract.errors import Code
from tidings.contract.memory_account import MemoryAccounts
from tidings.domain.identity.authenticator import DevAuthenticator, TokenAuthenticator
from tidings.domain.identity.jwt import JwtSettings, JwtVerifier, issue_token
from tidings.domain.identity.session_registry import SessionRegistry
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.services import DomainSettings, build_services
from tidings.domain.validation.validator import Validator
from tidings.stores.memory.store import MemoryStore

SECRET = b"s" * 32
RULES = Validator(DomainLimits())
REFUSED = Code.UNAUTHENTICATED


def token(user: str = "alice", ttl_seconds: int = 60) -> str:
    return issue_token(user, secret=SECRET, ttl_seconds=ttl_seconds, now_ms=START_MS)


def dev_authenticator(*, secret: bytes | None = SECRET) -> DevAuthenticator:
    tokens = JwtVerifier(JwtSettings(secret), RULES) if secret else None
    clock = FakeClock()
    return DevAuthenticator(tokens, SessionRegistry(clock, 10, MemoryAccounts()), clock, RULES)


def token_authenticator() -> TokenAuthenticator:
    clock = FakeClock()
    return TokenAuthenticator(JwtVerifier(JwtSettings(SECRET), RULES), clock)


@pytest.mark.asyncio
async def test_only_a_token_authenticates() -> None:
    authenticator = token_authenticator()
    assert await authenticator.authenticate(Credentials(token=token())) == Identity(
        "alice", expires_at_ms=START_MS + 60_000
    )
    for wrong, words in (
        (Credentials(), "bearer token"),
        (Credentials(user="alice", password="x"), "development only"),
        (Credentials(token="nonsense"), "get a new one"),
        (Credentials(user="alice", token="nonsense"), "get a new one"),
    ):
        with raises_error(REFUSED, words):
            await authenticator.authenticate(wrong)


@pytest.mark.asyncio
async def test_in_development_any_name_authenticates_with_any_password() -> None:
    authenticator = dev_authenticator()
    assert await authenticator.authenticate(Credentials(user="alice", password="whatever")) == Identity("alice")
    assert await authenticator.authenticate(Credentials(user="cafe\u0301")) == Identity("caf\u00e9")
    with raises_error(REFUSED, "user name"):
        await authenticator.authenticate(Credentials(user="a b"))


@pytest.mark.asyncio
async def test_in_development_a_token_counts_only_where_a_secret_can_check_it() -> None:
    assert (await dev_authenticator().authenticate(Credentials(token=token("bob")))).user == "bob"
    with raises_error(REFUSED):
        await dev_authenticator().authenticate(Credentials(token="nonsense"))
    with raises_error(REFUSED, "secret"):
        await dev_authenticator(secret=None).authenticate(Credentials(token=token()))


@pytest.mark.asyncio
async def test_guests_get_names_of_their_own() -> None:
    harness = DomainHarness()
    names = set()
    for _ in range(100):
        identity = await harness.services.authenticator.authenticate(Credentials())
        assert identity.guest
        assert RULES.user(identity.user).startswith("guest-")
        names.add(identity.user)
        harness.connect(identity.user, guest=True)
    assert len(names) == 100


@pytest.mark.asyncio
async def test_a_service_without_a_secret_does_not_start() -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="set a token secret"):
        build_services(
            MemoryStore(),
            clock=clock,
            schedule=lambda callback: None,
            schedule_later=clock.call_later,
            make_rx_scheduler=lambda: clock.scheduler,
            report=lambda error, where: None,
            settings=DomainSettings(dev=False),
        )


@pytest.mark.asyncio
async def test_a_user_has_so_many_connections_and_no_more() -> None:
    harness = DomainHarness(user_connections_max=3)
    people = harness.connect_all("alice", "alice", "alice")
    with raises_error(Code.RESOURCE_EXHAUSTED, "user_connections_max"):
        harness.connect("alice")
    harness.connect("bob")
    people[0].disconnect()
    harness.connect("alice")
