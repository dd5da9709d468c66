"""A request's enums have values of the contract, whatever the encoding; an answer's may be newer."""

import pytest
from google.protobuf.message import Message

from contract.random_messages import MESSAGE_TYPES
from tidings.contract import v1
from tidings.contract.codecs import PROTOBUF
from tidings.contract.enum_validation import check_enums
from tidings.contract.errors import ApiError, Code


@pytest.mark.parametrize(
    ("request_type", "data", "said"),
    [
        (v1.JoinRequest, "18 4d", "role is 77; it must be one of ROLE_UNSPECIFIED, OWNER, MODERATOR, MEMBER, READER"),
        (v1.CreateRequest, "10 07", "kind is 7; it must be one of ROOM_KIND_UNSPECIFIED, DIRECT, GROUP, OPEN"),
        (v1.WatchRequest, "18 03", "lag is 3; it must be one of CATCH_UP, LATEST, CLOSE"),
        (v1.ListRequest, "08 02", "scope is 2; it must be one of MINE, PUBLIC"),
        (v1.SetPresenceRequest, "08 ff ff ff ff ff ff ff ff ff 01", "status is -1; it must be one of OFFLINE, "),
        (v1.ChannelCommand, "12 02 18 03", "lag is 3"),  # open
        (v1.ChannelCommand, "52 02 08 09", "status is 9"),  # presence
        (v1.PageReply, "0a 04 72 02 10 4d", "role is 77"),  # the second level of a repeated field
    ],
)
def test_an_unknown_enum_number_on_the_wire_is_refused(request_type: type[Message], data: str, said: str) -> None:
    with pytest.raises(ApiError) as refused:
        PROTOBUF.decode(request_type, bytes.fromhex(data))
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert refused.value.text.startswith(f"the payload is not a valid {request_type.DESCRIPTOR.name}: {said}")


def test_an_answer_keeps_the_values_of_a_newer_service() -> None:
    assert PROTOBUF.decode_reply(v1.RoomReply, bytes.fromhex("10 4d")).role == 77


def test_the_numbers_that_there_are_pass() -> None:
    for role in v1.Role.values():
        request = v1.JoinRequest(room="a", role=role)
        assert PROTOBUF.decode(v1.JoinRequest, request.SerializeToString()) == request
    command = v1.ChannelCommand(open=v1.WatchRequest(room="a", lag=v1.CLOSE))
    assert PROTOBUF.decode(v1.ChannelCommand, command.SerializeToString()) == command


@pytest.mark.parametrize("message_type", MESSAGE_TYPES, ids=lambda message_type: message_type.DESCRIPTOR.name)
def test_every_message_type_can_be_checked(message_type: type[Message]) -> None:
    check_enums(message_type())
    for field in message_type.DESCRIPTOR.fields:
        entry = field.message_type
        assert not (entry and entry.GetOptions().map_entry and entry.fields_by_name["value"].enum_type)


def test_invalid_utf8_on_the_wire_is_refused() -> None:
    with pytest.raises(ApiError, match="not a Protobuf SendRequest"):
        PROTOBUF.decode(v1.SendRequest, b"\x0a\x02\xff\xfe")
