"""Names that the service makes."""

from hypothesis import given
from hypothesis import strategies as st

from tidings.domain.limits.limits import DomainLimits
from tidings.domain.rooms.room_names import direct_room_name, group_room_name, new_room_name
from tidings.domain.validation.validator import Validator

RULES = Validator(DomainLimits())
USERS = st.text("ab:.", min_size=1, max_size=64) | st.text("群é", min_size=1, max_size=21)


@given(USERS, USERS)
def test_a_direct_rooms_name_is_the_same_from_either_side_and_a_name(one: str, other: str) -> None:
    name = direct_room_name(one, other, 64)
    assert name == direct_room_name(other, one, 64)
    assert RULES.room(name) == name


@given(USERS, USERS, USERS, USERS)
def test_other_people_have_another_room(a: str, b: str, c: str, d: str) -> None:
    if {a, b} != {c, d}:
        assert direct_room_name(a, b, 64) != direct_room_name(c, d, 64)


def test_short_names_can_be_read_in_the_rooms_name_and_those_with_a_colon_are_not_mistaken() -> None:
    assert direct_room_name("bob", "alice", 64) == "direct:alice:bob"
    assert direct_room_name("a:b", "c", 64) != direct_room_name("a", "b:c", 64)
    assert direct_room_name("x" * 64, "y" * 64, 64).count(":") == 1


@given(USERS, USERS, USERS, USERS)
def test_a_groups_name_is_a_name_and_no_one_elses(a: str, one: str, b: str, other: str) -> None:
    name = group_room_name(a, one, 64)
    assert RULES.room(name) == name
    assert (name == group_room_name(b, other, 64)) == ((a, one) == (b, other))
    assert not name.startswith("direct:")


def test_a_new_name_is_new_and_a_name() -> None:
    names = {new_room_name() for _ in range(100)}
    assert len(names) == 100
    assert {RULES.room(name) for name in names} == names
