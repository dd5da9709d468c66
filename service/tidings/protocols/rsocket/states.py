"""The state machines of a connection and a stream, as tables.

A *connection* moves one way: EXPECT_SETUP → AUTHENTICATING → OPEN → DRAINING → CLOSED on a server, SETUP_SENT → OPEN →
… on a client. `CONNECTION_STATES` has for each state the action for each frame type. Types that are not in a state's
row get its `default`. Handlers do not check the state: in the wrong state they are not reachable. So a second SETUP
cannot authenticate again, and a request before SETUP cannot be served.

A *stream* has two halves, each open or closed: what this end may send, and what the peer may send. `INITIAL_HALVES` has
the halves that are open when an interaction starts, for each side; `HALVES_AFTER` has those that stay open after an
event. A stream without an open half is closed and is removed from the table of streams. So a REQUEST_RESPONSE and
a channel differ in one row each, not in code.

The rule a maintainer must not break: halves only ever close. Everything else about a stream (credit, fragments,
the application's object) may be released as soon as its half is closed.

CLOSED_LOCALLY records that *we* closed our half. Sending after that is an error of the local program. Sending into
a half that the peer closed is not: CANCEL and item crossed on the wire, and the item is dropped.
"""

from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from tidings.protocols.rsocket.frames import FrameType, Interaction

# --- one stream -------------------------------------------------------------------------------------------------

SENDING: Final = 1  # our half is open
RECEIVING: Final = 2  # the peer's half is open
CLOSED_LOCALLY: Final = 4  # we closed our half ourselves
AWAITING_LEASE: Final = 8  # our request waits for a lease; no frame of this stream has left yet
CREDIT_ADVANCED: Final = 16  # a channel's first credit was granted by the engine, and not yet by the application
HALVES: Final = SENDING | RECEIVING
CLOSED_BOTH: Final = 0


class Side(Enum):
    """The requester or the responder of a stream."""

    REQUESTER = "requester"
    RESPONDER = "responder"


class HalfTransition(Enum):
    """Events that close one half of a stream. ERROR and the end of the connection close both."""

    COMPLETE_SENT = "we sent C"
    COMPLETE_RECEIVED = "the peer sent C"
    CANCEL_SENT = "we sent CANCEL"
    CANCEL_RECEIVED = "the peer sent CANCEL"


INITIAL_HALVES: Final = MappingProxyType({
    (Side.REQUESTER, Interaction.REQUEST_RESPONSE): RECEIVING | CLOSED_LOCALLY,  # the request was all we had to send
    (Side.REQUESTER, Interaction.REQUEST_STREAM): RECEIVING | CLOSED_LOCALLY,
    (Side.REQUESTER, Interaction.REQUEST_CHANNEL): SENDING | RECEIVING,
    (Side.REQUESTER, Interaction.FIRE_AND_FORGET): CLOSED_BOTH | CLOSED_LOCALLY,
    (Side.RESPONDER, Interaction.REQUEST_RESPONSE): SENDING,
    (Side.RESPONDER, Interaction.REQUEST_STREAM): SENDING,
    (Side.RESPONDER, Interaction.REQUEST_CHANNEL): SENDING | RECEIVING,
    (Side.RESPONDER, Interaction.FIRE_AND_FORGET): CLOSED_BOTH,
})  # fmt: skip

# The halves that stay open after an event. (Other bits of a stream's state stay: mask with `halves | ~HALVES`.)
HALVES_AFTER: Final = MappingProxyType({
    (Side.REQUESTER, HalfTransition.COMPLETE_SENT): RECEIVING,
    (Side.RESPONDER, HalfTransition.COMPLETE_SENT): RECEIVING,
    (Side.REQUESTER, HalfTransition.COMPLETE_RECEIVED): SENDING,
    (Side.RESPONDER, HalfTransition.COMPLETE_RECEIVED): SENDING,
    (Side.REQUESTER, HalfTransition.CANCEL_SENT): CLOSED_BOTH,  # CANCEL of the requester ends both halves
    (Side.RESPONDER, HalfTransition.CANCEL_SENT): SENDING,  # from a channel's responder it stops the requester's half
    (Side.REQUESTER, HalfTransition.CANCEL_RECEIVED): RECEIVING,
    (Side.RESPONDER, HalfTransition.CANCEL_RECEIVED): CLOSED_BOTH,
})  # fmt: skip


# --- the connection ---------------------------------------------------------------------------------------------


class ConnectionState(IntEnum):
    """Where a connection is."""

    EXPECT_SETUP = 0  # server: nothing has come yet
    AUTHENTICATING = 1  # server: the application looks at SETUP; requests are held
    SETUP_SENT = 2  # client: SETUP is sent, nothing but keepalives has come back
    OPEN = 3
    DRAINING = 4  # outstanding streams finish, new requests are refused
    CLOSED = 5  # nothing is read any more; what is queued may still leave


class FrameAction(Enum):
    """The action for a frame. `connection.py` has one function for each."""

    SETUP = "read SETUP and ask the application"
    REJECT_NO_SETUP = "INVALID_SETUP: the first frame must be SETUP"
    REJECT_RESUME = "REJECTED_RESUME: resumption is not offered"
    HOLD = "hold the frame until the application has accepted or rejected SETUP"
    ESTABLISH = "the server has accepted SETUP: become OPEN and handle the frame"
    KEEPALIVE = "reply to it, or report the reply"
    LEASE = "store the lease and send the requests that waited for it"
    METADATA_PUSH = "report metadata"
    REQUEST_RESPONSE = "start a REQUEST_RESPONSE"
    FIRE_AND_FORGET = "report a FIRE_AND_FORGET"
    REQUEST_STREAM = "start a REQUEST_STREAM"
    REQUEST_CHANNEL = "start a REQUEST_CHANNEL"
    REJECT_REQUEST = "REJECTED: no new requests"
    REQUEST_N = "add credit"
    CANCEL = "the peer cancels"
    PAYLOAD = "an item, a fragment of one, or the end"
    ERROR = "a stream or the connection failed"
    IGNORE = "ignore"
    UNEXPECTED = "CONNECTION_ERROR: not allowed in this state"
    UNKNOWN = "skip if I is set, else CONNECTION_ERROR"


class StateRow(NamedTuple):
    """The actions of one state."""

    actions: MappingProxyType[FrameType, FrameAction]
    default: FrameAction


_STREAM_ACTIONS = {
    FrameType.REQUEST_RESPONSE: FrameAction.REQUEST_RESPONSE,
    FrameType.REQUEST_FNF: FrameAction.FIRE_AND_FORGET,
    FrameType.REQUEST_STREAM: FrameAction.REQUEST_STREAM,
    FrameType.REQUEST_CHANNEL: FrameAction.REQUEST_CHANNEL,
    FrameType.REQUEST_N: FrameAction.REQUEST_N,
    FrameType.CANCEL: FrameAction.CANCEL,
    FrameType.PAYLOAD: FrameAction.PAYLOAD,
}
_CONNECTION_ACTIONS = {
    FrameType.SETUP: FrameAction.IGNORE,  # a second SETUP is ignored: it must not authenticate again
    FrameType.RESUME: FrameAction.UNEXPECTED,
    FrameType.RESUME_OK: FrameAction.UNEXPECTED,
    FrameType.LEASE: FrameAction.LEASE,
    FrameType.KEEPALIVE: FrameAction.KEEPALIVE,
    FrameType.ERROR: FrameAction.ERROR,
    FrameType.METADATA_PUSH: FrameAction.METADATA_PUSH,
}
_REQUEST_TYPES = (
    FrameType.REQUEST_RESPONSE,
    FrameType.REQUEST_FNF,
    FrameType.REQUEST_STREAM,
    FrameType.REQUEST_CHANNEL,
)


def _state_row(*actions: dict[FrameType, FrameAction], default: FrameAction = FrameAction.UNKNOWN) -> StateRow:
    return StateRow(MappingProxyType({type_: action for each in actions for type_, action in each.items()}), default)


CONNECTION_STATES: Final = MappingProxyType({
    ConnectionState.EXPECT_SETUP: _state_row(
        {FrameType.SETUP: FrameAction.SETUP, FrameType.RESUME: FrameAction.REJECT_RESUME},
        default=FrameAction.REJECT_NO_SETUP),
    ConnectionState.AUTHENTICATING: _state_row(
        _CONNECTION_ACTIONS,
        dict.fromkeys((*_STREAM_ACTIONS, FrameType.METADATA_PUSH, FrameType.ERROR), FrameAction.HOLD)),
    ConnectionState.SETUP_SENT: _state_row(
        _STREAM_ACTIONS, _CONNECTION_ACTIONS,
        dict.fromkeys((*_STREAM_ACTIONS, FrameType.LEASE), FrameAction.ESTABLISH)),
    ConnectionState.OPEN: _state_row(
        _STREAM_ACTIONS, _CONNECTION_ACTIONS),
    ConnectionState.DRAINING: _state_row(
        _STREAM_ACTIONS, _CONNECTION_ACTIONS, dict.fromkeys(_REQUEST_TYPES, FrameAction.REJECT_REQUEST)),
    ConnectionState.CLOSED: _state_row(default=FrameAction.IGNORE),
})  # fmt: skip
