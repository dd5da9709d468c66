"""Rejects numbers in requests that their enum does not have.

Protobuf keeps them, so that an old reader can forward a newer writer's message. A request is not forwarded: a role that
this version does not know must not be stored or read as the default. So requests are checked when they are decoded,
JSON by its plan (`protojson.reader`), Protobuf here. Replies keep the numbers of a newer service.
"""

from collections.abc import Collection
from typing import Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.message import Message

EnumPlan = tuple[tuple[str, bool, "EnumDescriptor | None", Collection[int]], ...]
"""For each field that is an enum or contains one: its name, whether it is repeated, the enum, its numbers."""

_ENUM_PLANS: Final[dict[Descriptor, EnumPlan]] = {}


class UnknownEnumNumberError(Exception):
    """`str(error)` names the field, the number, and what is allowed."""


def check_enums(message: Message) -> None:
    """Raise UnknownEnumNumberError if a field has a number that its enum does not have."""
    descriptor: Descriptor = message.DESCRIPTOR  # type: ignore[assignment]  # upb's own class
    plan = _ENUM_PLANS.get(descriptor)
    if plan is None:
        plan = _ENUM_PLANS[descriptor] = _make_plan(descriptor)
    for name, repeated, enum, numbers in plan:
        if enum is None:
            if repeated:
                for inside in getattr(message, name):
                    check_enums(inside)
            elif message.HasField(name):
                check_enums(getattr(message, name))
            continue
        value = getattr(message, name)
        for number in value if repeated else (value,):
            if number not in numbers:
                allowed = ", ".join(enum.values_by_name)
                raise UnknownEnumNumberError(f"{name} is {number}; it must be one of {allowed}")


def _make_plan(descriptor: Descriptor) -> EnumPlan:
    """No map of the contract has enums; one that did would be read as repeated entries, and fail in the tests."""
    return tuple(
        (field.name, field.is_repeated, field.enum_type, frozenset(field.enum_type.values_by_number))
        if field.enum_type is not None
        else (field.name, field.is_repeated, None, ())
        for field in descriptor.fields
        if field.enum_type is not None
        or (field.message_type is not None and _contains_enums(field.message_type, set()))
    )


def _contains_enums(descriptor: Descriptor, seen: set[Descriptor]) -> bool:
    """Whether a message type contains an enum, at any depth."""
    if descriptor in seen:
        return False
    seen.add(descriptor)
    return any(
        field.enum_type is not None or (field.message_type is not None and _contains_enums(field.message_type, seen))
        for field in descriptor.fields
    )
