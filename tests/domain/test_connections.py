"""Who is connected, and until when."""

from domain.stage import START_MS, StageClock
from tidings.contract.call import Identity, Session
from tidings.contract.errors import Code, Failure
from tidings.contract.memory import Accounts
from tidings.domain.connections import Connections


class Hall:
    """Connections with everything they said."""

    def __init__(self) -> None:
        self.clock = StageClock()
        self.connections = Connections(self.clock, 5, Accounts())
        self.heard: list[str] = []
        self.closed: list[tuple[str, Failure]] = []
        self.connections.arrived.append(lambda user: self.heard.append(f"+{user}"))
        self.connections.departed.append(lambda user: self.heard.append(f"-{user}"))

    def enter(self, name: str, user: str, expires_at_ms: int = 0) -> Session:
        identity = Identity(user, expires_at_ms=expires_at_ms)
        session = Session(name, identity, "test", lambda failure: self.closed.append((name, failure)))
        self.connections.enter(session)
        return session

    def pass_time(self, seconds: float) -> None:
        self.clock.scheduler.advance_by(seconds)
        self.connections.tick()


def test_a_user_arrives_with_the_first_connection_and_departs_with_the_last() -> None:
    hall = Hall()
    first, second = hall.enter("1", "alice"), hall.enter("2", "alice")
    hall.enter("3", "bob")
    hall.connections.leave(first)
    assert hall.heard == ["+alice", "+bob"]
    assert "alice" in hall.connections
    hall.connections.leave(second)
    hall.connections.leave(second)
    assert hall.heard == ["+alice", "+bob", "-alice"]
    assert "alice" not in hall.connections


def test_what_hangs_on_a_connection_is_cleaned_up_with_it() -> None:
    hall = Hall()
    session = hall.enter("1", "alice")
    session.left.append(lambda: hall.heard.append("cleaned"))
    hall.connections.leave(session)
    hall.connections.leave(session)
    assert hall.heard == ["+alice", "cleaned", "-alice"]


def test_a_connection_ends_with_its_token() -> None:
    hall = Hall()
    hall.enter("1", "alice", START_MS + 60_000)
    hall.enter("2", "alice", START_MS + 90_000)
    hall.enter("3", "alice")
    hall.pass_time(64)
    assert hall.closed == []
    hall.pass_time(1)
    ((name, failure),) = hall.closed
    assert (name, failure.code) == ("1", Code.UNAUTHENTICATED)
    hall.pass_time(1_000)
    assert [name for name, _ in hall.closed] == ["1", "2"]


def test_a_connection_whose_token_was_refreshed_goes_on_until_the_new_one_ends() -> None:
    hall = Hall()
    session, simple = hall.enter("1", "alice", START_MS + 60_000), hall.enter("2", "bob")
    for each in (session, simple):
        each.identity = Identity(each.identity.user, expires_at_ms=START_MS + 120_000)
    hall.pass_time(100)
    assert hall.closed == []
    hall.pass_time(30)
    assert sorted(name for name, _ in hall.closed) == ["1", "2"]


def test_a_connection_that_is_gone_is_not_closed_again() -> None:
    hall = Hall()
    hall.connections.leave(hall.enter("1", "alice", START_MS + 1_000))
    hall.pass_time(60)
    assert hall.closed == []
