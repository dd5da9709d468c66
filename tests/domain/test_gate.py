"""The front door: who comes in, in development and otherwise."""

import pytest

from domain.stage import START_MS, House, StageClock, refused
from tidings.contract.call import Credentials, Identity
from tidings.contract.errors import Code
from tidings.contract.memory import Accounts
from tidings.domain.connections import Connections
from tidings.domain.gate import DevGate, TokenGate
from tidings.domain.limits import DomainLimits
from tidings.domain.product import Settings, build
from tidings.domain.rules import Rules
from tidings.domain.tokens import Tokens, TokenSettings, issue_token
from tidings.stores.memory import MemoryStore

SECRET = b"s" * 32
RULES = Rules(DomainLimits())
REFUSED = Code.UNAUTHENTICATED


def token(user: str = "alice", ttl_seconds: int = 60) -> str:
    return issue_token(user, secret=SECRET, ttl_seconds=ttl_seconds, now_ms=START_MS)


def dev_gate(*, secret: bytes | None = SECRET) -> DevGate:
    tokens = Tokens(TokenSettings(secret), RULES) if secret else None
    clock = StageClock()
    return DevGate(tokens, Connections(clock, 10, Accounts()), clock, RULES)


def token_gate() -> TokenGate:
    clock = StageClock()
    return TokenGate(Tokens(TokenSettings(SECRET), RULES), Connections(clock, 10, Accounts()), clock)


@pytest.mark.asyncio
async def test_only_a_token_opens_the_gate() -> None:
    gate = token_gate()
    assert await gate.admit(Credentials(token=token())) == Identity("alice", expires_at_ms=START_MS + 60_000)
    for wrong, words in (
        (Credentials(), "bearer token"),
        (Credentials(user="alice", password="x"), "development only"),
        (Credentials(token="nonsense"), "get a new one"),
        (Credentials(user="alice", token="nonsense"), "get a new one"),
    ):
        with refused(REFUSED, words):
            await gate.admit(wrong)


@pytest.mark.asyncio
async def test_in_development_any_name_comes_in_with_any_password() -> None:
    gate = dev_gate()
    assert await gate.admit(Credentials(user="alice", password="whatever")) == Identity("alice")
    assert await gate.admit(Credentials(user="cafe\u0301")) == Identity("caf\u00e9")
    with refused(REFUSED, "user name"):
        await gate.admit(Credentials(user="a b"))


@pytest.mark.asyncio
async def test_in_development_a_token_counts_only_where_a_secret_can_check_it() -> None:
    assert (await dev_gate().admit(Credentials(token=token("bob")))).user == "bob"
    with refused(REFUSED):
        await dev_gate().admit(Credentials(token="nonsense"))
    with refused(REFUSED, "secret"):
        await dev_gate(secret=None).admit(Credentials(token=token()))


@pytest.mark.asyncio
async def test_guests_get_names_of_their_own() -> None:
    house = House()
    names = set()
    for _ in range(100):
        identity = await house.product.gate.admit(Credentials())
        assert identity.guest
        assert RULES.user(identity.user).startswith("guest-")
        names.add(identity.user)
        house.connect(identity.user, guest=True)
    assert len(names) == 100


@pytest.mark.asyncio
async def test_a_service_that_nobody_could_enter_does_not_start() -> None:
    clock = StageClock()
    with pytest.raises(ValueError, match="set a token secret"):
        build(
            MemoryStore(),
            clock=clock,
            schedule=lambda callback: None,
            schedule_later=clock.later,
            scheduler=lambda: clock.scheduler,
            report=lambda error, where: None,
            settings=Settings(dev=False),
        )


@pytest.mark.asyncio
async def test_a_user_has_so_many_connections_and_no_more() -> None:
    house = House(user_connections_max=3)
    people = house.people("alice", "alice", "alice")
    with refused(Code.RESOURCE_EXHAUSTED, "user_connections_max"):
        house.connect("alice")
    house.connect("bob")
    people[0].leave()
    house.connect("alice")
