"""Whose turn it is to read, and who has spent too much: with a clock and a loop that stand still until told."""

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from tidings.dispatch import read_scheduler
from tidings.dispatch.read_scheduler import ReadBudget, ReadScheduler
from tidings.server.settings import ConnectionLimits

LIMITS = ConnectionLimits(
    read_slice_ms=2.0,
    read_round_ms=4.0,
    user_cpu_ms_per_second_max=100.0,
    address_cpu_ms_per_second_max=0.0,
    cpu_burst_ms_max=10.0,
)


class FakeLoop:
    """A loop that goes round when told, and its clock."""

    def __init__(self, limits: ConnectionLimits = LIMITS) -> None:
        self.now = 1_000.0
        self._soon: deque[Callable[[], None]] = deque()
        self._later: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []
        self.scheduler = ReadScheduler(limits, lambda: self.now, self._soon.append, self._call_later)
        self.order: list[str] = []

    def _call_later(self, seconds: float, callback: Callable[..., None], *arguments: Any) -> None:
        self._later.append((self.now + seconds, callback, arguments))

    def run_round(self) -> None:
        """What is due now, once."""
        for _ in range(len(self._soon)):
            self._soon.popleft()()

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        due = [each for each in self._later if each[0] <= self.now + 1e-9]
        self._later = [each for each in self._later if each not in due]
        for _, callback, arguments in due:
            callback(*arguments)

    @property
    def is_idle(self) -> bool:
        """Whether nothing would ever be called again."""
        return not self._soon and not self._later


class FakeConnection:
    """One that has `left_ms` of work, and does at most a turn of it at once, a step of `step_ms` at a time."""

    def __init__(self, loop: FakeLoop, name: str, user: str, left_ms: float = 0.0, step_ms: float = 1.0) -> None:
        self.loop = loop
        self.name = name
        self.remaining_ms = left_ms
        self.step_ms = step_ms
        self.budget = loop.scheduler.acquire("user", user)

    def run_slice(self) -> bool:
        """Work, and wait again if there is more."""
        budget, turn_seconds = self.budget, self.loop.scheduler.slice_seconds
        while self.remaining_ms > 0 and budget.used_seconds < turn_seconds:
            self.loop.order.append(self.name)
            self.remaining_ms -= self.step_ms
            self.loop.now += self.step_ms / 1000
            budget.used_seconds += self.step_ms / 1000
        self.loop.scheduler.on_time_used(budget)
        if self.remaining_ms > 0:
            self.loop.scheduler.wait(budget, self)

    def abort(self) -> None:
        """Nothing here fails, unless a test has it so."""
        raise AssertionError

    def arrive(self, left_ms: float) -> None:
        """Bytes have come."""
        self.remaining_ms += left_ms
        if self.budget.is_open:
            self.run_slice()
        else:
            self.loop.scheduler.wait(self.budget, self)


def test_a_budget_that_used_its_turn_is_closed_until_the_next_round() -> None:
    loop = FakeLoop()
    budget = loop.scheduler.acquire("user", "ada")
    budget.used_seconds += 0.0019
    loop.scheduler.on_time_used(budget)
    assert budget.is_open
    budget.used_seconds += 0.0001
    loop.scheduler.on_time_used(budget)
    assert not budget.is_open
    loop.run_round()
    assert budget.is_open
    assert loop.is_idle


def test_what_is_left_is_read_a_turn_in_each_round() -> None:
    loop = FakeLoop()
    ada = FakeConnection(loop, "ada", "ada")
    ada.arrive(7.0)
    done = []
    while ada.remaining_ms > 0:
        done.append(ada.remaining_ms)
        loop.run_round()
    assert done == [5.0, 3.0, 1.0]
    assert loop.scheduler.preemptions == {"user": 3}


def test_connections_of_one_user_share_a_turn_and_take_it_one_after_the_other() -> None:
    loop = FakeLoop()
    first, second, third = (FakeConnection(loop, name, "ada", step_ms=2.0) for name in "abc")
    for each in (first, second, third):
        each.arrive(4.0)
    assert loop.order == ["a"]
    for _ in range(5):
        begin = loop.now
        loop.run_round()
        assert loop.now - begin <= 0.0021, "a turn for all three"
    assert loop.order == ["a", "a", "b", "c", "b", "c"]


def test_another_user_reads_at_once_while_one_waits() -> None:
    loop = FakeLoop()
    ada, bob = FakeConnection(loop, "ada", "ada"), FakeConnection(loop, "bob", "bob")
    ada.arrive(100.0)
    assert not ada.budget.is_open
    bob.arrive(1.0)
    assert loop.order[-1] == "bob"
    assert bob.remaining_ms == 0


def test_all_who_wait_read_for_one_round_together_and_each_has_a_turn_in_time() -> None:
    loop = FakeLoop()
    users = [FakeConnection(loop, f"user{n}", f"user{n}") for n in range(10)]
    for user in users:
        user.arrive(8.0)
    begin, loop.order = loop.now, []
    loop.run_round()
    assert loop.now - begin <= 0.0061, "4 ms, and the turn that had begun"
    for _ in range(4):
        loop.run_round()
    assert set(loop.order) == {user.name for user in users}


def test_an_overdrawn_user_reads_nothing_until_the_debt_is_paid_and_another_is_not_affected() -> None:
    loop = FakeLoop()
    ada, bob = FakeConnection(loop, "ada", "ada", step_ms=15.0), FakeConnection(loop, "bob", "bob")
    ada.arrive(30.0)  # a burst of 10 ms is allowed; one step takes 15
    loop.run_round()
    assert ada.budget.is_overdrawn
    assert loop.scheduler.throttles == {"user": 1}
    assert loop.scheduler.count_overdrawn() == {"user": 1.0, "address": 0.0}
    for _ in range(10):
        loop.run_round()
    assert ada.remaining_ms == 15.0
    bob.arrive(1.0)
    assert bob.remaining_ms == 0
    loop.advance(0.04)  # 15 ms were spent and 11.5 earned: 5 ms of debt and 2 for a turn take 70 ms at a tenth
    loop.run_round()
    assert ada.remaining_ms == 15.0
    loop.advance(0.031)
    loop.run_round()
    assert ada.remaining_ms == 0


def test_a_user_who_comes_back_has_what_was_left() -> None:
    loop = FakeLoop()
    ada = FakeConnection(loop, "ada", "ada", step_ms=15.0)
    ada.arrive(15.0)
    loop.run_round()
    loop.scheduler.release(ada.budget, ada)
    again = FakeConnection(loop, "ada", "ada")
    assert again.budget is ada.budget
    assert not again.budget.is_open


def test_a_budget_is_forgotten_when_it_would_be_full_again() -> None:
    loop = FakeLoop()
    ada = FakeConnection(loop, "ada", "ada", step_ms=5.0)
    ada.arrive(5.0)
    loop.scheduler.release(ada.budget, ada)
    loop.advance(0.1)
    bob = FakeConnection(loop, "bob", "bob", step_ms=1.0)
    bob.arrive(1.0)
    loop.scheduler.release(bob.budget, bob)
    assert loop.scheduler.acquire("user", "ada") is not ada.budget


def test_so_many_budgets_without_connections_are_remembered(monkeypatch: Any) -> None:
    monkeypatch.setattr(read_scheduler, "IDLE_BUDGETS_MAX", 3)
    loop = FakeLoop()
    budgets: list[ReadBudget] = []
    for n in range(5):
        user = FakeConnection(loop, f"user{n}", f"user{n}", step_ms=1.0)
        user.arrive(1.0)
        budgets.append(user.budget)
        loop.scheduler.release(user.budget, user)
    assert [loop.scheduler.acquire("user", f"user{n}") is budgets[n] for n in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_without_a_limit_turns_remain() -> None:
    loop = FakeLoop()
    budget = loop.scheduler.acquire("address", "192.0.2.1")
    budget.used_seconds += 1_000.0
    loop.scheduler.on_time_used(budget)
    assert not budget.is_open
    loop.run_round()
    assert budget.is_open
    assert not budget.is_overdrawn


def test_a_connection_that_leaves_does_not_read_any_more() -> None:
    loop = FakeLoop()
    ada = FakeConnection(loop, "ada", "ada")
    ada.arrive(5.0)
    loop.scheduler.release(ada.budget, ada)
    loop.run_round()
    loop.run_round()
    assert ada.remaining_ms == 3.0


def test_a_debt_has_an_end_when_the_process_was_stopped_in_the_middle_of_a_read() -> None:
    loop = FakeLoop()
    ada = FakeConnection(loop, "ada", "ada")
    ada.arrive(1.0)
    loop.now += 3_600.0  # the machine slept, say
    ada.budget.used_seconds += 3_600.0
    loop.run_round()
    assert not ada.budget.is_open
    ada.arrive(1.0)
    loop.advance((read_scheduler.DEBT_SECONDS_MAX + LIMITS.read_slice_ms / 1000) / 0.1)
    loop.run_round()
    assert ada.remaining_ms == 0


def test_a_reader_that_fails_is_closed_and_takes_nothing_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = FakeLoop()
    aborted: list[FakeConnection] = []
    ada, ben, bob = (FakeConnection(loop, name, user) for name, user in (("ada", "a"), ("ben", "a"), ("bob", "b")))

    def fail() -> None:
        raise RuntimeError

    for connection in (ada, ben, bob):
        connection.arrive(3.0)
    monkeypatch.setattr(ada, "run_slice", fail)
    monkeypatch.setattr(FakeConnection, "abort", lambda connection: aborted.append(connection))
    for _ in range(10):
        loop.run_round()
    assert aborted == [ada]
    assert (ben.remaining_ms, bob.remaining_ms) == (0, 0)
