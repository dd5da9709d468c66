"""Who types where."""

from collections.abc import Sequence

from domain.harness import FakeClock
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.presence.typing_tracker import TypingTracker


class TypingRecorder:
    """Hears who types."""

    def __init__(self, **limits: int) -> None:
        self.clock = FakeClock()
        self.changes: list[tuple[str, Sequence[str]]] = []
        self.tracker = TypingTracker(
            lambda room, users: self.changes.append((room, users)),
            clock=self.clock,
            schedule_later=self.clock.call_later,
            limits=DomainLimits(**limits),
        )


def test_typing_is_reported_once_and_expires() -> None:
    room = TypingRecorder()
    room.tracker.start("den", "alice")
    room.clock.scheduler.advance_by(4)
    room.tracker.start("den", "alice")
    room.clock.scheduler.advance_by(4)
    assert room.changes == [("den", ["alice"])]
    room.clock.scheduler.advance_by(4)
    assert room.changes == [("den", ["alice"]), ("den", [])]


def test_a_stop_without_typing_is_not_reported() -> None:
    room = TypingRecorder()
    room.tracker.stop("den", "alice")
    assert not room.changes


def test_only_the_first_few_are_shown_and_others_follow_when_they_stop() -> None:
    room = TypingRecorder(typing_users_shown_max=2)
    for user in ("alice", "bob", "carol"):
        room.tracker.start("den", user)
    assert room.tracker.users("den") == ["alice", "bob"]
    room.tracker.stop("den", "alice")
    assert room.changes[-1] == ("den", ["bob", "carol"])


def test_beyond_the_limit_typing_is_ignored_until_another_user_stops() -> None:
    room = TypingRecorder(typing_users_max=2)
    for place, user in (("den", "alice"), ("attic", "bob"), ("den", "carol")):
        room.tracker.start(place, user)
    assert room.tracker.users("den") == ["alice"]
    room.tracker.stop("attic", "bob")
    room.tracker.start("den", "carol")
    assert room.tracker.users("den") == ["alice", "carol"]
