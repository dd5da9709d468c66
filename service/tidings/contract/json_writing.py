"""Protobuf's JSON mapping, written: message → JSON.

Without white space, fields in the order of their numbers, names in camelCase, 64-bit integers as strings, enums by
name (a number this version does not know stays a number). What has its default value is left out, unless the field
has presence. Plans are made once from each message's descriptor, as for reading (`json_reading`).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from json.encoder import encode_basestring
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tidings.contract.json_reading import NoPlan

Write = Callable[[Any], str]
Plan = Mapping[FieldDescriptor, tuple[str, Write]]
"""For each field its name, quoted and with its colon, and what writes its value."""

_PLANS: Final[dict[Descriptor, Plan]] = {}

_SCALARS: Final[dict[int, Write]] = {
    FieldDescriptor.CPPTYPE_STRING: encode_basestring,
    FieldDescriptor.CPPTYPE_BOOL: {True: "true", False: "false"}.__getitem__,
    FieldDescriptor.CPPTYPE_INT32: str,
    FieldDescriptor.CPPTYPE_UINT32: str,
    FieldDescriptor.CPPTYPE_INT64: '"%d"'.__mod__,
    FieldDescriptor.CPPTYPE_UINT64: '"%d"'.__mod__,
}


def write_message(message: Message) -> str:
    """The message as JSON."""
    return _object(plan_of(message.DESCRIPTOR), message)  # type: ignore[arg-type]  # upb's own class


def write_parts(message: Message) -> Iterator[str]:
    """The same in parts, each element of the message's own lists by itself: so a long answer is written in steps."""
    plan = plan_of(message.DESCRIPTOR)  # type: ignore[arg-type]  # upb's own class
    before = "{"
    for field, value in message.ListFields():
        name, write = plan[field]
        element = field.message_type
        if field.is_repeated and element is not None and not element.GetOptions().map_entry:
            one = plan_of(element)
            yield before + name + "["
            for place, each in enumerate(value):
                yield ("," if place else "") + _object(one, each)
            yield "]"
        else:
            yield before + name + write(value)
        before = ","
    yield "}" if before == "," else "{}"


def plan_of(descriptor: Descriptor) -> Plan:
    """How to write this message. Raises NoPlan."""
    plan = _PLANS.get(descriptor)
    if plan is None:
        # There before its fields are, for a message that holds itself.
        made: dict[FieldDescriptor, tuple[str, Write]] = {}
        plan = _PLANS[descriptor] = made
        try:
            made.update({field: (f'"{field.json_name}":', _field(field)) for field in descriptor.fields})
        except NoPlan:
            del _PLANS[descriptor]
            raise
    return plan


def _field(field: FieldDescriptor) -> Write:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        if entry.fields_by_name["key"].cpp_type != FieldDescriptor.CPPTYPE_STRING:
            raise NoPlan(f"{field.full_name} is a map by other keys than strings")
        return partial(_map, _one(entry.fields_by_name["value"]))
    return partial(_list, _one(field)) if field.is_repeated else _one(field)


def _one(field: FieldDescriptor) -> Write:
    if field.message_type is not None:
        return partial(_object, plan_of(field.message_type))
    if field.enum_type is not None:
        # Of several names for one number the first is written.
        names = {value.number: f'"{value.name}"' for value in reversed(field.enum_type.values)}
        return lambda number: names.get(number) or str(number)
    write = _SCALARS.get(field.cpp_type)
    if write is None or field.type == FieldDescriptor.TYPE_BYTES:
        raise NoPlan(f"{field.full_name} is of a type without a plan for JSON")
    return write


def _object(plan: Plan, message: Message) -> str:
    parts = []
    for field, value in message.ListFields():
        name, write = plan[field]
        parts.append(name + write(value))
    return "{" + ",".join(parts) + "}"


def _list(one: Write, values: Any) -> str:
    return "[" + ",".join(map(one, values)) + "]"


def _map(one: Write, values: Any) -> str:
    return "{" + ",".join(f"{encode_basestring(key)}:{one(value)}" for key, value in values.items()) + "}"
