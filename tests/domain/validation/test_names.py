"""Names of users and rooms, and users of identity providers that call them by something else."""

import contextlib
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.harness import DomainHarness, raises_error
from tidings.contract import v1
from tidings.contract.errors import ApiError, Code
from tidings.contract.user_ids import user_to_subject
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.validation.validator import Validator
from tidings.stores.memory.store import MemoryStore

RULES = Validator(DomainLimits())
LONG = Validator(DomainLimits(id_bytes_max=4_096))
INVALID = Code.INVALID_ARGUMENT
EDGE_CASE_CHARS = "aA=7c20 |\\\u0430\u0301\u00e9\uff21山\u0e4d\u0e32\u0e33"
subjects = st.text(max_size=40) | st.text(st.sampled_from(EDGE_CASE_CHARS), max_size=12)


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["\u00b5", "\u03bc"], "\u03bc"),  # µ, the sign of micro
        (["\u0149goro", "\u02bcngoro"], "\u02bcngoro"),
        (["\ufee3\ufeae\ufea3\ufe92\ufe8e", "\u0645\u0631\u062d\u0628\u0627"], "\u0645\u0631\u062d\u0628\u0627"),
        (["\uff83\uff7d\uff84", "テスト"], "テスト"),
        (["cafe\u0301", "caf\u00e9"], "caf\u00e9"),
        (["\uf900", "\u8c48"], "\u8c48"),
    ],
)
def test_names_that_differ_in_the_shape_of_letters_only_are_one(names: list[str], kept: str) -> None:
    assert {RULES.user(name) for name in names} == {kept}
    assert {RULES.room(name) for name in names} == {kept}


@pytest.mark.parametrize("name", ["น้ำ", "ນ້ຳ", "ໜູ", "Սևակ", "ışık", "Ẹ̀kọ́", "Nguyễn", "སྒྲུབ", "ǃNami", "Hawaiʻi", "ทีม๕"])
def test_a_name_is_kept_as_its_language_writes_it(name: str) -> None:
    assert RULES.user(name) == name
    assert RULES.user_from_subject(name) == name


@given(subjects)
def test_each_subject_has_a_user_name_of_its_own_that_is_a_name_and_can_be_read_back(subject: str) -> None:
    try:
        user = LONG.user_from_subject(subject)
    except ApiError as failure:
        assert not subject or "half a surrogate pair" in failure.text
        return
    assert user_to_subject(user) == subject
    assert LONG.user(user) == user
    assert LONG.user_from_subject(user) == user or "=" in user


@given(subjects)
def test_a_subject_that_is_a_name_stays_as_it_is(subject: str) -> None:
    try:
        kept = LONG.user(subject)
    except ApiError:
        return
    if kept == subject and "=" not in subject:
        assert LONG.user_from_subject(subject) == subject


@pytest.mark.parametrize(
    "name", ["a=", "a=7", "a=7C", "a=zz", "=41da", "a=20=20b=", "a=ffb", "x=3", "\u0430=20a\u0501b"]
)
def test_a_user_name_has_no_escape_that_no_subject_has(name: str) -> None:
    with raises_error(INVALID, "has a = that is not followed by the two hexadecimal digits"):
        RULES.user(name)


@pytest.mark.parametrize("user", ["a=", "a=7", "a=7C", "a=zz", "a=ff", "a=c3"])
def test_what_is_no_users_name_has_no_subject(user: str) -> None:
    with pytest.raises(ValueError):
        user_to_subject(user)


def test_a_room_has_escapes_only_as_the_room_of_two_users() -> None:
    assert RULES.room("direct:Ada=20Lovelace:bob") == "direct:Ada=20Lovelace:bob"
    for wrong in ("a=20b", "direct:a=41:bob", "direct:a=:bob"):
        with raises_error(INVALID):
            RULES.room(wrong)


@pytest.mark.parametrize("name", ["direct:a:b", "Direct:a:b", "DIRECT:x", "d\u0131rect:a:b"])
def test_names_that_read_as_those_of_direct_rooms_cannot_be_given(name: str) -> None:
    with raises_error(INVALID, "names beginning with direct: and group: are given by the service"):
        RULES.new_room(name)


@pytest.mark.parametrize(
    "name", ["direct\u02d0a", "direct\uff1aa", "di\u0307rect:a", "d\u0456rect:a", "\ua731tate", "d\u026arect:a"]
)
def test_names_that_imitate_them_in_other_letters_are_no_names(name: str) -> None:
    with raises_error(INVALID):
        RULES.room(name)


def test_a_new_room_is_in_lower_case_and_an_older_one_can_still_be_reached() -> None:
    assert RULES.new_room("general") == "general"
    assert RULES.new_room("straße-群聊") == "straße-群聊"
    assert RULES.room("General") == "General"
    for name in ("General", "ЧАТ", "teamA"):
        with raises_error(INVALID, "write it in lower case, and as you like in the title"):
            RULES.new_room(name)


LEGACY_NAMES = ("ﾃｽﾄ", "r\u0261oom", "admi\u0307n", "direct:ada:\u0261uy", "\u0261uy")


@pytest.mark.parametrize("name", LEGACY_NAMES)
def test_rooms_and_users_from_before_stay_as_they_are_and_new_ones_keep_to_the_rules(name: str) -> None:
    rules = Validator(DomainLimits(), LEGACY_NAMES)
    assert (rules.room(name), rules.user(name), rules.user_from_subject(name)) == (name, name, name)
    assert RULES.user_from_subject(name) != name
    with contextlib.suppress(ApiError):
        assert rules.new_room(name) != name


@pytest.mark.asyncio
async def test_services_accept_the_legacy_names_of_their_store() -> None:
    class LegacyStore(MemoryStore):
        def legacy_names(self) -> Collection[str]:
            return LEGACY_NAMES

    harness = DomainHarness(LegacyStore())
    await harness.store.create_room("ﾃｽﾄ", kind=v1.GROUP, title="", creator="ada", members=["\u0261uy"], at_ms=0)
    (ada,) = harness.connect_all("ada")
    assert await ada.send(room="ﾃｽﾄ")
    reader = await ada.watch("presence.watch", v1.PresenceWatchRequest(users=["ada", "\u0261uy"]))
    assert not reader.errors
    await ada.leave_room("ﾃｽﾄ", user="\u0261uy")
    await ada.leave_room("ﾃｽﾄ")


def test_the_names_in_the_room_of_a_user_with_escapes_are_in_their_one_form() -> None:
    assert RULES.room("group:Ada=20Lovelace:ﾃｽﾄ") == "group:Ada=20Lovelace:テスト"


def test_users_whose_names_differ_in_case_are_two_since_subjects_are() -> None:
    assert (RULES.user_from_subject("ada"), RULES.user_from_subject("ADA")) == ("ada", "ADA")


@pytest.mark.asyncio
async def test_a_user_with_escapes_is_one_as_any_other() -> None:
    harness = DomainHarness()
    lovelace, bob = harness.connect_all("Ada=20Lovelace", "bob")
    room = (await lovelace.create_room("", v1.DIRECT, "bob")).room.room
    assert room == "direct:Ada=20Lovelace:bob"
    await bob.send(room=room)
    await bob.create_room("den", v1.GROUP, "Ada=20Lovelace")
    await lovelace.send(room="den")
    with raises_error(INVALID, "in lower case"):
        await bob.create_room("Den", v1.OPEN)
    with raises_error(INVALID, "are given by the service"):
        await bob.create_room("Direct:a:b", v1.OPEN)
