"""JSON is written and read as `google.protobuf.json_format` does it, for random messages of all types."""

import json
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.random_messages import MESSAGE_TYPES, random_messages
from tidings.contract.codecs import JSON
from tidings.contract.errors import ApiError
from tidings.contract.protojson import reader, writer


@pytest.mark.parametrize("message_type", MESSAGE_TYPES, ids=lambda message_type: message_type.DESCRIPTOR.name)
def test_every_message_type_has_a_plan(message_type: type[Message]) -> None:
    descriptor: Any = message_type.DESCRIPTOR
    assert set(reader.read_plan(descriptor)) == {
        name for field in descriptor.fields for name in (field.name, field.json_name)
    }
    assert set(writer.write_plan(descriptor)) == set(descriptor.fields)


@pytest.mark.parametrize("message_type", MESSAGE_TYPES, ids=lambda message_type: message_type.DESCRIPTOR.name)
@settings(max_examples=10)  # of each of the types
@given(data=st.data())
def test_random_messages_are_written_and_read_as_the_library_does_it(
    message_type: type[Message], data: st.DataObject
) -> None:
    message = data.draw(random_messages(message_type))
    ours = JSON.encode(message)
    theirs = json_format.MessageToJson(message, indent=None, ensure_ascii=False)
    assert b"".join(JSON.encode_in_parts(message)) == ours
    assert json.loads(ours) == json.loads(theirs)
    assert list(json.loads(ours)) == list(json.loads(theirs))
    for text in (ours.decode(), theirs, json_format.MessageToJson(message)):
        assert JSON.decode(message_type, text.encode()) == message
    by_proto_names = json_format.MessageToJson(message, preserving_proto_field_name=True, use_integers_for_enums=True)
    assert JSON.decode(message_type, by_proto_names.encode()) == message
    assert json_format.Parse(ours, message_type()) == message


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["OWNER", "CLOSE", "1", "-1", "01", " 1", "1.0", "٤", "4_0"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("message_type", MESSAGE_TYPES, ids=lambda message_type: message_type.DESCRIPTOR.name)
@settings(max_examples=10)  # of each of the types
@given(data=st.data())
def test_what_the_library_refuses_is_refused_and_what_is_taken_is_read_alike(
    message_type: type[Message], data: st.DataObject
) -> None:
    names = [field.json_name for field in message_type.DESCRIPTOR.fields] or ["x"]
    said = data.draw(st.dictionaries(st.sampled_from([*names, "unknown"]), VALUES, max_size=4))
    text = json.dumps(said)
    try:
        ours = JSON.decode(message_type, text.encode())
    except ApiError:
        return
    if "NaN" not in text and "Infinity" not in text:
        theirs = json_format.Parse(json.dumps(exact(said)), message_type(), ignore_unknown_fields=True)
        assert theirs == ours


def exact(value: Any) -> Any:
    """The same with integers as digits. The library takes 5.867715427460447e+16 for the double beside it,
    58677154274604472; the text says 58677154274604470, and so do we."""
    match value:
        case float() if value.is_integer():
            return int(Decimal(repr(value)))
        case dict():
            return {name: exact(inside) for name, inside in value.items()}
        case list():
            return [exact(inside) for inside in value]
    return value
