"""The table of methods refuses what is incomplete, with every complaint at once."""

import asyncio
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from tidings.contract import v1
from tidings.contract.gen.tidings.v1 import chat_pb2, options_pb2, receipts_pb2, session_pb2
from tidings.contract.methods import ContractError, MethodKind, Permission, build_method_table


class Session:
    """A complete handler of the Session service."""

    async def info(self, request: v1.InfoRequest, call: object) -> v1.InfoReply:
        return v1.InfoReply()

    def refresh(self, request: v1.RefreshRequest, call: object) -> asyncio.Future[v1.RefreshReply]:
        return asyncio.get_running_loop().create_future()

    def ping(self, request: v1.PingRequest, call: object) -> v1.PingReply:
        return v1.PingReply()


def problems_of(services: dict[str, object], *files: Any) -> list[str]:
    with pytest.raises(ContractError) as refused:
        build_method_table(services, files)
    return refused.value.problems


def test_a_complete_service_becomes_rows() -> None:
    rows = build_method_table({"session": Session()}, (session_pb2,)).methods
    assert sorted(rows) == ["session.info", "session.ping", "session.refresh"]
    ping = rows["session.ping"]
    assert (ping.kind, ping.permission, ping.is_async, ping.is_idempotent) == (
        MethodKind.CALL,
        Permission.ANYONE,
        False,
        True,
    )
    assert (ping.request, ping.reply) == (v1.PingRequest, v1.PingReply)
    assert rows["session.info"].is_async
    assert rows["session.refresh"].is_async, "it answers with a future"


def test_a_service_without_handler_is_rejected() -> None:
    assert problems_of({}, session_pb2) == [
        "the service Session has no handler; pass one as 'session'",
    ]


def test_a_handler_of_no_service_is_refused() -> None:
    assert problems_of({"session": Session(), "chatt": object()}, session_pb2) == [
        "'chatt' is not a service of the protos; remove it"
    ]


def test_a_missing_method_is_refused() -> None:
    class Receipts:
        pass

    assert problems_of({"receipts": Receipts()}, receipts_pb2) == ["receipts.mark: Receipts has no method 'mark'"]


def test_a_handler_of_another_shape_is_refused() -> None:
    class Receipts:
        def mark(self, request: v1.MarkRequest) -> v1.MarkReply:
            return v1.MarkReply()

    assert problems_of({"receipts": Receipts()}, receipts_pb2) == [
        "receipts.mark: a call handler takes 2 arguments, this one 1"
    ]


def test_a_handler_of_another_request_is_refused() -> None:
    class Receipts:
        def mark(self, request: v1.PingRequest, call: object) -> v1.MarkReply:
            return v1.MarkReply()

    assert problems_of({"receipts": Receipts()}, receipts_pb2) == [
        "receipts.mark: its first argument must be annotated MarkRequest"
    ]


def test_all_complaints_come_at_once() -> None:
    assert len(problems_of({"chat": object()}, chat_pb2)) == len(chat_pb2.DESCRIPTOR.services_by_name["Chat"].methods)


class FakeMethodDescriptor:
    """A proto file with one service Probe and one method Go, made for a test."""

    count = 0

    def __init__(self, *, permission: bool, streams_in: bool = False, streams_out: bool = False) -> None:
        FakeMethodDescriptor.count += 1
        file = descriptor_pb2.FileDescriptorProto(
            name=f"sketch{FakeMethodDescriptor.count}.proto",
            package=f"sketch{FakeMethodDescriptor.count}",
            syntax="proto3",
            dependency=["tidings/v1/options.proto"],
        )
        file.message_type.add(name="Ask")
        service = file.service.add(name="Probe")
        method = service.method.add(
            name="Go",
            input_type=f".{file.package}.Ask",
            output_type=f".{file.package}.Ask",
            client_streaming=streams_in,
            server_streaming=streams_out,
        )
        if permission:
            method.options.Extensions[options_pb2.permission] = options_pb2.ANYONE
        self.DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


def test_a_method_without_permission_is_rejected() -> None:
    assert any(
        "declares no permission" in c for c in problems_of({"probe": object()}, FakeMethodDescriptor(permission=False))
    )


def test_a_watch_without_cursor_is_refused() -> None:
    (complaint,) = problems_of({"probe": object()}, FakeMethodDescriptor(permission=True, streams_out=True))
    assert complaint == "probe.go: a watch without cursor; Ask needs a field `after`"


def test_client_streams_with_a_single_reply_are_rejected() -> None:
    (complaint,) = problems_of({"probe": object()}, FakeMethodDescriptor(permission=True, streams_in=True))
    assert "are not supported" in complaint
