"""Protobuf's JSON mapping, written: message → JSON.

Without white space, fields in the order of their numbers, names in camelCase, 64-bit integers as strings, enums by
name (a number this version does not know stays a number). What has its default value is left out, unless the field
has presence. Plans are made once from each message's descriptor, as for reading (`protojson.reader`).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from json.encoder import encode_basestring
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tidings.contract.protojson.text import UnsupportedFieldError

ValueWriter = Callable[[Any], str]
WritePlan = Mapping[FieldDescriptor, tuple[str, ValueWriter]]
"""For each field its name, quoted and with a colon, and the function that writes its value."""

_PLANS: Final[dict[Descriptor, WritePlan]] = {}

_SCALAR_WRITERS: Final[dict[int, ValueWriter]] = {
    FieldDescriptor.CPPTYPE_STRING: encode_basestring,
    FieldDescriptor.CPPTYPE_BOOL: {True: "true", False: "false"}.__getitem__,
    FieldDescriptor.CPPTYPE_INT32: str,
    FieldDescriptor.CPPTYPE_UINT32: str,
    FieldDescriptor.CPPTYPE_INT64: '"%d"'.__mod__,
    FieldDescriptor.CPPTYPE_UINT64: '"%d"'.__mod__,
}


def write_message(message: Message) -> str:
    """The message as JSON."""
    return _write_message(write_plan(message.DESCRIPTOR), message)  # type: ignore[arg-type]  # upb's own class


def write_parts(message: Message) -> Iterator[str]:
    """The same in parts, one for each element of the message's own lists, so a long reply is encoded in steps."""
    plan = write_plan(message.DESCRIPTOR)  # type: ignore[arg-type]  # upb's own class
    separator = "{"
    for field, value in message.ListFields():
        name, write = plan[field]
        element = field.message_type
        if field.is_repeated and element is not None and not element.GetOptions().map_entry:
            element_plan = write_plan(element)
            yield separator + name + "["
            for index, each in enumerate(value):
                yield ("," if index else "") + _write_message(element_plan, each)
            yield "]"
        else:
            yield separator + name + write(value)
        separator = ","
    yield "}" if separator == "," else "{}"


def write_plan(descriptor: Descriptor) -> WritePlan:
    """The plan of a message type. Raises UnsupportedFieldError."""
    plan = _PLANS.get(descriptor)
    if plan is None:
        # Registered before its fields are known, for recursive messages.
        fields: dict[FieldDescriptor, tuple[str, ValueWriter]] = {}
        plan = _PLANS[descriptor] = fields
        try:
            fields.update({field: (f'"{field.json_name}":', _field_writer(field)) for field in descriptor.fields})
        except UnsupportedFieldError:
            del _PLANS[descriptor]
            raise
    return plan


def _field_writer(field: FieldDescriptor) -> ValueWriter:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        if entry.fields_by_name["key"].cpp_type != FieldDescriptor.CPPTYPE_STRING:
            raise UnsupportedFieldError(f"{field.full_name} is a map by other keys than strings")
        return partial(_write_map, _value_writer(entry.fields_by_name["value"]))
    return partial(_write_list, _value_writer(field)) if field.is_repeated else _value_writer(field)


def _value_writer(field: FieldDescriptor) -> ValueWriter:
    if field.message_type is not None:
        return partial(_write_message, write_plan(field.message_type))
    if field.enum_type is not None:
        # Of several names for one number the first is written.
        names = {value.number: f'"{value.name}"' for value in reversed(field.enum_type.values)}
        return lambda number: names.get(number) or str(number)
    write = _SCALAR_WRITERS.get(field.cpp_type)
    if write is None or field.type == FieldDescriptor.TYPE_BYTES:
        raise UnsupportedFieldError(f"{field.full_name} is of a type without a plan for JSON")
    return write


def _write_message(plan: WritePlan, message: Message) -> str:
    parts = []
    for field, value in message.ListFields():
        name, write = plan[field]
        parts.append(name + write(value))
    return "{" + ",".join(parts) + "}"


def _write_list(write_item: ValueWriter, values: Any) -> str:
    return "[" + ",".join(map(write_item, values)) + "]"


def _write_map(write_value: ValueWriter, values: Any) -> str:
    return "{" + ",".join(f"{encode_basestring(key)}:{write_value(value)}" for key, value in values.items()) + "}"
