"""From SETUP to a session that is known, or to the reason why not.

Meanwhile the connection is nobody's: its reading is paused, and what came behind SETUP is held by the engine.
"""

import asyncio
from typing import TYPE_CHECKING

from tidings.contract.codecs import Codec
from tidings.contract.context import Credentials, Session
from tidings.contract.errors import ApiError
from tidings.dispatch.errors import SHUTTING_DOWN, to_api_error
from tidings.protocols.rsocket import ConnectionState, ErrorCode, Setup
from tidings.server.read_scheduler import AUTHENTICATION_COST_SECONDS
from tidings.transports.rsocket.method_resolver import credentials_of, read_metadata, setup_codec

if TYPE_CHECKING:
    from tidings.transports.rsocket.connection import RSocketServerConnection


def start_authentication(connection: "RSocketServerConnection", setup: Setup) -> asyncio.Task[None] | None:
    """Ask the authenticator who this is; `on_authenticated` or `reject_setup` of the session gets its answer. None:
    it is refused already."""
    codec = setup_codec(setup.data_mime)
    if isinstance(codec, ApiError):
        connection.reject_setup(codec, ErrorCode.UNSUPPORTED_SETUP)
    elif connection.server.is_draining:
        connection.reject_setup(SHUTTING_DOWN)
    else:
        connection.transport.budget.used_seconds += AUTHENTICATION_COST_SECONDS
        return connection.server.start_task(_authenticate(connection, setup, codec))
    return None


async def _authenticate(connection: "RSocketServerConnection", setup: Setup, codec: Codec) -> None:
    server = connection.server
    try:
        credentials = credentials_of(read_metadata(setup.metadata, setup.metadata_mime, server.connection_limits))
        identity = await server.authenticator.authenticate(credentials or Credentials())
        if connection.engine.state is not ConnectionState.AUTHENTICATING:
            return  # it ended meanwhile
        session = Session(
            connection.id, identity, connection.transport_name, connection.close, connection.until_writable
        )
        server.authenticator.register(session)
    except Exception as error:
        connection.reject_setup(to_api_error(error, "SETUP"))
        connection.flush()
    else:
        connection.on_authenticated(session, server.method_resolver(setup.metadata_mime, codec))
