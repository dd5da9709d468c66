"""Sockets that take nothing, and those that are only slow."""

from tidings.server.write_stall import WriteStallTimer


def test_socket_that_takes_nothing_is_given_up_when_patience_ends() -> None:
    stall = WriteStallTimer(10.0, 500)
    assert stall.deadline(5.0) == 15.0
    assert not stall.has_expired(14.9, 500, 5.0)
    assert stall.has_expired(15.0, 500, 5.0)


def test_socket_that_took_something_gets_its_time_anew() -> None:
    stall = WriteStallTimer(10.0, 500)
    assert not stall.has_expired(15.0, 499, 5.0)
    assert stall.deadline(5.0) == 20.0
    assert stall.has_expired(20.0, 499, 5.0)


def test_more_bytes_are_no_progress() -> None:
    assert WriteStallTimer(10.0, 500).has_expired(15.0, 600, 5.0)
