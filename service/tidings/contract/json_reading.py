"""Protobuf's JSON mapping, read exactly: JSON → message.

A plan is made once from each message's descriptor: for each name (`clientId` and `client_id`) how its field is set. A
field accepts values by their class, so that `true` is no number and `1` is no truth:

    string     a string that is valid Unicode
    bool       true, false
    integer    an integer in the field's range; `1e3` and `4.0` are integers; or its digits in quotes as Protobuf
               writes them, without sign, space, leading zero, fraction or exponent
    enum       a name of the enum; or the number of one, as a JSON number
    message, map, repeated    an object, an object, a list

Unknown fields are skipped, and so is null, which means absent. A field that is given twice, or beside another one of
its oneof, is refused. What the contract has no field for (bytes, fractions, wrappers) has no plan.

The invariant: a value is either taken exactly as it was meant, or the request is refused with its path.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from tidings.contract.json_text import INTEGER_DIGITS_MAX, JSON_VALUES_MAX, JsonError, Number, read_object, shown

INTEGER_RANGES: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}

Accepts = Mapping[type, Callable[[Any], Any] | None]
"""The class of a value → what makes the field's value of it, None: nothing. KeyError and ValueError refuse."""


class Field(NamedTuple):
    """How one field is read. `put` sets what is no scalar; `allowed` says in an error what may stand here."""

    bits: int  # its own, and that of its oneof
    attribute: str
    accepts: Accepts
    put: Callable[[Message, Any], None] | None
    allowed: str


Plan = Mapping[str, Field]

_PLANS: Final[dict[Descriptor, Plan]] = {}


class NoPlan(Exception):
    """A field of a type that the contract had no use for so far: decide how it is read, and write it here."""


def read_message(message: Message, data: bytes, *, values_max: int = JSON_VALUES_MAX) -> None:
    """Set what the JSON says. JsonError where it is none, or says what the message cannot hold."""
    _fill(plan_of(message.DESCRIPTOR), read_object(data, values_max=values_max), message)  # type: ignore[arg-type]  # upb's own class


def plan_of(descriptor: Descriptor) -> Plan:
    """How to read this message. Raises NoPlan."""
    plan = _PLANS.get(descriptor)
    if plan is None:
        # There before its fields are, for a message that holds itself.
        made: dict[str, Field] = {}
        plan = _PLANS[descriptor] = made
        try:
            made.update(_fields(descriptor))
        except NoPlan:
            del _PLANS[descriptor]
            raise
    return plan


def _fill(plan: Plan, members: dict[str, Any], message: Message) -> None:
    taken = 0
    for name, value in members.items():
        field = plan.get(name)
        if field is None or value is None:
            continue
        bits, attribute, accepts, put, _ = field
        if taken & bits:
            raise _conflict(plan, members, name)
        taken |= bits
        try:
            convert = accepts[value.__class__]
            if put is not None:
                put(message, value)
            else:
                setattr(message, attribute, value if convert is None else convert(value))
        except JsonError as error:
            raise error.inside(name) from None
        except (KeyError, ValueError):
            raise _refused(field, value, name) from None


def _conflict(plan: Plan, members: dict[str, Any], name: str) -> JsonError:
    field = plan[name]
    other = next(n for n, v in members.items() if v is not None and n in plan and plan[n].bits & field.bits)
    if plan[other].attribute == field.attribute:
        return JsonError(f"has {other} and {name}, which are one field; give it once")
    return JsonError(f"has {other} and {name}, of which there can be one; give one")


def _refused(field: Field, value: Any, path: str) -> JsonError:
    if str not in field.accepts or field.accepts[str] is not None:
        return JsonError(f"is {shown(value)}; it must be {field.allowed}", path)
    # A text: the error does not repeat it, nor what came in its place.
    if type(value) is str:
        return JsonError("holds half of a surrogate pair; write whole characters", path)
    return JsonError(f"is {_kind(value)}; it must be {field.allowed}", path)


def _kind(value: Any) -> str:
    return {bool: "true or false", dict: "an object", list: "a list", type(None): "null"}.get(type(value), "a number")


# --- plans ------------------------------------------------------------------------------------------------------------


def _fields(descriptor: Descriptor) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    oneofs = {oneof.name: 1 << len(descriptor.fields) + place for place, oneof in enumerate(descriptor.oneofs)}
    for place, field in enumerate(descriptor.fields):
        bits = 1 << place
        if field.containing_oneof is not None:
            bits |= oneofs[field.containing_oneof.name]
        fields[field.json_name] = fields[field.name] = _field(field)._replace(bits=bits)
    return fields


def _field(field: FieldDescriptor) -> Field:
    name, entry = field.name, field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        if entry.fields_by_name["key"].cpp_type != FieldDescriptor.CPPTYPE_STRING:
            raise NoPlan(f"{field.full_name} is a map by other keys than strings")
        value = _one(entry.fields_by_name["value"])
        if value.put is not None:
            raise NoPlan(f"{field.full_name} is a map to messages")
        return Field(0, name, {dict: None}, partial(_put_map, name, value), "an object")
    if field.is_repeated:
        many = partial(_put_list, name, _one(field)) if entry is None else partial(_put_objects, name, plan_of(entry))
        return Field(0, name, {list: None}, many, "a list")
    return _one(field)


def _one(field: FieldDescriptor) -> Field:
    """A field's value, or one of them."""
    kind, enum = field.cpp_type, field.enum_type
    accepts: Accepts
    put = None
    if field.message_type is not None:
        accepts, allowed = {dict: None}, "an object"
        put = partial(_put_object, field.name, plan_of(field.message_type))
    elif field.type == FieldDescriptor.TYPE_STRING:
        accepts, allowed = {str: None}, "a string"
    elif kind == FieldDescriptor.CPPTYPE_BOOL:
        accepts, allowed = {bool: None}, "true or false"
    elif enum is not None:
        accepts, allowed = _enum(enum)
    elif kind in INTEGER_RANGES:
        least, most = INTEGER_RANGES[kind]
        accepts, allowed = {int: None, str: _digits, Number: _integer}, f"an integer from {least} to {most}"
    else:
        raise NoPlan(f"{field.full_name} is of a type without a plan for JSON")
    return Field(0, field.name, accepts, put, allowed)


def _enum(enum: EnumDescriptor) -> tuple[Accepts, str]:
    numbers = {value.number: value.number for value in enum.values}
    names = {value.name: value.number for value in enum.values}
    accepts: Accepts = {
        str: names.__getitem__,
        int: numbers.__getitem__,
        Number: lambda number: numbers[_integer(number)],
    }
    return accepts, f"one of {', '.join(names)}"


# --- values -----------------------------------------------------------------------------------------------------------

# The range is the field's to check: what is out of it cannot be set.
_DIGITS: Final = re.compile(f"0|-?[1-9][0-9]{{0,{INTEGER_DIGITS_MAX - 1}}}")
_NUMBER: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")


def _digits(text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise ValueError("not as Protobuf writes an integer")
    return int(text)


def _integer(number: Number) -> int:
    """The integer that a number is, exactly; ValueError where it is none or has more digits than any field."""
    parts = _NUMBER.fullmatch(number)
    assert parts is not None
    sign, whole, fraction, exponent = parts.groups(default="")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0
    significant = digits.rstrip("0")
    if len(exponent) > INTEGER_DIGITS_MAX:
        raise ValueError("an exponent beyond all integers")
    zeros = int(exponent or "0") - len(fraction) + len(digits) - len(significant)
    if zeros < 0 or len(significant) + zeros > INTEGER_DIGITS_MAX:
        raise ValueError("a fraction, or beyond all integers")
    return int(sign + significant + "0" * zeros)


def _put_object(attribute: str, plan: Plan, message: Message, members: dict[str, Any]) -> None:
    inside = getattr(message, attribute)
    inside.SetInParent()  # an empty object is present
    _fill(plan, members, inside)


def _put_objects(attribute: str, plan: Plan, message: Message, values: list[Any]) -> None:
    into = getattr(message, attribute)
    for place, members in enumerate(values):
        if type(members) is not dict:
            raise JsonError(f"is {shown(members)}; it must be an object", f"[{place}]")
        try:
            _fill(plan, members, into.add())
        except JsonError as error:
            raise error.inside(f"[{place}]") from None


def _put_list(attribute: str, one: Field, message: Message, values: list[Any]) -> None:
    into = getattr(message, attribute)
    for place, value in enumerate(values):
        try:
            convert = one.accepts[value.__class__]
            into.append(value if convert is None else convert(value))
        except (KeyError, ValueError):
            raise _refused(one, value, f"[{place}]") from None


def _put_map(attribute: str, one: Field, message: Message, members: dict[str, Any]) -> None:
    into = getattr(message, attribute)
    for key, value in members.items():
        try:
            convert = one.accepts[value.__class__]
            into[key] = value if convert is None else convert(value)
        except (KeyError, ValueError):
            raise _refused(one, value, f"[{shown(key)}]") from None
