"""Memory held for one user, in bytes."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.contract.errors import ApiError, Code
from tidings.contract.memory_account import MemoryAccount, MemoryAccounts


def rejection_text(account: MemoryAccount, size: int) -> str:
    with pytest.raises(ApiError) as raised:
        account.reserve(size)
    assert raised.value.code is Code.RESOURCE_EXHAUSTED
    return raised.value.text


def test_beyond_the_limit_nothing_is_held_and_the_error_names_limit_user_and_bytes() -> None:
    account = MemoryAccounts(1_000).get("ada")
    account.reserve(900)
    text = rejection_text(account, 101)
    assert all(word in text for word in ("ada", "900 of 1000", "user_bytes_max", "101"))
    assert account.reserved_bytes == 900
    account.reserve(100)
    account.release(1_000)
    assert account.reserved_bytes == 0


def test_what_waits_for_full_sockets_counts_without_being_told() -> None:
    account = MemoryAccounts(1_000).get("ada")
    account.queue_sizes["phone"] = lambda: 600
    account.queue_sizes["laptop"] = lambda: 300
    rejection_text(account, 101)
    account.check(100)
    with pytest.raises(ApiError, match="user_bytes_max"):
        account.check(101)
    del account.queue_sizes["phone"]
    account.reserve(600)
    assert (account.reserved_bytes, account.queued_bytes) == (600, 300)


def test_what_only_may_be_kept_takes_half_of_the_limit_at_most() -> None:
    account = MemoryAccounts(1_000).get("ada")
    assert account.try_reserve(400)
    assert not account.try_reserve(101)
    assert account.reserved_bytes == 400
    account.queue_sizes["phone"] = lambda: 100
    assert not account.try_reserve(1)


def test_so_many_requests_of_one_user_are_served_at_a_time() -> None:
    account = MemoryAccounts(1_000, requests_max=2).get("ada")
    account.reserve_request(10)
    account.active_requests = 2
    with pytest.raises(ApiError, match="user_requests_max"):
        account.reserve_request(10)
    assert account.reserved_bytes == 10


def test_all_connections_of_a_user_share_an_account_which_goes_with_the_last_of_them() -> None:
    accounts = MemoryAccounts(1_000)
    phone, laptop, other = accounts.get("ada"), accounts.get("ada"), accounts.get("bob")
    assert phone is laptop
    phone.reserve(10)
    assert accounts.reserved_bytes == {"ada": 10, "bob": 0}
    rejection_text(other, 1_001)
    assert accounts.rejections == 1
    del phone, laptop
    gc.collect()
    assert accounts.reserved_bytes == {"bob": 0}


@given(st.lists(st.integers(0, 400)))
def test_an_account_never_holds_more_than_its_limit_and_gives_all_of_it_back(sizes: list[int]) -> None:
    account = MemoryAccounts(1_000).get("ada")
    held = []
    for size in sizes:
        try:
            account.reserve(size)
        except ApiError:
            continue
        held.append(size)
        assert account.reserved_bytes == sum(held) <= 1_000
    for size in held:
        account.release(size)
    assert account.reserved_bytes == 0
