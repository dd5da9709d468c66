"""Transitions, as tables.

Theory
------
A *connection* walks one way: FIRST → ADMITTING → OPEN → DRAINING → CLOSED on a server, AWAITING → OPEN → … on a
client. `CONNECTION` says for each state what is done with each frame type. What is not in a state's row gets the
row's `otherwise`; a handler is never asked "are we there yet?", because in the wrong state it is not reachable.
The SETUP of a server's second client cannot authenticate twice, a request before SETUP cannot be served.

A *stream* is two halves, each open or closed, and nothing else: what this end may send, what the peer may send.
`BEGIN` says which halves are open when an interaction begins, seen from each side; `KEEP` says which halves survive
an event. A stream with no open half is over and leaves the table of streams. So a REQUEST_RESPONSE and a channel
differ in one row each, not in code.

The rule a maintainer must not break: halves only ever close. Everything else about a stream (credit, fragments,
the application's object) may be dropped the moment its half is closed.

ENDED remembers that *we* closed our half. Sending after that is a mistake of the program on this side. Sending
into a half that the peer closed is not: the CANCEL and the item crossed on the wire, and the item is dropped.
"""

from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from tidings.rsocket.frames import FrameType, Interaction

# --- one stream -------------------------------------------------------------------------------------------------

SENDING: Final = 1  # our half is open
RECEIVING: Final = 2  # the peer's half is open
ENDED: Final = 4  # we closed our half ourselves
WAITING: Final = 8  # our request waits for a lease; no frame of this stream has left yet
ADVANCED: Final = 16  # a channel's first credit was granted by the engine and not yet by the application
HALVES: Final = SENDING | RECEIVING
OVER: Final = 0


class Side(Enum):
    """Who asked and who answers."""

    REQUESTER = "requester"
    RESPONDER = "responder"


class Event(Enum):
    """What may happen to one half of a stream. Whatever else ends a stream ends both: ERROR, the connection's end."""

    COMPLETE_SENT = "we sent C"
    COMPLETE_RECEIVED = "the peer sent C"
    CANCEL_SENT = "we sent CANCEL"
    CANCEL_RECEIVED = "the peer sent CANCEL"


BEGIN: Final = MappingProxyType({
    (Side.REQUESTER, Interaction.REQUEST_RESPONSE): RECEIVING | ENDED,  # the request was all we had to send
    (Side.REQUESTER, Interaction.REQUEST_STREAM): RECEIVING | ENDED,
    (Side.REQUESTER, Interaction.REQUEST_CHANNEL): SENDING | RECEIVING,
    (Side.REQUESTER, Interaction.FIRE_AND_FORGET): OVER | ENDED,
    (Side.RESPONDER, Interaction.REQUEST_RESPONSE): SENDING,
    (Side.RESPONDER, Interaction.REQUEST_STREAM): SENDING,
    (Side.RESPONDER, Interaction.REQUEST_CHANNEL): SENDING | RECEIVING,
    (Side.RESPONDER, Interaction.FIRE_AND_FORGET): OVER,
})  # fmt: skip

# Which halves survive an event. (The other bits of a stream's state survive everything: mask with `keep | ~HALVES`.)
KEEP: Final = MappingProxyType({
    (Side.REQUESTER, Event.COMPLETE_SENT): RECEIVING,
    (Side.RESPONDER, Event.COMPLETE_SENT): RECEIVING,
    (Side.REQUESTER, Event.COMPLETE_RECEIVED): SENDING,
    (Side.RESPONDER, Event.COMPLETE_RECEIVED): SENDING,
    (Side.REQUESTER, Event.CANCEL_SENT): OVER,  # CANCEL from the requester ends the responder in both directions
    (Side.RESPONDER, Event.CANCEL_SENT): SENDING,  # from a channel's responder it stops the requester's half
    (Side.REQUESTER, Event.CANCEL_RECEIVED): RECEIVING,
    (Side.RESPONDER, Event.CANCEL_RECEIVED): OVER,
})  # fmt: skip


# --- the connection ---------------------------------------------------------------------------------------------


class State(IntEnum):
    """Where a connection is."""

    FIRST = 0  # server: nothing has come yet
    ADMITTING = 1  # server: the application looks at SETUP; requests are held
    AWAITING = 2  # client: SETUP is sent, nothing but keepalives has come back
    OPEN = 3
    DRAINING = 4  # outstanding streams finish, new requests are refused
    CLOSED = 5  # nothing is read any more; what is queued may still leave


class Verb(Enum):
    """What is done with a frame. `connection.py` has one function for each."""

    SETUP = "read SETUP and ask the application"
    NO_SETUP = "INVALID_SETUP: the first frame must be SETUP"
    NO_RESUME = "REJECTED_RESUME: resumption is not offered"
    HOLD = "keep the frame until the application has decided"
    ESTABLISH = "the server has accepted: become OPEN and look again"
    KEEPALIVE = "answer it, or report the answer"
    LEASE = "take the lease and send what waited for it"
    PUSH = "report metadata"
    RESPONSE = "begin a REQUEST_RESPONSE"
    FORGET = "report a FIRE_AND_FORGET"
    STREAM = "begin a REQUEST_STREAM"
    CHANNEL = "begin a REQUEST_CHANNEL"
    REFUSE = "REJECTED: no new requests"
    CREDIT = "add credit"
    CANCEL = "the peer wants no more"
    PAYLOAD = "an item, a piece of one, or the end"
    ERROR = "a stream or the connection failed"
    SKIP = "ignore"
    MISPLACED = "CONNECTION_ERROR: not here"
    UNKNOWN = "skip if I is set, else CONNECTION_ERROR"


class Row(NamedTuple):
    """What one state does with each frame type."""

    verbs: MappingProxyType[FrameType, Verb]
    otherwise: Verb


_STREAMS = {
    FrameType.REQUEST_RESPONSE: Verb.RESPONSE,
    FrameType.REQUEST_FNF: Verb.FORGET,
    FrameType.REQUEST_STREAM: Verb.STREAM,
    FrameType.REQUEST_CHANNEL: Verb.CHANNEL,
    FrameType.REQUEST_N: Verb.CREDIT,
    FrameType.CANCEL: Verb.CANCEL,
    FrameType.PAYLOAD: Verb.PAYLOAD,
}
_ZERO = {
    FrameType.SETUP: Verb.SKIP,  # a second SETUP is ignored: it must not authenticate again
    FrameType.RESUME: Verb.MISPLACED,
    FrameType.RESUME_OK: Verb.MISPLACED,
    FrameType.LEASE: Verb.LEASE,
    FrameType.KEEPALIVE: Verb.KEEPALIVE,
    FrameType.ERROR: Verb.ERROR,
    FrameType.METADATA_PUSH: Verb.PUSH,
}
_REQUESTS = (
    FrameType.REQUEST_RESPONSE,
    FrameType.REQUEST_FNF,
    FrameType.REQUEST_STREAM,
    FrameType.REQUEST_CHANNEL,
)


def _row(*verbs: dict[FrameType, Verb], otherwise: Verb = Verb.UNKNOWN) -> Row:
    return Row(MappingProxyType({type_: verb for each in verbs for type_, verb in each.items()}), otherwise)


CONNECTION: Final = MappingProxyType({
    State.FIRST: _row(
        {FrameType.SETUP: Verb.SETUP, FrameType.RESUME: Verb.NO_RESUME}, otherwise=Verb.NO_SETUP),
    State.ADMITTING: _row(
        _ZERO, dict.fromkeys((*_STREAMS, FrameType.METADATA_PUSH, FrameType.ERROR), Verb.HOLD)),
    State.AWAITING: _row(
        _STREAMS, _ZERO, dict.fromkeys((*_STREAMS, FrameType.LEASE), Verb.ESTABLISH)),
    State.OPEN: _row(
        _STREAMS, _ZERO),
    State.DRAINING: _row(
        _STREAMS, _ZERO, dict.fromkeys(_REQUESTS, Verb.REFUSE)),
    State.CLOSED: _row(otherwise=Verb.SKIP),
})  # fmt: skip
