"""Protobuf's JSON mapping, read exactly: JSON → message.

A plan is made once from each message's descriptor: for each name (`clientId` and `client_id`) how its field is set. A
field accepts values by their class, so `true` is not a number and `1` is not a bool:

    string     a string that is valid Unicode
    bool       true, false
    integer    an integer in the field's range; `1e3` and `4.0` are integers; or its digits in quotes as Protobuf
               writes them, without sign, space, leading zero, fraction or exponent
    enum       a name of the enum; or the number of one, as a JSON number
    message, map, repeated    an object, an object, a list

Unknown fields are skipped, and so is null, which means absent. A field that is given twice, or beside another one of
its oneof, is rejected. Types that the contract does not use (bytes, fractions, wrappers) have no plan.

The invariant: a value is either read exactly, or the request is rejected with the path of the field.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from tidings.contract.protojson.text import (
    INTEGER_DIGITS_MAX,
    JSON_VALUES_MAX,
    JsonError,
    NumberText,
    UnsupportedFieldError,
    parse_object,
    preview,
)

INTEGER_RANGES: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}

Converters = Mapping[type, Callable[[Any], Any] | None]
"""The class of a value → its conversion, None if it needs none. KeyError and ValueError reject the value."""


class FieldPlan(NamedTuple):
    """How one field is read. `assign` sets fields that are no scalars; `expected` describes valid values in errors."""

    presence_bits: int  # its own, and that of its oneof
    attribute: str
    converters: Converters
    assign: Callable[[Message, Any], None] | None
    expected: str


MessagePlan = Mapping[str, FieldPlan]

_PLANS: Final[dict[Descriptor, MessagePlan]] = {}


def read_message(message: Message, data: bytes, *, values_max: int = JSON_VALUES_MAX) -> None:
    """Set the fields from JSON. Raises JsonError for invalid JSON and for values that the message cannot hold."""
    _fill_message(read_plan(message.DESCRIPTOR), parse_object(data, values_max=values_max), message)  # type: ignore[arg-type]  # upb's own class


def read_plan(descriptor: Descriptor) -> MessagePlan:
    """The plan of a message type. Raises UnsupportedFieldError."""
    plan = _PLANS.get(descriptor)
    if plan is None:
        # Registered before its fields are known, for recursive messages.
        fields: dict[str, FieldPlan] = {}
        plan = _PLANS[descriptor] = fields
        try:
            fields.update(_field_plans(descriptor))
        except UnsupportedFieldError:
            del _PLANS[descriptor]
            raise
    return plan


def _fill_message(plan: MessagePlan, members: dict[str, Any], message: Message) -> None:
    seen_bits = 0
    for name, value in members.items():
        field = plan.get(name)
        if field is None or value is None:
            continue
        presence_bits, attribute, converters, assign, _ = field
        if seen_bits & presence_bits:
            raise _duplicate_error(plan, members, name)
        seen_bits |= presence_bits
        try:
            convert = converters[value.__class__]
            if assign is not None:
                assign(message, value)
            else:
                setattr(message, attribute, value if convert is None else convert(value))
        except JsonError as error:
            raise error.within(name) from None
        except (KeyError, ValueError):
            raise _value_error(field, value, name) from None


def _duplicate_error(plan: MessagePlan, members: dict[str, Any], name: str) -> JsonError:
    field = plan[name]
    other = next(
        n for n, v in members.items() if v is not None and n in plan and plan[n].presence_bits & field.presence_bits
    )
    if plan[other].attribute == field.attribute:
        return JsonError(f"has {other} and {name}, which are one field; give it once")
    return JsonError(f"has {other} and {name}, of which there can be one; give one")


def _value_error(field: FieldPlan, value: Any, path: str) -> JsonError:
    if str not in field.converters or field.converters[str] is not None:
        return JsonError(f"is {preview(value)}; it must be {field.expected}", path)
    # A string field: the error does not repeat the value, which may be a message's text.
    if type(value) is str:
        return JsonError("holds half of a surrogate pair; write whole characters", path)
    return JsonError(f"is {_type_name(value)}; it must be {field.expected}", path)


def _type_name(value: Any) -> str:
    return {bool: "true or false", dict: "an object", list: "a list", type(None): "null"}.get(type(value), "a number")


# --- plans ------------------------------------------------------------------------------------------------------------


def _field_plans(descriptor: Descriptor) -> dict[str, FieldPlan]:
    fields: dict[str, FieldPlan] = {}
    oneofs = {oneof.name: 1 << len(descriptor.fields) + place for place, oneof in enumerate(descriptor.oneofs)}
    for index, field in enumerate(descriptor.fields):
        presence_bits = 1 << index
        if field.containing_oneof is not None:
            presence_bits |= oneofs[field.containing_oneof.name]
        fields[field.json_name] = fields[field.name] = _field_plan(field)._replace(presence_bits=presence_bits)
    return fields


def _field_plan(field: FieldDescriptor) -> FieldPlan:
    name, entry = field.name, field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        if entry.fields_by_name["key"].cpp_type != FieldDescriptor.CPPTYPE_STRING:
            raise UnsupportedFieldError(f"{field.full_name} is a map by other keys than strings")
        value = _singular_plan(entry.fields_by_name["value"])
        if value.assign is not None:
            raise UnsupportedFieldError(f"{field.full_name} is a map to messages")
        return FieldPlan(0, name, {dict: None}, partial(_assign_map, name, value), "an object")
    if field.is_repeated:
        assign = (
            partial(_assign_scalars, name, _singular_plan(field))
            if entry is None
            else partial(_assign_messages, name, read_plan(entry))
        )
        return FieldPlan(0, name, {list: None}, assign, "a list")
    return _singular_plan(field)


def _singular_plan(field: FieldDescriptor) -> FieldPlan:
    """The plan of a single value of a field."""
    cpp_type, enum = field.cpp_type, field.enum_type
    converters: Converters
    assign = None
    if field.message_type is not None:
        converters, expected = {dict: None}, "an object"
        assign = partial(_assign_message, field.name, read_plan(field.message_type))
    elif field.type == FieldDescriptor.TYPE_STRING:
        converters, expected = {str: None}, "a string"
    elif cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        converters, expected = {bool: None}, "true or false"
    elif enum is not None:
        converters, expected = _enum_converters(enum)
    elif cpp_type in INTEGER_RANGES:
        minimum, maximum = INTEGER_RANGES[cpp_type]
        converters, expected = (
            {int: None, str: _parse_decimal, NumberText: _exact_integer},
            f"an integer from {minimum} to {maximum}",
        )
    else:
        raise UnsupportedFieldError(f"{field.full_name} is of a type without a plan for JSON")
    return FieldPlan(0, field.name, converters, assign, expected)


def _enum_converters(enum: EnumDescriptor) -> tuple[Converters, str]:
    numbers = {value.number: value.number for value in enum.values}
    names = {value.name: value.number for value in enum.values}
    converters: Converters = {
        str: names.__getitem__,
        int: numbers.__getitem__,
        NumberText: lambda number: numbers[_exact_integer(number)],
    }
    return converters, f"one of {', '.join(names)}"


# --- values -----------------------------------------------------------------------------------------------------------

# The range is checked when the field is set.
_DIGITS: Final = re.compile(f"0|-?[1-9][0-9]{{0,{INTEGER_DIGITS_MAX - 1}}}")
_NUMBER: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")


def _parse_decimal(text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise ValueError("not as Protobuf writes an integer")
    return int(text)


def _exact_integer(number: NumberText) -> int:
    """The exact integer of a number. Raises ValueError if it is none or has more digits than any field."""
    parts = _NUMBER.fullmatch(number)
    assert parts is not None
    sign, integer_part, fraction, exponent = parts.groups(default="")
    digits = (integer_part + fraction).lstrip("0")
    if not digits:
        return 0
    significant = digits.rstrip("0")
    if len(exponent) > INTEGER_DIGITS_MAX:
        raise ValueError("an exponent beyond all integers")
    zeros = int(exponent or "0") - len(fraction) + len(digits) - len(significant)
    if zeros < 0 or len(significant) + zeros > INTEGER_DIGITS_MAX:
        raise ValueError("a fraction, or beyond all integers")
    return int(sign + significant + "0" * zeros)


def _assign_message(attribute: str, plan: MessagePlan, message: Message, members: dict[str, Any]) -> None:
    child = getattr(message, attribute)
    child.SetInParent()  # an empty object is present
    _fill_message(plan, members, child)


def _assign_messages(attribute: str, plan: MessagePlan, message: Message, values: list[Any]) -> None:
    items = getattr(message, attribute)
    for index, members in enumerate(values):
        if type(members) is not dict:
            raise JsonError(f"is {preview(members)}; it must be an object", f"[{index}]")
        try:
            _fill_message(plan, members, items.add())
        except JsonError as error:
            raise error.within(f"[{index}]") from None


def _assign_scalars(attribute: str, item_plan: FieldPlan, message: Message, values: list[Any]) -> None:
    items = getattr(message, attribute)
    for index, value in enumerate(values):
        try:
            convert = item_plan.converters[value.__class__]
            items.append(value if convert is None else convert(value))
        except (KeyError, ValueError):
            raise _value_error(item_plan, value, f"[{index}]") from None


def _assign_map(attribute: str, value_plan: FieldPlan, message: Message, members: dict[str, Any]) -> None:
    entries = getattr(message, attribute)
    for key, value in members.items():
        try:
            convert = value_plan.converters[value.__class__]
            entries[key] = value if convert is None else convert(value)
        except (KeyError, ValueError):
            raise _value_error(value_plan, value, f"[{preview(key)}]") from None
