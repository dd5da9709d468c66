"""Who types where."""

from collections.abc import Sequence

from domain.stage import StageClock
from tidings.domain.limits import DomainLimits
from tidings.domain.typists import Typists


class Room:
    """Hears who types."""

    def __init__(self, **limits: int) -> None:
        self.clock = StageClock()
        self.heard: list[tuple[str, Sequence[str]]] = []
        self.typists = Typists(
            lambda room, users: self.heard.append((room, users)),
            clock=self.clock,
            schedule_later=self.clock.later,
            limits=DomainLimits(**limits),
        )


def test_typing_is_told_once_and_dies_by_itself() -> None:
    room = Room()
    room.typists.begin("den", "alice")
    room.clock.scheduler.advance_by(4)
    room.typists.begin("den", "alice")
    room.clock.scheduler.advance_by(4)
    assert room.heard == [("den", ["alice"])]
    room.clock.scheduler.advance_by(4)
    assert room.heard == [("den", ["alice"]), ("den", [])]


def test_who_stops_without_having_typed_is_no_news() -> None:
    room = Room()
    room.typists.stop("den", "alice")
    assert not room.heard


def test_only_the_first_few_are_shown_and_others_follow_when_they_stop() -> None:
    room = Room(typing_users_shown_max=2)
    for user in ("alice", "bob", "carol"):
        room.typists.begin("den", user)
    assert room.typists.now("den") == ["alice", "bob"]
    room.typists.stop("den", "alice")
    assert room.heard[-1] == ("den", ["bob", "carol"])


def test_beyond_the_limit_nobody_more_types_until_somebody_has_stopped() -> None:
    room = Room(typing_max=2)
    for place, user in (("den", "alice"), ("attic", "bob"), ("den", "carol")):
        room.typists.begin(place, user)
    assert room.typists.now("den") == ["alice"]
    room.typists.stop("attic", "bob")
    room.typists.begin("den", "carol")
    assert room.typists.now("den") == ["alice", "carol"]
