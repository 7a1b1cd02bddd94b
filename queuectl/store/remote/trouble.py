"""What a request that failed says to people: why no answer came, or what the answer means."""

from __future__ import annotations

import http.client
import json
import os
import ssl

from queuectl.errors import Refused, StoreUnavailable
from queuectl.store.remote import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.store.remote.http import Address

#: what OpenSSL says of an answer that is not TLS
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
_CERTIFICATES = "SSL_CERT_FILE"


def say(error: Exception, address: Address) -> str:
    """Return in a few words why no answer came."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}{_about_certificates()}"
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        return f"it speaks http, not https: {address._replace(secure=False).shown}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection"
    if not speaks_http(error):
        return "what answers there speaks no HTTP"
    return " ".join(str(error).split()) or type(error).__name__


def speaks_http(error: Exception) -> bool:
    """Whether it may be HTTP what answered: also one that ended in the middle of its first line."""
    if not isinstance(error, http.client.BadStatusLine):
        return True
    line = str(error).strip().upper()
    begun = "HTTP/"[: len(line)]
    return isinstance(error, http.client.RemoteDisconnected) or line.startswith(begun)


def _about_certificates() -> str:
    """Return what there is to say about the file that names whom to trust, which OpenSSL does not."""
    path = os.environ.get(_CERTIFICATES)
    if not path:
        return ""
    try:
        with open(path, "rb"):
            return ""
    except OSError as error:
        return f"; {_CERTIFICATES}={path}: {error.strerror}"


def is_ours(data: bytes) -> bool:
    """Whether an answer is a queuectl's, and not of a proxy in front."""
    return b'"exit_code"' in data


def fault(address: Address, status: int, data: bytes) -> Exception:
    """Return the error that an answer tells of."""
    try:
        told = json.loads(data)
    except ValueError:
        told = None
    if not isinstance(told, dict) or "error" not in told:
        reason = f"status {status}: no queuectl serves there"
        return StoreUnavailable(store=address.shown, reason=reason)
    text = str(told["error"])
    if status == 401 and address.token:
        return Refused(f"{address.shown} does not know {address.source}")
    if status == 401:
        hint = "--token-file or QUEUECTL_TOKEN_FILE names the file with the token"
        return Refused(f"{address.shown} does not know who asks: {hint}")
    if status in (403, 426):
        return Refused(f"{address.shown}: {text}")
    if status >= 500 and "kind" not in told:
        return StoreUnavailable(store=address.shown, reason=text)
    return wire.error_from(told)
