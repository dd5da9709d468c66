"""Who is connected, and until when."""

from domain.harness import START_MS, FakeClock
from tidings.contract.context import Identity, Session
from tidings.contract.errors import ApiError, Code
from tidings.contract.memory_account import MemoryAccounts
from tidings.domain.identity.session_registry import SessionRegistry


class RegistryHarness:
    """Connections with everything they said."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = SessionRegistry(self.clock, 5, MemoryAccounts())
        self.online_changes: list[str] = []
        self.close_errors: list[tuple[str, ApiError]] = []
        self.registry.on_user_online.append(lambda user: self.online_changes.append(f"+{user}"))
        self.registry.on_user_offline.append(lambda user: self.online_changes.append(f"-{user}"))

    def connect(self, name: str, user: str, expires_at_ms: int = 0) -> Session:
        identity = Identity(user, expires_at_ms=expires_at_ms)
        session = Session(name, identity, "test", lambda failure: self.close_errors.append((name, failure)))
        self.registry.register(session)
        return session

    def advance_time(self, seconds: float) -> None:
        self.clock.scheduler.advance_by(seconds)
        self.registry.tick()


def test_a_user_arrives_with_the_first_connection_and_departs_with_the_last() -> None:
    registry_harness = RegistryHarness()
    first, second = registry_harness.connect("1", "alice"), registry_harness.connect("2", "alice")
    registry_harness.connect("3", "bob")
    registry_harness.registry.unregister(first)
    assert registry_harness.online_changes == ["+alice", "+bob"]
    assert "alice" in registry_harness.registry
    registry_harness.registry.unregister(second)
    registry_harness.registry.unregister(second)
    assert registry_harness.online_changes == ["+alice", "+bob", "-alice"]
    assert "alice" not in registry_harness.registry


def test_a_connection_ends_with_its_token() -> None:
    registry_harness = RegistryHarness()
    registry_harness.connect("1", "alice", START_MS + 60_000)
    registry_harness.connect("2", "alice", START_MS + 90_000)
    registry_harness.connect("3", "alice")
    registry_harness.advance_time(64)
    assert registry_harness.close_errors == []
    registry_harness.advance_time(1)
    ((name, failure),) = registry_harness.close_errors
    assert (name, failure.code) == ("1", Code.UNAUTHENTICATED)
    registry_harness.advance_time(1_000)
    assert [name for name, _ in registry_harness.close_errors] == ["1", "2"]


def test_a_connection_whose_token_was_refreshed_goes_on_until_the_new_one_ends() -> None:
    registry_harness = RegistryHarness()
    session, simple = registry_harness.connect("1", "alice", START_MS + 60_000), registry_harness.connect("2", "bob")
    for each in (session, simple):
        each.identity = Identity(each.identity.user, expires_at_ms=START_MS + 120_000)
    registry_harness.advance_time(100)
    assert registry_harness.close_errors == []
    registry_harness.advance_time(30)
    assert sorted(name for name, _ in registry_harness.close_errors) == ["1", "2"]


def test_a_connection_that_is_gone_is_not_closed_again() -> None:
    registry_harness = RegistryHarness()
    registry_harness.registry.unregister(registry_harness.connect("1", "alice", START_MS + 1_000))
    registry_harness.advance_time(60)
    assert registry_harness.close_errors == []
