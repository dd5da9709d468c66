"""The table of methods, built from descriptors at start-up.

A row says all that a transport needs to serve a method; a transport never knows a method by name. What is incomplete
stops the service with every complaint at once: a handler that is missing or has the wrong shape, a method without
permission, a watch without cursor.
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

FILES = (chat_pb2, rooms_pb2, presence_pb2, receipts_pb2, history_pb2, session_pb2)


class Verb(Enum):
    """How a method is asked and answered."""

    CALL = "call"
    WATCH = "watch"
    CHANNEL = "channel"

    __hash__ = object.__hash__  # each request looks its verb up, and an Enum's own hash is written in Python


# (the client streams, the server streams) → verb. A stream in with a single answer has no use here.
VERBS = {(False, False): Verb.CALL, (False, True): Verb.WATCH, (True, True): Verb.CHANNEL}

# How many arguments a handler takes: call(request, call), watch(request, call, sink), channel(call, sink).
ARITY = {Verb.CALL: 2, Verb.WATCH: 3, Verb.CHANNEL: 2}


class Permission(Enum):
    """Who may call a method."""

    ANYONE = options_pb2.ANYONE
    USER = options_pb2.USER
    OPERATOR = options_pb2.OPERATOR


@dataclass(frozen=True, slots=True)
class Row:
    """One method."""

    route: str
    verb: Verb
    permission: Permission
    request: type[Message]
    reply: type[Message]
    handler: Callable[..., Any]
    # The answer may come later: the handler is a coroutine function and gets a task, or it answers with a future, which
    # is said in its annotation and needs none.
    waits: bool
    # The same request twice has the effect of one.
    idempotent: bool


@dataclass(frozen=True, slots=True)
class Table:
    """All methods by route."""

    rows: Mapping[str, Row]


class IncompleteContract(Exception):
    """The handlers do not fit the protos; `complaints` says where, one sentence each."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("the contract is incomplete:\n  " + "\n  ".join(complaints))
        self.complaints = complaints


def build(services: Mapping[str, object], files: tuple[Any, ...] = FILES) -> Table:
    """Bind `services` (name in lower case → object with a method per rpc) to the services in `files`.

    Raises IncompleteContract.
    """
    rows: dict[str, Row] = {}
    complaints: list[str] = []
    descriptors = [s for file in files for s in file.DESCRIPTOR.services_by_name.values()]
    for service in descriptors:
        handlers = services.get(service.name.lower())
        if handlers is None:
            complaints.append(f"nobody handles the service {service.name}; hand one in as {service.name.lower()!r}")
            continue
        for method in service.methods:
            row = bind(service, method, handlers)
            if isinstance(row, str):
                complaints.append(row)
            else:
                rows[row.route] = row
    known = {service.name.lower() for service in descriptors}
    complaints += [f"{name!r} handles a service that no proto declares" for name in services if name not in known]
    if complaints:
        raise IncompleteContract(complaints)
    return Table(rows)


def route_of(service: ServiceDescriptor, method: MethodDescriptor) -> str:
    """`<service>.<method>` in lower case."""
    return f"{service.name}.{method.name}".lower()


def bind(service: ServiceDescriptor, method: MethodDescriptor, handlers: object) -> Row | str:
    """The row of one method, or the complaint about it."""
    route = route_of(service, method)
    complaint = next(objections(route, method, handlers), None)
    if complaint is not None:
        return complaint
    verb = VERBS[method.client_streaming, method.server_streaming]
    handler = getattr(handlers, method.name.lower())
    options = method.GetOptions()
    return Row(
        route=route,
        verb=verb,
        permission=Permission(options.Extensions[options_pb2.permission]),
        request=GetMessageClass(method.input_type),
        reply=GetMessageClass(method.output_type),
        handler=handler,
        waits=inspect.iscoroutinefunction(handler) or _promises(handler),
        idempotent=options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN,
    )


def _promises(handler: Callable[..., Any]) -> bool:
    """Whether it is annotated to answer with an asyncio.Future."""
    return typing.get_origin(typing.get_type_hints(handler).get("return")) is asyncio.Future


def objections(route: str, method: MethodDescriptor, handlers: object) -> Iterator[str]:
    """What is wrong with a method and its handler, most basic first."""
    verb = VERBS.get((method.client_streaming, method.server_streaming))
    if verb is None:
        yield f"{route}: a stream of requests with a single answer is none of the three verbs"
        return
    permission = method.GetOptions().Extensions[options_pb2.permission]
    if permission == options_pb2.PERMISSION_UNSPECIFIED:
        yield f"{route}: says not who may call it; add `option (permission) = …` in its proto"
    if verb is Verb.WATCH:
        if "after" not in method.input_type.fields_by_name:
            yield f"{route}: a watch without cursor; {method.input_type.name} needs a field `after`"
        if "cursor" not in method.output_type.fields_by_name:
            yield f"{route}: a watch without cursor; {method.output_type.name} needs a field `cursor`"
    handler = getattr(handlers, method.name.lower(), None)
    if handler is None:
        yield f"{route}: {type(handlers).__name__} has no method {method.name.lower()!r}"
        return
    parameters = list(inspect.signature(handler).parameters)
    if len(parameters) != ARITY[verb]:
        yield f"{route}: a {verb.value} handler takes {ARITY[verb]} arguments, this one {len(parameters)}"
        return
    if verb is not Verb.CHANNEL:
        asked = typing.get_type_hints(handler).get(parameters[0])
        if asked is not GetMessageClass(method.input_type):
            yield f"{route}: its first argument must be annotated {method.input_type.name}"
