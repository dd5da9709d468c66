"""The tables of transitions say what they must, and nothing is missing from them."""

import itertools

from tidings.rsocket import FrameType, Interaction, State
from tidings.rsocket.connection import Connection
from tidings.rsocket.states import BEGIN, CONNECTION, HALVES, KEEP, Event, Side, Verb


def test_every_interaction_begins_on_both_sides() -> None:
    assert set(BEGIN) == set(itertools.product(Side, Interaction))


def test_every_event_is_known_on_both_sides() -> None:
    assert set(KEEP) == set(itertools.product(Side, Event))


def test_halves_only_ever_close() -> None:
    for keep, halves in itertools.product(KEEP.values(), range(HALVES + 1)):
        assert keep & halves & ~halves == 0
        assert not keep & ~HALVES


def test_both_sides_agree_on_which_halves_are_open() -> None:
    """Our sending half is the peer's receiving half: what one side begins or keeps, the other mirrors."""
    mirror = {0: 0, 1: 2, 2: 1, 3: 3}
    for interaction in Interaction:
        asking, answering = BEGIN[Side.REQUESTER, interaction], BEGIN[Side.RESPONDER, interaction]
        assert mirror[asking & HALVES] == answering & HALVES
    for sent, received in ((Event.COMPLETE_SENT, Event.COMPLETE_RECEIVED), (Event.CANCEL_SENT, Event.CANCEL_RECEIVED)):
        assert mirror[KEEP[Side.REQUESTER, sent]] == KEEP[Side.RESPONDER, received]
        assert mirror[KEEP[Side.RESPONDER, sent]] == KEEP[Side.REQUESTER, received]


def test_every_state_has_a_function_for_every_number() -> None:
    assert set(CONNECTION) == set(State)
    assert {len(Connection.HANDLERS[state]) for state in State} == {64}


def test_nothing_but_setup_and_resume_is_read_first() -> None:
    assert set(CONNECTION[State.FIRST].verbs) == {FrameType.SETUP, FrameType.RESUME}


def test_nothing_is_served_before_the_application_has_accepted() -> None:
    served = {Verb.RESPONSE, Verb.FORGET, Verb.STREAM, Verb.CHANNEL, Verb.PUSH, Verb.CREDIT, Verb.CANCEL, Verb.PAYLOAD}
    assert not served & set(CONNECTION[State.ADMITTING].verbs.values())


def test_setup_is_read_in_one_state_only() -> None:
    assert [state for state in State if Verb.SETUP in CONNECTION[state].verbs.values()] == [State.FIRST]


def test_nothing_is_read_when_closed() -> None:
    assert (dict(CONNECTION[State.CLOSED].verbs), CONNECTION[State.CLOSED].otherwise) == ({}, Verb.SKIP)
