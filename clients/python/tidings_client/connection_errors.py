"""Error texts of connection attempts: what failed, and what to check. No state."""

import errno
import os
import ssl as tls

import picows

from tidings.protocols.rsocket import ErrorCode
from tidings_client.address import Address
from tidings_client.errors import ApiError, ConnectionLostError, RequestRejectedError, parse_error_text
from tidings_client.transports import HTTP_SERVER_TEXT


def describe_error(error: Exception, *, connect_seconds: float, ssl: tls.SSLContext | None) -> str:
    """Why an attempt failed, as half a sentence that says what to check.

    `connect_seconds` and `ssl` are the settings of the attempt.
    """
    match error:
        case TimeoutError():
            return f"no answer within {connect_seconds:g} s"
        case OSError() if f"[Errno {errno.ECONNREFUSED}]" in str(error):
            # The text has one such entry for each address of the host.
            return "connection refused; is the service running? (tidings serve)"
        case tls.SSLError():
            return f"TLS failed: {error.reason or error}{missing_certificates_hint(ssl)}"
        case picows.WSInvalidStatusError():
            status = error.response.status.value if error.response else "an error"
            return f"the server answered HTTP {status}; is the path right? (/rsocket)"
        case picows.WSError():
            return f"no WebSocket there: {error}"
        case OSError():
            return error.strerror or str(error) or type(error).__name__
        case ApiError():
            return error.text
        case ConnectionLostError() | RequestRejectedError():
            return str(error)
        case _:
            return f"{type(error).__name__}: {error}"


def missing_certificates_hint(ssl: tls.SSLContext | None) -> str:
    """A hint for a file of trusted certificates that does not exist (OpenSSL does not report it); else empty."""
    file = os.environ.get("SSL_CERT_FILE", "")
    if ssl is not None or not file or os.path.isfile(file):
        return ""
    return f"; SSL_CERT_FILE names {file}, and there is no such file"


def connection_hints(error: Exception, address: Address) -> list[str]:
    """What to try after the first attempt failed with `error`: the other port, or the scheme with or without TLS."""
    if isinstance(error, ConnectionLostError) and error.text == HTTP_SERVER_TEXT:
        return [address.port_hint()]
    hints = [address.port_hint()] if isinstance(error, ConnectionResetError) and address.is_websocket else []
    return [*hints, address.tls_hint()] if is_probably_wrong_scheme(error, address.is_secure) else hints


def is_probably_wrong_scheme(error: Exception, is_secure: bool) -> bool:
    """Whether `error` is typical of a connection where one side speaks TLS and the other does not.

    A server without TLS takes a TLS handshake for the beginning of something longer and waits, or answers in plain
    text. A server with TLS closes the connection when it receives anything else.
    """
    match error:
        case tls.SSLError():
            return is_secure and "CERTIFICATE" not in (error.reason or "")
        case TimeoutError():
            return is_secure
        case ConnectionResetError():
            return True
        case ConnectionLostError():
            return not is_secure and parse_error_text(error.text) is None and error.code == ErrorCode.CONNECTION_ERROR
        case _:
            return False
