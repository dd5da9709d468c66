"""The public surface as one golden file: a change of it is seen in review, and meant.

After a meant change write it anew: `.venv/bin/python tests/contract/test_surface.py > tests/contract/surface.txt`
"""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from tidings.contract import methods
from tidings.contract.gen.tidings.v1 import errors_pb2, log_pb2, options_pb2

GOLDEN = Path(__file__).with_name("surface.txt")
KINDS = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def surface() -> Iterator[str]:
    """One line per route, message field, enum value."""
    files = [file.DESCRIPTOR for file in (*methods.PROTO_FILES, log_pb2, errors_pb2, options_pb2)]
    for file in files:
        for service in file.services_by_name.values():
            for method in service.methods:
                verb = methods.METHOD_KINDS[method.client_streaming, method.server_streaming].value
                permission = options_pb2.Permission.Name(method.GetOptions().Extensions[options_pb2.permission])
                route = methods.route_name(service, method)
                yield f"route {route}: {verb} {method.input_type.name} -> {method.output_type.name}, {permission}"
        for message in file.message_types_by_name.values():
            yield from fields(message)
        for enum in file.enum_types_by_name.values():
            yield from values(enum)


def fields(message: Descriptor) -> Iterator[str]:
    """`message M.field = number: type`."""
    if not message.fields:
        yield f"message {message.name}"
    for field in message.fields:
        kind = (
            (field.message_type or field.enum_type).name if field.message_type or field.enum_type else KINDS[field.type]
        )
        choices = field.containing_oneof
        optional = choices is not None and choices.name == f"_{field.name}"  # how descriptors say `optional`
        many = "repeated " if field.is_repeated else "optional " if optional else ""
        choice = f" (one of {choices.name})" if choices and not optional else ""
        yield f"message {message.name}.{field.name} = {field.number}: {many}{kind}{choice}"


def values(enum: EnumDescriptor) -> Iterator[str]:
    """`enum E.VALUE = number`."""
    for value in enum.values:
        yield f"enum {enum.name}.{value.name} = {value.number}"


def test_the_public_surface_is_the_one_that_was_agreed_on() -> None:
    assert sorted(surface()) == GOLDEN.read_text().splitlines()


if __name__ == "__main__":
    print("\n".join(sorted(surface())))
