"""What every protocol on a socket needs: the first bytes of TLS, the peer's address, closing one half."""

import asyncio
from typing import Final

# How a client begins that expects TLS. As RSocket it would be a first frame of 1.4 MB, far beyond what one may have.
TLS_HANDSHAKE_PREFIX: Final = b"\x16\x03"


def peer_host(peername: object) -> str:
    """The address in a socket's peer name; "" where there is none."""
    return str(peername[0]) if isinstance(peername, tuple) else ""


def half_close(transport: asyncio.Transport) -> None:
    """Send EOF behind what is written and go on reading; where that cannot be (TLS), close."""
    if transport.is_closing():
        return  # asyncio's TLS forgets what it has to send when it is closed twice
    if not transport.can_write_eof():
        transport.close()
        return
    try:
        transport.write_eof()
    except OSError:
        # The peer has reset the connection and the loop has not come to tell us yet.
        transport.abort()
