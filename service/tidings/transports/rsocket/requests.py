"""The requests of one connection: from metadata to a responder that its client session starts."""

from tidings.contract.context import CallContext
from tidings.contract.errors import ApiError, unimplemented
from tidings.dispatch.client_session import ClientSession
from tidings.dispatch.errors import to_api_error
from tidings.protocols.rsocket import InlineError, Stream, events
from tidings.transports.rsocket.frame_connection import FrameConnection
from tidings.transports.rsocket.method_resolver import MethodResolver, RSocketBinding
from tidings.transports.rsocket.responders import INTERACTIONS, RESPONDERS, RSocketAuthenticating, RSocketCall


class RequestHandler:
    """Made when SETUP is accepted."""

    __slots__ = ("_bindings", "_client_session", "_connection", "_context", "_resolver")

    def __init__(self, connection: FrameConnection, client_session: ClientSession, resolver: MethodResolver) -> None:
        self._connection = connection
        self._client_session = client_session
        self._context = client_session.context
        self._resolver = resolver
        self._bindings = resolver.cache

    def handle_inline(self, metadata: bytes | None, data: bytes) -> bytes | RSocketBinding | None:
        """The reply of a call that is not for operators and does not wait; else the binding, for `on_request`.

        What `start_request` would do in the end, by the shortest way there is: nearly all calls come by here. Every
        user is signed in, since presence is CONNECTED.
        """
        binding = self._bindings.get(metadata)
        if binding is None or not binding.is_inline:
            return binding
        try:
            reply = binding.handle(data, self._context)
        except Exception as error:
            raise _inline_error(binding, error) from error
        binding.counters.ok += 1
        return reply

    def on_request(self, event: events.RequestReceived) -> None:
        stream, metadata, data, complete = event
        binding: RSocketBinding | None = stream.context or self._bindings.get(metadata)
        if binding is not None:
            self.start_request(binding, stream, data, complete, self._context)
            return
        # Metadata that was not seen before, or must not be cached.
        try:
            binding, credentials = self._resolver.resolve(metadata)
        except ApiError as failure:
            if not stream.closed:
                stream.fail(failure.mapping.rsocket, failure.rsocket_data)
            return
        if credentials is None:
            self.start_request(binding, stream, data, complete, self._context)
        else:
            session = self._client_session
            responder = RSocketAuthenticating(self._connection, session, binding, stream, self._context)
            session.authenticate(responder, credentials, data, complete)

    def start_request(
        self, binding: RSocketBinding, stream: Stream, data: bytes, complete: bool, context: CallContext
    ) -> None:
        """Serve a request as this caller."""
        connection, session = self._connection, self._client_session
        method = binding.method
        made = RESPONDERS.get((method.kind, stream.interaction))
        if made is not None:
            session.start(made(connection, session, binding, stream, context), data, complete)
            return
        responder = RSocketCall(connection, session, binding, stream, context)
        responder.fail(
            unimplemented(
                f"{method.route} is a {method.kind.value}: ask with {INTERACTIONS[method.kind]}, "
                f"not {stream.interaction.name}"
            )
        )


def _inline_error(binding: RSocketBinding, error: Exception) -> InlineError:
    """How the engine sends this error to the peer; counted.

    Not in `handle_inline`, whose frame the traceback of `error` refers to: a variable there that refers to `error`
    would be a cycle, which holds the request until the collector runs.
    """
    failure = to_api_error(error, binding.method.route)
    binding.counters.errors[failure.code.name] += 1
    return InlineError(failure.mapping.rsocket, failure.rsocket_data)
