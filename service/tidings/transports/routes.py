"""What a request's metadata asks for: the method, the encodings, and whose request it is.

Clients send the same few metadata again and again, so what was found for some bytes is remembered for all connections
of the same kind. Nothing that carries a secret is remembered.
"""

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Final

from tidings.contract.call import Call, Credentials
from tidings.contract.codecs import CODECS, Codec, codec_for
from tidings.contract.errors import Failure, invalid_argument, unimplemented
from tidings.contract.table import Permission, Row, Table, Verb
from tidings.metrics import Metrics, Outcomes
from tidings.rsocket import metadata as wire
from tidings.transports.read_scheduler import CALL_SECONDS, CHANNEL_SECONDS, TASK_SECONDS, WATCH_SECONDS
from tidings.transports.settings import ConnectionLimits

MEMO_ROUTES_MAX: Final = 1_024  # methods × the encodings that clients ask for
MEMO_KEY_BYTES_MAX: Final = 512  # with the line above, half a megabyte
SHOWN_CHARS_MAX: Final = 100  # of a foreign route or MIME type in an error

# Entries whose bytes say nothing but which method and which encoding. What else there may be (traces, tokens) is
# different in each request, or secret.
_PLAIN_ENTRIES: Final = frozenset((wire.ROUTING, wire.MIME_TYPE, wire.ACCEPT_MIME_TYPES))
UNDERSTOOD: Final = ", ".join(mime for codec in CODECS for mime in codec.mimes)


def _later_seconds(row: Row) -> float:
    """Time of the loop that a request takes after it was begun; the rest is measured."""
    if row.verb is not Verb.CALL:
        return WATCH_SECONDS if row.verb is Verb.WATCH else CHANNEL_SECONDS
    if not row.waits:
        return 0.0
    return TASK_SECONDS if iscoroutinefunction(row.handler) else CALL_SECONDS


class Route:
    """One method in one pair of encodings.

    `later_seconds` is charged before the request is decoded, for what its handler does after it was begun.
    `said` is response metadata, for an answer in another type than asked. `at_once`: a call that anybody may make,
    whose handler does not wait and whose answer is data alone, so that `answer` is all there is to it.
    """

    __slots__ = (
        "_bytes_max",
        "_request",
        "_steps",
        "at_once",
        "later_seconds",
        "outcomes",
        "row",
        "said",
        "writes",
    )

    def __init__(
        self, row: Row, reads: Codec, writes: Codec, said: bytes | None, outcomes: Outcomes, bytes_max: int
    ) -> None:
        self.row = row
        self.writes = writes
        self.said = said
        self.outcomes = outcomes
        plain = row.verb is Verb.CALL and not row.waits and row.permission is not Permission.OPERATOR
        self.at_once = plain and said is None
        self.later_seconds = _later_seconds(row)
        self._request = row.request
        self._steps = (reads.decode, row.handler, writes.encode)
        self._bytes_max = bytes_max

    def read(self, data: bytes) -> Any:
        """The request that the data say. Raises Failure."""
        if len(data) > self._bytes_max:
            raise self._too_large(data)
        decode, _, _ = self._steps
        return decode(self._request, data)

    def answer(self, data: bytes, call: Call) -> bytes:
        """The answer of a handler that does not wait. Raises what it raises."""
        if len(data) > self._bytes_max:
            raise self._too_large(data)
        decode, handle, encode = self._steps
        return encode(handle(decode(self._request, data), call))

    def _too_large(self, data: bytes) -> Failure:
        return invalid_argument(
            f"the request has {len(data)} bytes, at most {self._bytes_max} are read (request_bytes_max); send less"
        )


class Routes:
    """Metadata bytes → Route, for connections with one metadata MIME type and one codec.

    `known` is for reading only: look there first, then ask `find`.
    """

    __slots__ = ("_codec", "_limits", "_mime", "_outcomes", "_table", "known")

    def __init__(
        self, table: Table, metrics: Metrics, metadata_mime: str, codec: Codec, limits: ConnectionLimits
    ) -> None:
        self._table = table
        self._limits = limits
        self._outcomes: Callable[[str], Outcomes] = metrics.outcomes
        self._mime = metadata_mime
        self._codec = codec
        self.known: dict[bytes | None, Route] = {}

    def find(self, metadata: bytes | None) -> tuple[Route, Credentials | None]:
        """What is asked, and the credentials this one request brings. Raises Failure."""
        request = read_metadata(metadata, self._mime, self._limits)
        if request.route is None:
            raise unimplemented(f"the request names no method; send its route as {wire.ROUTING}")
        row = self._table.rows.get(request.route)
        if row is None:
            raise unimplemented(f"no such route: {request.route[:SHOWN_CHARS_MAX]!a}")
        reads = self._codec if request.data_mime is None else _codec_of(request.data_mime)
        writes, said = self._answer_in(request, reads)
        route = Route(row, reads, writes, said, self._outcomes(row.route), self._limits.request_bytes_max)
        if self._may_be_remembered(metadata, request):
            if len(self.known) >= MEMO_ROUTES_MAX:
                del self.known[next(iter(self.known))]
            self.known[metadata] = route
        return route, credentials_of(request)

    def _answer_in(self, request: wire.RequestMetadata, reads: Codec) -> tuple[Codec, bytes | None]:
        """The codec of the answer: the first that the client accepts, else the one that the request came in.

        Not the connection's own: that would have to be said in response metadata, which rsocket-js 0.0.27 drops.
        """
        accepted = request.accept_mimes
        if not accepted:
            return reads, None
        for mime in accepted:
            codec = codec_for(mime)
            if codec is not None:
                return codec, self._saying(mime) if mime != accepted[0] else None
        raise invalid_argument(f"none of the accepted MIME types is spoken here; spoken are {UNDERSTOOD}")

    def _saying(self, mime: str) -> bytes | None:
        """Response metadata that names the type of the answer. Only composite metadata has room for it."""
        if self._mime != wire.COMPOSITE:
            return None
        return wire.write_composite([(wire.MIME_TYPE, wire.write_mime_type(mime))])

    def _may_be_remembered(self, metadata: bytes | None, request: wire.RequestMetadata) -> bool:
        return (
            metadata is not None
            and len(metadata) <= MEMO_KEY_BYTES_MAX
            and request.credentials is None
            and all(mime in _PLAIN_ENTRIES for mime, _ in request.entries)
        )


def read_metadata(metadata: bytes | None, metadata_mime: str, limits: ConnectionLimits) -> wire.RequestMetadata:
    """What it says; INVALID_ARGUMENT where it is malformed, or more than anybody needs."""
    bytes_max = limits.metadata_bytes_max
    if metadata is not None and len(metadata) > bytes_max:
        raise invalid_argument(
            f"the metadata have {len(metadata)} bytes, at most {bytes_max} are read (metadata_bytes_max); send less"
        )
    try:
        return wire.read_request(metadata, metadata_mime, limits.metadata_entries_max)
    except wire.TooManyEntries as error:
        raise invalid_argument(f"{error} (metadata_entries_max); send fewer") from error
    except wire.MetadataError as error:
        raise invalid_argument(f"the metadata cannot be read: {error}") from error


def credentials_of(request: wire.RequestMetadata) -> Credentials | None:
    """The credentials in the words of the contract."""
    brought = request.credentials
    return None if brought is None else Credentials(brought.user, brought.password, brought.token)


def _codec_of(mime: str) -> Codec:
    codec = codec_for(mime)
    if codec is None:
        raise invalid_argument(f"data in {mime[:SHOWN_CHARS_MAX]!a} is not understood; understood are {UNDERSTOOD}")
    return codec


def setup_codec(mime: str) -> Codec | Failure:
    """The codec of a connection, or why it has none."""
    try:
        return _codec_of(mime)
    except Failure as failure:
        return failure
