"""JSON is Protobuf's canonical mapping, written and read exactly."""

import json
import re
from typing import TypeVar

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from tidings.contract import v1
from tidings.contract.codecs import JSON
from tidings.contract.errors import ApiError, Code
from tidings.contract.protojson.text import JSON_DEPTH_MAX, JSON_VALUES_MAX

M = TypeVar("M", bound=Message)
SEQS = f"an integer from 0 to {2**64 - 1}"


def read(message_type: type[M], text: str | bytes) -> M:
    message: M = JSON.decode(message_type, text if isinstance(text, bytes) else text.encode())
    return message


def error_text(message_type: type[Message], text: str | bytes) -> str:
    """What the error says after the name of the message."""
    with pytest.raises(ApiError) as refused:
        read(message_type, text)
    assert refused.value.code is Code.INVALID_ARGUMENT
    head = f"the payload is not a valid JSON {message_type.DESCRIPTOR.name}: "
    assert refused.value.text.startswith(head)
    assert refused.value.text.isprintable()
    assert len(refused.value.text) < 400
    return refused.value.text.removeprefix(head)


# --- what is written --------------------------------------------------------------------------------------------------


def test_json_has_no_white_space_and_leaves_default_values_out() -> None:
    assert JSON.encode(v1.SendReply(cursor=v1.Cursor(epoch="é\n", seq=2**64 - 1), duplicate=True)) == (
        '{"cursor":{"epoch":"é\\n","seq":"18446744073709551615"},"duplicate":true}'.encode()
    )
    assert JSON.encode(v1.SendReply(at_ms=0, duplicate=False)) == b"{}"
    assert JSON.encode(v1.PageRequest(after=0)) == b'{"after":"0"}'
    assert JSON.encode(v1.WatchItem(live=v1.Live())) == b'{"live":{}}'


def test_an_enum_number_that_this_version_does_not_know_is_written_as_a_number() -> None:
    assert JSON.encode(v1.RoomReply(role=77)) == b'{"role":77}'  # type: ignore[arg-type]


# --- what is taken ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("4", 4),
        ('"4"', 4),
        ("4.0", 4),
        ("1e3", 1000),
        ("1E+3", 1000),
        ("1000e-3", 1),
        ("1.5e1", 15),
        ("-0", 0),
        ("-0.0", 0),
        ("0e999999999999999999999999", 0),
        ("18446744073709551615", 2**64 - 1),
        ('"18446744073709551615"', 2**64 - 1),
        ("18446744073709551615.00", 2**64 - 1),
        ("1.8446744073709551615e19", 2**64 - 1),
        ("5.867715427460447e16", 58_677_154_274_604_470),  # no double has this value
        ("null", 0),
    ],
)
def test_an_integer_is_an_integral_number_or_its_digits_in_quotes(text: str, target: int) -> None:
    assert read(v1.DeleteRequest, f'{{"target": {text}}}').target == target


@pytest.mark.parametrize("text", ['"OWNER"', "1", "1.0", "1e0"])
def test_an_enum_is_one_of_its_names_or_numbers(text: str) -> None:
    assert read(v1.JoinRequest, f'{{"role": {text}}}').role == v1.OWNER


def test_null_is_absent_whatever_the_field_is() -> None:
    text = '{"room": null, "after": null, "lag": null}'
    assert read(v1.WatchRequest, text) == v1.WatchRequest()
    assert not read(v1.PageRequest, '{"after": null}').HasField("after")
    assert read(v1.ChannelCommand, '{"send": null, "edit": {"room": "a"}}').WhichOneof("command") == "edit"
    assert read(v1.SendRequest, '{"clientId": null, "client_id": "c"}').client_id == "c"


def test_unknown_fields_are_skipped_whatever_is_in_them() -> None:
    text = '{"room": "a", "colour": [{"deep": [1.5, true, null, "\\ud800", {}]}], "n": %s}' % ("9" * 5000)
    assert read(v1.SendRequest, text) == v1.SendRequest(room="a")


def test_white_space_around_the_object_does_not_matter() -> None:
    assert read(v1.SendRequest, ' \r\n\t{"room":\t"a" } \n').room == "a"


def test_an_empty_object_inside_is_present() -> None:
    assert read(v1.WatchRequest, '{"after": {}}').HasField("after")
    assert read(v1.ChannelItem, '{"done": {}}').WhichOneof("item") == "done"


def test_numbers_of_map_values_are_read_as_those_of_fields() -> None:
    assert dict(read(v1.InfoReply, '{"limits": {"a": "1", "b": 2e0}}').limits) == {"a": 1, "b": 2}


# --- what is refused --------------------------------------------------------------------------------------------------

ROLES = "one of ROLE_UNSPECIFIED, OWNER, MODERATOR, MEMBER, READER"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("true", "true"),
        ("false", "false"),
        ("1.9", "1.9"),
        ('" 1 "', '" 1 "'),
        ('"1"', '"1"'),
        ('"１"', r'"\uff11"'),
        ("77", "77"),
        ("-1", "-1"),
        ("1.0000000000000001", "1.0000000000000001"),
        ('"READR"', '"READR"'),
        ('"reader"', '"reader"'),
        ('"Reader"', '"Reader"'),
        ('" READER"', '" READER"'),
        ('"READER\\n"', r'"READER\n"'),
        ('"OPEN"', '"OPEN"'),
        ('""', '""'),
        ("[]", "a list"),
        ("[1]", "a list"),
        ("{}", "an object"),
        ('"%s"' % ("x" * 1000), '"%s…"' % ("x" * 39)),
    ],
)
def test_what_is_no_value_of_an_enum_is_refused_with_those_that_are(text: str, shown: str) -> None:
    assert error_text(v1.JoinRequest, f'{{"room": "a", "role": {text}}}') == f"role is {shown}; it must be {ROLES}"


@pytest.mark.parametrize(
    ("message_type", "text", "allowed"),
    [
        (v1.WatchRequest, '{"lag": "close"}', "CATCH_UP, LATEST, CLOSE"),
        (v1.ListRequest, '{"scope": "public"}', "MINE, PUBLIC"),
        (v1.CreateRequest, '{"kind": "group"}', "ROOM_KIND_UNSPECIFIED, DIRECT, GROUP, OPEN"),
        (v1.SetPresenceRequest, '{"status": "Away"}', "OFFLINE, ONLINE, AWAY, BUSY, INVISIBLE"),
    ],
)
def test_every_enum_of_a_request_says_what_it_allows(message_type: type[Message], text: str, allowed: str) -> None:
    assert error_text(message_type, text).endswith(f"it must be one of {allowed}")


@pytest.mark.parametrize(
    "text",
    [
        '"4_0"',
        '"+4"',
        '" 4"',
        '"4 "',
        '"4\\n"',
        '"٤"',
        '"４"',
        '"04"',
        '"-0"',
        '"-4"',
        '"4.0"',
        '"4e0"',
        '"1e3"',
        '"0x4"',
        '""',
        '"four"',
        "4.0000000000000001",
        "4.5",
        "4e-1",
        "-1",
        "-1e0",
        "true",
        "false",
        "[4]",
        "{}",
        "18446744073709551616",
        "1e20",
        "1e400",
        "1e999999999999999999999999999999",
        "-1e999999999999999999999999999999",
        "1e-999999999999999999999999999999",
        '"18446744073709551616"',
        "9" * 5000,
        "-" + "9" * 5000,
        '"%s"' % ("9" * 5000),
        "0.%s1" % ("0" * 5000),
    ],
    ids=lambda text: text[:24],
)
def test_what_is_no_integer_of_its_range_is_refused(text: str) -> None:
    said = error_text(v1.DeleteRequest, f'{{"room": "a", "target": {text}}}')
    assert re.fullmatch(rf"target is .{{1,43}}; it must be {SEQS}", said)


@pytest.mark.parametrize(
    ("message_type", "name", "low", "high"),
    [
        (v1.PageRequest, "limit", 0, 2**32 - 1),
        (v1.SendReply, "atMs", -(2**63), 2**63 - 1),
        (v1.Cursor, "seq", 0, 2**64 - 1),
    ],
)
def test_integers_end_where_their_type_ends(message_type: type[Message], name: str, low: int, high: int) -> None:
    for fits in (low, high):
        for text in (f"{fits}", f'"{fits}"', f"{fits}.0"):
            message = read(message_type, f'{{"{name}": {text}}}')
            assert json.loads(JSON.encode(message)).get(name, 0) in (fits, str(fits))
    for beyond in (low - 1, high + 1):
        for text in (f"{beyond}", f'"{beyond}"', f"{beyond}.0"):
            assert f"from {low} to {high}" in error_text(message_type, f'{{"{name}": {text}}}')


@pytest.mark.parametrize("text", ["1", "0", '"true"', '"false"', '""', "[]", "{}", "1.0"])
def test_a_truth_is_true_or_false(text: str) -> None:
    assert error_text(v1.ReactRequest, f'{{"remove": {text}}}').endswith("; it must be true or false")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1", "a number"),
        ("1.5", "a number"),
        ("true", "true or false"),
        ("[]", "a list"),
        ('["secret"]', "a list"),
        ('{"secret": "secret"}', "an object"),
    ],
)
@pytest.mark.parametrize("field", ["room", "text"])
def test_a_string_is_a_string_and_what_came_instead_is_not_repeated(text: str, kind: str, field: str) -> None:
    assert error_text(v1.SendRequest, f'{{"{field}": {text}}}') == f"{field} is {kind}; it must be a string"


@pytest.mark.parametrize("text", [r'"secret \ud800"', r'"\udc00 secret"', r'"\udc00\ud800"'])
def test_a_lone_surrogate_is_refused_and_the_text_not_repeated(text: str) -> None:
    said = error_text(v1.SendRequest, f'{{"text": {text}}}')
    assert said == "text holds half of a surrogate pair; write whole characters"
    assert "members[1] holds half" in error_text(v1.CreateRequest, f'{{"members": ["a", {text}]}}')


@pytest.mark.parametrize(
    ("message_type", "text", "said"),
    [
        (v1.WatchRequest, '{"after": "7"}', 'after is "7"; it must be an object'),
        (v1.WatchRequest, '{"after": []}', "after is a list; it must be an object"),
        (v1.CreateRequest, '{"members": "bob"}', 'members is "bob"; it must be a list'),
        (v1.CreateRequest, '{"members": {"0": "bob"}}', "members is an object; it must be a list"),
        (v1.CreateRequest, '{"members": ["a", null]}', "members[1] is null; it must be a string"),
        (v1.CreateRequest, '{"members": ["a", "b", ["c"]]}', "members[2] is a list; it must be a string"),
        (v1.PageReply, '{"events": [{}, "x"]}', 'events[1] is "x"; it must be an object'),
        (v1.PageReply, '{"events": [{}, {"seq": "x"}]}', f'events[1].seq is "x"; it must be {SEQS}'),
        (v1.InfoReply, '{"limits": []}', "limits is a list; it must be an object"),
        (v1.InfoReply, '{"limits": {"a": -1}}', f'limits["a"] is -1; it must be {SEQS}'),
        (v1.ChannelCommand, '{"open": {"after": {"seq": true}}}', f"open.after.seq is true; it must be {SEQS}"),
        (
            v1.ChannelCommand,
            '{"open": {"lag": "close"}}',
            'open.lag is "close"; it must be one of CATCH_UP, LATEST, CLOSE',
        ),
    ],
)
def test_an_error_names_the_way_to_the_field(message_type: type[Message], text: str, said: str) -> None:
    assert error_text(message_type, text) == said


@pytest.mark.parametrize(
    ("message_type", "text", "said"),
    [
        (v1.SendRequest, '{"room": "a", "room": "a"}', 'it has "room" twice in one object'),
        (v1.SendRequest, '{"x": {"y": 1, "z": 2, "y": 1}}', 'it has "y" twice in one object'),
        (v1.SendRequest, '{"clientId": "a", "client_id": "a"}', "it has clientId and client_id, which are one field"),
        (
            v1.ChannelCommand,
            '{"send": {"client_id": "a", "clientId": "b"}}',
            "send has client_id and clientId, which are one field",
        ),
        (v1.ChannelCommand, '{"ref": 1, "send": {}, "edit": {}}', "it has send and edit, of which there can be one"),
    ],
)
def test_what_is_given_twice_is_refused(message_type: type[Message], text: str, said: str) -> None:
    assert error_text(message_type, text).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "it is not an object"),
        ('"a"', "it is not an object"),
        ("null", "it is not an object"),
        ("7", "it is not an object"),
        (" ", "it is not an object"),
        ("\ufeff{}", "it begins with a byte order mark; leave it out"),
        ("{", "it is not JSON from character 2 on"),
        ('{"a"}', "it is not JSON from character 5 on"),
        ('{"a": }', "it is not JSON from character 7 on"),
        ('{"a": 1,}', "it is not JSON from character 9 on"),
        ('{"a": 01}', "it is not JSON from character 8 on"),
        ('{"a": .5}', "it is not JSON from character 7 on"),
        ('{"a": +5}', "it is not JSON from character 7 on"),
        ("{'a': 1}", "it is not JSON from character 2 on"),
        ('{"a": "\n"}', "it is not JSON from character 8 on"),
        (r'{"a": "\x"}', "it is not JSON from character 8 on"),
        ('{"a": "b', "it is not JSON from character 7 on"),
        ('{"a": 1} x', "it goes on after the object, at character 9; send one object"),
        ("{}{}", "it goes on after the object, at character 3; send one object"),
        ("{}\x00", "it goes on after the object, at character 3; send one object"),
        ("\x00{}", "it is not an object"),
        ("\u00a0{}", "it is not an object"),
        ('{"replyTo": NaN}', "it has NaN, which is no JSON"),
        ('{"unknown": Infinity}', "it has Infinity, which is no JSON"),
        ('{"unknown": [-Infinity]}', "it has -Infinity, which is no JSON"),
        (b'{"room": "\xff"}', "it is not UTF-8 from byte 10 on"),
        (b'{"room": "\xed\xa0\x80"}', "it is not UTF-8 from byte 10 on"),
        ("{}".encode("utf-16"), "it is not UTF-8 from byte 0 on"),
    ],
)
def test_what_is_no_json_object_is_refused_in_our_words(text: str | bytes, said: str) -> None:
    assert error_text(v1.SendRequest, text) == said


# --- bounded work -----------------------------------------------------------------------------------------------------


def test_nesting_is_bounded_also_in_unknown_fields() -> None:
    def nested(levels: int) -> str:
        return '{"x": ' + "[" * (levels - 1) + "]" * (levels - 1) + "}"

    assert read(v1.PingRequest, nested(JSON_DEPTH_MAX)) == v1.PingRequest()
    said = f"it is nested more than {JSON_DEPTH_MAX} deep"
    assert error_text(v1.PingRequest, nested(JSON_DEPTH_MAX + 1)) == said
    assert error_text(v1.PingRequest, '{"a":' * 900) == said
    assert error_text(v1.PingRequest, '{"a": "\\\\", "b": ' + "[" * 200) == said


@pytest.mark.parametrize("many", ["1", '"a"', "{}", "[]", '{"a": {"b": []}}', r'"\"\\"'])
def test_very_many_values_are_refused_before_they_are_made(many: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.contract.protojson.text._scan", None)
    text = f'{{"room": "general", "members": [{",".join([many] * 50_000)}]}}'
    assert error_text(v1.CreateRequest, text) == f"it has more than {JSON_VALUES_MAX:,} values; ask in several requests"


def test_the_limit_of_values_leaves_room_for_a_thousand_names_and_counts_nothing_in_strings() -> None:
    names = [f"user-{number}" for number in range(1_000)]
    assert list(read(v1.CreateRequest, json.dumps({"members": names})).members) == names
    text = ',[{"' * 20_000 + "\\"
    assert read(v1.SendRequest, json.dumps({"text": text, "room": "a"})) == v1.SendRequest(room="a", text=text)


def test_an_answer_has_as_many_values_as_it_has() -> None:
    page = v1.PageReply(events=[v1.Event(seq=seq, posted=v1.Posted(text="a")) for seq in range(5_000)])
    assert JSON.decode_reply(v1.PageReply, JSON.encode(page)) == page
    with pytest.raises(ApiError, match="nested more than"):
        JSON.decode_reply(v1.PageReply, b'{"a":' * 5_000)


def test_more_closing_brackets_than_opening_ones_are_refused() -> None:
    assert "more brackets are closed" in error_text(v1.PingRequest, '{"a": [' + "1," * 200 + "]" * 300_000)


@given(st.text(alphabet='{}[]",:\\ua10.eE-+ tfn', max_size=60))
def test_text_of_jsons_own_characters_is_read_as_the_library_reads_it_or_refused(text: str) -> None:
    try:
        read(v1.ChannelCommand, text or "{}")
    except ApiError as refused:
        assert refused.code is Code.INVALID_ARGUMENT
    else:
        assert isinstance(json.loads(text or "{}"), dict)
