"""From SETUP to a session that is known, or to the reason why not.

Meanwhile the connection is nobody's: its reading is paused, and what came behind SETUP is held by the engine.
"""

import asyncio
from typing import TYPE_CHECKING

from tidings.contract.call import Credentials, Session
from tidings.contract.codecs import Codec
from tidings.contract.errors import Failure
from tidings.rsocket import ErrorCode, Setup, State
from tidings.transports.endings import STOPPING, failure_of
from tidings.transports.read_scheduler import ADMISSION_SECONDS
from tidings.transports.routes import credentials_of, read_metadata, setup_codec

if TYPE_CHECKING:
    from tidings.transports.rsocket_session import RSocketSession


def begin(session: "RSocketSession", setup: Setup) -> asyncio.Task[None] | None:
    """Ask the gate who this is; `enter` or `refuse` of the session gets its answer. None: it is refused already."""
    codec = setup_codec(setup.data_mime)
    if isinstance(codec, Failure):
        session.refuse(codec, ErrorCode.UNSUPPORTED_SETUP)
    elif session.service.draining:
        session.refuse(STOPPING)
    else:
        session.wire.budget.used += ADMISSION_SECONDS
        return session.service.start(_admit(session, setup, codec))
    return None


async def _admit(session: "RSocketSession", setup: Setup, codec: Codec) -> None:
    service = session.service
    try:
        brought = credentials_of(read_metadata(setup.metadata, setup.metadata_mime, service.connections))
        identity = await service.gate.admit(brought or Credentials())
        if session.connection.state is not State.ADMITTING:
            return  # it ended meanwhile
        caller = Session(session.id, identity, session.transport_name, session.close, session.full)
        service.gate.entered(caller)
    except Exception as error:
        session.refuse(failure_of(error, "SETUP"))
        session.flush()
    else:
        session.enter(caller, service.routes(setup.metadata_mime, codec))
