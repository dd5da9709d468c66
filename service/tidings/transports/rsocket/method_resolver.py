"""What a request's metadata asks for: the method, the encodings, and whose request it is.

Clients send the same few metadata again and again, so what was found for some bytes is remembered for all connections
of the same kind. Nothing that carries a secret is remembered.
"""

from collections.abc import Callable
from typing import Final

from tidings.contract.codecs import Codec, codec_for
from tidings.contract.context import Credentials
from tidings.contract.errors import ApiError, invalid_argument, unimplemented
from tidings.contract.methods import Method, MethodTable
from tidings.dispatch.methods import SUPPORTED_MIMES, MethodBinding, codec_of, find_method
from tidings.metrics.registry import Metrics, RouteCounters
from tidings.protocols.rsocket import metadata as rsocket_metadata
from tidings.server.settings import ConnectionLimits

CACHED_BINDINGS_MAX: Final = 1_024  # methods × the encodings that clients ask for
CACHE_KEY_BYTES_MAX: Final = 512  # with the line above, half a megabyte

# Entries whose bytes say nothing but which method and which encoding. What else there may be (traces, tokens) is
# different in each request, or secret.
_CACHEABLE_ENTRIES: Final = frozenset(
    (rsocket_metadata.ROUTING, rsocket_metadata.MIME_TYPE, rsocket_metadata.ACCEPT_MIME_TYPES)
)


class RSocketBinding(MethodBinding):
    """A binding with `response_metadata`, for a reply in another type than the first that was accepted.

    `is_inline`: its call can be answered within the engine's `receive` (see `MethodBinding.is_plain_call`).
    """

    __slots__ = ("is_inline", "response_metadata")

    def __init__(
        self,
        method: Method,
        request_codec: Codec,
        reply_codec: Codec,
        counters: RouteCounters,
        bytes_max: int,
        response_metadata: bytes | None,
    ) -> None:
        super().__init__(method, request_codec, reply_codec, counters, bytes_max)
        self.response_metadata = response_metadata
        self.is_inline = self.is_plain_call and response_metadata is None


class MethodResolver:
    """Metadata bytes → Route, for connections with one metadata MIME type and one codec.

    `cache` is for reading only: look there first, then ask `resolve`.
    """

    __slots__ = ("_codec", "_limits", "_metadata_mime", "_methods", "_route_counters", "cache")

    def __init__(
        self, methods: MethodTable, metrics: Metrics, metadata_mime: str, codec: Codec, limits: ConnectionLimits
    ) -> None:
        self._methods = methods
        self._limits = limits
        self._route_counters: Callable[[str], RouteCounters] = metrics.route_counters
        self._metadata_mime = metadata_mime
        self._codec = codec
        self.cache: dict[bytes | None, RSocketBinding] = {}

    def resolve(self, metadata: bytes | None) -> tuple[RSocketBinding, Credentials | None]:
        """What is asked, and the credentials this one request brings. Raises Failure."""
        request = read_metadata(metadata, self._metadata_mime, self._limits)
        if request.route is None:
            raise unimplemented(f"the request names no method; send its route as {rsocket_metadata.ROUTING}")
        method = find_method(self._methods, request.route)
        request_codec = self._codec if request.data_mime is None else codec_of(request.data_mime)
        reply_codec, response_metadata = self._negotiate_reply(request, request_codec)
        binding = RSocketBinding(
            method,
            request_codec,
            reply_codec,
            self._route_counters(method.route),
            self._limits.request_bytes_max,
            response_metadata,
        )
        if self._is_cacheable(metadata, request):
            if len(self.cache) >= CACHED_BINDINGS_MAX:
                del self.cache[next(iter(self.cache))]
            self.cache[metadata] = binding
        return binding, credentials_of(request)

    def _negotiate_reply(
        self, request: rsocket_metadata.RequestMetadata, request_codec: Codec
    ) -> tuple[Codec, bytes | None]:
        """The codec of the answer: the first that the client accepts, else the one that the request came in.

        Not the connection's own: that would have to be said in response metadata, which rsocket-js 0.0.27 drops.
        """
        accepted = request.accept_mimes
        if not accepted:
            return request_codec, None
        for mime in accepted:
            codec = codec_for(mime)
            if codec is not None:
                return codec, self._mime_metadata(mime) if mime != accepted[0] else None
        raise invalid_argument(f"none of the accepted MIME types is spoken here; spoken are {SUPPORTED_MIMES}")

    def _mime_metadata(self, mime: str) -> bytes | None:
        """Response metadata that names the type of the answer. Only composite metadata has room for it."""
        if self._metadata_mime != rsocket_metadata.COMPOSITE:
            return None
        return rsocket_metadata.write_composite([(rsocket_metadata.MIME_TYPE, rsocket_metadata.write_mime_type(mime))])

    def _is_cacheable(self, metadata: bytes | None, request: rsocket_metadata.RequestMetadata) -> bool:
        return (
            metadata is not None
            and len(metadata) <= CACHE_KEY_BYTES_MAX
            and request.credentials is None
            and all(mime in _CACHEABLE_ENTRIES for mime, _ in request.entries)
        )


def read_metadata(
    metadata: bytes | None, metadata_mime: str, limits: ConnectionLimits
) -> rsocket_metadata.RequestMetadata:
    """What it says; INVALID_ARGUMENT where it is malformed, or more than anybody needs."""
    bytes_max = limits.metadata_bytes_max
    if metadata is not None and len(metadata) > bytes_max:
        raise invalid_argument(
            f"the metadata have {len(metadata)} bytes, at most {bytes_max} are read (metadata_bytes_max); send less"
        )
    try:
        return rsocket_metadata.read_request(metadata, metadata_mime, limits.metadata_entries_max)
    except rsocket_metadata.TooManyEntriesError as error:
        raise invalid_argument(f"{error} (metadata_entries_max); send fewer") from error
    except rsocket_metadata.MetadataError as error:
        raise invalid_argument(f"the metadata cannot be read: {error}") from error


def credentials_of(request: rsocket_metadata.RequestMetadata) -> Credentials | None:
    """The credentials in the words of the contract."""
    credentials = request.credentials
    return None if credentials is None else Credentials(credentials.user, credentials.password, credentials.token)


def setup_codec(mime: str) -> Codec | ApiError:
    """The codec of a connection, or why it has none."""
    try:
        return codec_of(mime)
    except ApiError as failure:
        return failure
