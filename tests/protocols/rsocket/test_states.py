"""The tables of transitions say what they must, and nothing is missing from them."""

import itertools

from tidings.protocols.rsocket import ConnectionState, FrameType, Interaction
from tidings.protocols.rsocket.connection import Connection
from tidings.protocols.rsocket.states import (
    CONNECTION_STATES,
    HALVES,
    HALVES_AFTER,
    INITIAL_HALVES,
    FrameAction,
    HalfTransition,
    Side,
)


def test_every_interaction_begins_on_both_sides() -> None:
    assert set(INITIAL_HALVES) == set(itertools.product(Side, Interaction))


def test_every_event_is_known_on_both_sides() -> None:
    assert set(HALVES_AFTER) == set(itertools.product(Side, HalfTransition))


def test_halves_only_ever_close() -> None:
    for keep, halves in itertools.product(HALVES_AFTER.values(), range(HALVES + 1)):
        assert keep & halves & ~halves == 0
        assert not keep & ~HALVES


def test_both_sides_agree_on_which_halves_are_open() -> None:
    """Our sending half is the peer's receiving half: what one side begins or keeps, the other mirrors."""
    mirror = {0: 0, 1: 2, 2: 1, 3: 3}
    for interaction in Interaction:
        asking, answering = INITIAL_HALVES[Side.REQUESTER, interaction], INITIAL_HALVES[Side.RESPONDER, interaction]
        assert mirror[asking & HALVES] == answering & HALVES
    for sent, received in (
        (HalfTransition.COMPLETE_SENT, HalfTransition.COMPLETE_RECEIVED),
        (HalfTransition.CANCEL_SENT, HalfTransition.CANCEL_RECEIVED),
    ):
        assert mirror[HALVES_AFTER[Side.REQUESTER, sent]] == HALVES_AFTER[Side.RESPONDER, received]
        assert mirror[HALVES_AFTER[Side.RESPONDER, sent]] == HALVES_AFTER[Side.REQUESTER, received]


def test_every_state_has_a_function_for_every_number() -> None:
    assert set(CONNECTION_STATES) == set(ConnectionState)
    assert {len(Connection.HANDLERS[state]) for state in ConnectionState} == {64}


def test_nothing_but_setup_and_resume_is_read_first() -> None:
    assert set(CONNECTION_STATES[ConnectionState.EXPECT_SETUP].actions) == {FrameType.SETUP, FrameType.RESUME}


def test_nothing_is_served_before_the_application_has_accepted() -> None:
    served = {
        FrameAction.REQUEST_RESPONSE,
        FrameAction.FIRE_AND_FORGET,
        FrameAction.REQUEST_STREAM,
        FrameAction.REQUEST_CHANNEL,
        FrameAction.METADATA_PUSH,
        FrameAction.REQUEST_N,
        FrameAction.CANCEL,
        FrameAction.PAYLOAD,
    }
    assert not served & set(CONNECTION_STATES[ConnectionState.AUTHENTICATING].actions.values())


def test_setup_is_read_in_one_state_only() -> None:
    assert [state for state in ConnectionState if FrameAction.SETUP in CONNECTION_STATES[state].actions.values()] == [
        ConnectionState.EXPECT_SETUP
    ]


def test_nothing_is_read_when_closed() -> None:
    assert (
        dict(CONNECTION_STATES[ConnectionState.CLOSED].actions),
        CONNECTION_STATES[ConnectionState.CLOSED].default,
    ) == ({}, FrameAction.IGNORE)
