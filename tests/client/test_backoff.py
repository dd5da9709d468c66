"""Full jitter."""

import random

from tidings_client.backoff import Backoff, BackoffPolicy


def test_the_delay_is_drawn_evenly_below_a_bound_that_doubles() -> None:
    highest = BackoffPolicy(base_seconds=0.5, cap_seconds=20, draw=lambda: 1.0)
    assert [highest.delay_seconds(attempt) for attempt in range(8)] == [0.5, 1, 2, 4, 8, 16, 20, 20]
    assert BackoffPolicy(draw=lambda: 0.0).delay_seconds(5) == 0


def test_clients_that_lost_the_same_service_come_back_spread_over_the_whole_interval() -> None:
    draw = random.Random(7).random
    delays = [BackoffPolicy(1.0, 20.0, draw).delay_seconds(3) for _ in range(10_000)]
    tenths = [sum(1 for delay in delays if tenth * 0.8 <= delay < (tenth + 1) * 0.8) for tenth in range(10)]
    assert sum(tenths) == len(delays)
    assert min(tenths) > 850


def test_after_very_many_attempts_the_cap_holds() -> None:
    assert BackoffPolicy(draw=lambda: 1.0).delay_seconds(10_000) == 20.0


def test_success_begins_the_count_anew() -> None:
    attempts = Backoff(BackoffPolicy(1.0, 60.0, lambda: 1.0))
    assert [attempts.next_delay_seconds(), attempts.next_delay_seconds()] == [1.0, 2.0]
    attempts.reset()
    assert attempts.next_delay_seconds() == 1.0


def test_what_the_service_asked_for_comes_before_the_jitter() -> None:
    assert Backoff(BackoffPolicy(1.0, 60.0, lambda: 0.5)).next_delay_seconds(min_seconds=3.0) == 3.5
