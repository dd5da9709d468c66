"""All message types of the contract, and random messages of each."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from tidings.contract import methods
from tidings.contract.gen.tidings.v1 import errors_pb2, log_pb2, options_pb2
from tidings.contract.protojson.reader import INTEGER_RANGES


def _types() -> Iterator[type[Message]]:
    for file in (*methods.PROTO_FILES, log_pb2, errors_pb2, options_pb2):
        for descriptor in file.DESCRIPTOR.message_types_by_name.values():
            yield GetMessageClass(descriptor)


MESSAGE_TYPES: Final = tuple(_types())

TEXTS: Final = st.text(max_size=12)


@cache
def random_messages(message_type: type[Message]) -> st.SearchStrategy[Message]:
    """Random messages of the type, each with some of its fields."""
    return _members(message_type.DESCRIPTOR).map(lambda members: message_type(**members))  # type: ignore[arg-type]


@cache
def _members(descriptor: Descriptor) -> st.SearchStrategy[dict[str, Any]]:
    """What a message of this type is made of; at most one field of a oneof."""
    fields = {field.name: _field(field) for field in descriptor.fields}

    @st.composite
    def members(draw: st.DrawFn) -> dict[str, Any]:
        chosen = draw(st.lists(st.sampled_from(sorted(fields)), unique=True)) if fields else []
        choices: dict[str, str] = {}
        for name in chosen:
            choice = descriptor.fields_by_name[name].containing_oneof
            choices[choice.name if choice else name] = name
        return {name: draw(fields[name]) for name in choices.values()}

    return members()


def _field(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        return st.dictionaries(TEXTS, _single_value(entry.fields_by_name["value"]), max_size=3)
    return st.lists(_single_value(field), max_size=3) if field.is_repeated else _single_value(field)


def _single_value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return _members(field.message_type)
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type in INTEGER_RANGES:
        least, most = INTEGER_RANGES[field.cpp_type]
        return st.sampled_from([least, most, 0]) | st.integers(least, most)
    assert field.type == FieldDescriptor.TYPE_STRING, f"say how to make values of {field.full_name}"
    return TEXTS
