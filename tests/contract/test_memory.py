"""What one user makes the service hold, in bytes."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.contract.errors import Code, Failure
from tidings.contract.memory import Account, Accounts


def refused(account: Account, size: int) -> str:
    with pytest.raises(Failure) as raised:
        account.hold(size)
    assert raised.value.code is Code.RESOURCE_EXHAUSTED
    return raised.value.text


def test_beyond_the_limit_nothing_is_held_and_the_error_names_limit_user_and_bytes() -> None:
    account = Accounts(1_000).of("ada")
    account.hold(900)
    text = refused(account, 101)
    assert all(word in text for word in ("ada", "900 of 1000", "user_bytes_max", "101"))
    assert account.held == 900
    account.hold(100)
    account.release(1_000)
    assert account.held == 0


def test_what_waits_for_full_sockets_counts_without_being_told() -> None:
    account = Accounts(1_000).of("ada")
    account.queues["phone"] = lambda: 600
    account.queues["laptop"] = lambda: 300
    refused(account, 101)
    account.check(100)
    with pytest.raises(Failure, match="user_bytes_max"):
        account.check(101)
    del account.queues["phone"]
    account.hold(600)
    assert (account.held, account.queued) == (600, 300)


def test_what_only_may_be_kept_takes_half_of_the_limit_at_most() -> None:
    account = Accounts(1_000).of("ada")
    assert account.keep(400)
    assert not account.keep(101)
    assert account.held == 400
    account.queues["phone"] = lambda: 100
    assert not account.keep(1)


def test_so_many_requests_of_one_user_are_served_at_a_time() -> None:
    account = Accounts(1_000, requests_max=2).of("ada")
    account.begin(10)
    account.requests = 2
    with pytest.raises(Failure, match="user_requests_max"):
        account.begin(10)
    assert account.held == 10


def test_all_connections_of_a_user_share_an_account_which_goes_with_the_last_of_them() -> None:
    accounts = Accounts(1_000)
    phone, laptop, other = accounts.of("ada"), accounts.of("ada"), accounts.of("bob")
    assert phone is laptop
    phone.hold(10)
    assert accounts.held == {"ada": 10, "bob": 0}
    refused(other, 1_001)
    assert accounts.refusals == 1
    del phone, laptop
    gc.collect()
    assert accounts.held == {"bob": 0}


@given(st.lists(st.integers(0, 400)))
def test_an_account_never_holds_more_than_its_limit_and_gives_all_of_it_back(sizes: list[int]) -> None:
    account = Accounts(1_000).of("ada")
    held = []
    for size in sizes:
        try:
            account.hold(size)
        except Failure:
            continue
        held.append(size)
        assert account.held == sum(held) <= 1_000
    for size in held:
        account.release(size)
    assert account.held == 0
