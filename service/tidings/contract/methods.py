"""The table of methods, built from descriptors at start-up.

A row has everything that a transport needs to serve a method; transports do not know methods by name. An incomplete
contract stops the service with a list of all problems: a missing handler or one with the wrong signature, a method
without permission, a watch without cursor.
"""

import asyncio
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tidings.contract.gen.tidings.v1 import (
    chat_pb2,
    history_pb2,
    options_pb2,
    presence_pb2,
    receipts_pb2,
    rooms_pb2,
    session_pb2,
)

PROTO_FILES = (chat_pb2, rooms_pb2, presence_pb2, receipts_pb2, history_pb2, session_pb2)


class MethodKind(Enum):
    """Unary, server stream or channel."""

    CALL = "call"
    WATCH = "watch"
    CHANNEL = "channel"

    __hash__ = object.__hash__  # looked up for each request, and the hash of Enum is written in Python


# (client streams, server streams) → kind. Client streams with a single reply are not used.
METHOD_KINDS = {(False, False): MethodKind.CALL, (False, True): MethodKind.WATCH, (True, True): MethodKind.CHANNEL}

# How many arguments a handler takes: call(request, call), watch(request, call, sink), channel(call, sink).
HANDLER_ARITY = {MethodKind.CALL: 2, MethodKind.WATCH: 3, MethodKind.CHANNEL: 2}


class Permission(Enum):
    """Who may call a method."""

    ANYONE = options_pb2.ANYONE
    USER = options_pb2.USER
    OPERATOR = options_pb2.OPERATOR


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    route: str
    kind: MethodKind
    permission: Permission
    request: type[Message]
    reply: type[Message]
    handler: Callable[..., Any]
    # The reply may come later: the handler is a coroutine function, which needs a task, or is annotated to return a
    # future, which needs none.
    is_async: bool
    # Repeating the request has no further effect.
    is_idempotent: bool


@dataclass(frozen=True, slots=True)
class MethodTable:
    """All methods by route."""

    methods: Mapping[str, Method]


class ContractError(Exception):
    """The handlers do not match the protos; `problems` has one sentence for each mismatch."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the contract is incomplete:\n  " + "\n  ".join(problems))
        self.problems = problems


def build_method_table(services: Mapping[str, object], files: tuple[Any, ...] = PROTO_FILES) -> MethodTable:
    """Bind `services` (name in lower case → object with a method per rpc) to the services in `files`.

    Raises ContractError.
    """
    methods: dict[str, Method] = {}
    problems: list[str] = []
    descriptors = [s for file in files for s in file.DESCRIPTOR.services_by_name.values()]
    for service in descriptors:
        handlers = services.get(service.name.lower())
        if handlers is None:
            problems.append(f"the service {service.name} has no handler; pass one as {service.name.lower()!r}")
            continue
        for method in service.methods:
            bound = bind_method(service, method, handlers)
            if isinstance(bound, str):
                problems.append(bound)
            else:
                methods[bound.route] = bound
    declared = {service.name.lower() for service in descriptors}
    problems += [f"{name!r} is not a service of the protos; remove it" for name in services if name not in declared]
    if problems:
        raise ContractError(problems)
    return MethodTable(methods)


def route_name(service: ServiceDescriptor, method: MethodDescriptor) -> str:
    """`<service>.<method>` in lower case."""
    return f"{service.name}.{method.name}".lower()


def bind_method(service: ServiceDescriptor, method: MethodDescriptor, handlers: object) -> Method | str:
    """The row of one method, or its first problem."""
    route = route_name(service, method)
    problem = next(find_problems(route, method, handlers), None)
    if problem is not None:
        return problem
    kind = METHOD_KINDS[method.client_streaming, method.server_streaming]
    handler = getattr(handlers, method.name.lower())
    options = method.GetOptions()
    return Method(
        route=route,
        kind=kind,
        permission=Permission(options.Extensions[options_pb2.permission]),
        request=GetMessageClass(method.input_type),
        reply=GetMessageClass(method.output_type),
        handler=handler,
        is_async=inspect.iscoroutinefunction(handler) or _returns_future(handler),
        is_idempotent=options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN,
    )


def _returns_future(handler: Callable[..., Any]) -> bool:
    """Whether the handler is annotated to return an asyncio.Future."""
    return typing.get_origin(typing.get_type_hints(handler).get("return")) is asyncio.Future


def find_problems(route: str, method: MethodDescriptor, handlers: object) -> Iterator[str]:
    """The problems of a method and its handler, most basic first."""
    kind = METHOD_KINDS.get((method.client_streaming, method.server_streaming))
    if kind is None:
        yield f"{route}: client streams with a single reply are not supported"
        return
    permission = method.GetOptions().Extensions[options_pb2.permission]
    if permission == options_pb2.PERMISSION_UNSPECIFIED:
        yield f"{route}: declares no permission; add `option (permission) = …` in its proto"
    if kind is MethodKind.WATCH:
        if "after" not in method.input_type.fields_by_name:
            yield f"{route}: a watch without cursor; {method.input_type.name} needs a field `after`"
        if "cursor" not in method.output_type.fields_by_name:
            yield f"{route}: a watch without cursor; {method.output_type.name} needs a field `cursor`"
    handler = getattr(handlers, method.name.lower(), None)
    if handler is None:
        yield f"{route}: {type(handlers).__name__} has no method {method.name.lower()!r}"
        return
    parameters = list(inspect.signature(handler).parameters)
    if len(parameters) != HANDLER_ARITY[kind]:
        yield f"{route}: a {kind.value} handler takes {HANDLER_ARITY[kind]} arguments, this one {len(parameters)}"
        return
    if kind is not MethodKind.CHANNEL:
        request_type = typing.get_type_hints(handler).get(parameters[0])
        if request_type is not GetMessageClass(method.input_type):
            yield f"{route}: its first argument must be annotated {method.input_type.name}"
