"""A server's certificate and key: looked at before they are used, so that a fault names its file."""

from __future__ import annotations

from queuectl.errors import Refused
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl


class Tls(Record):
    """PEM files of a server's certificate and key."""

    certificate: str
    key: str


def check(tls: Tls) -> None:
    """Raise Refused naming what cannot be used."""
    import ssl

    load(tls, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def load(tls: Tls, context: ssl.SSLContext) -> None:
    """Have a context show the certificate. Raises Refused; then the context may have neither."""
    for what, path in (("certificate", tls.certificate), ("key of the certificate", tls.key)):
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise Refused(f"HTTP: the {what} {path}: {error.strerror}") from None
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ValueError) as error:
        files = f"{tls.certificate} and {tls.key}"
        raise Refused(
            f"HTTP: {files} cannot be used as the certificate and its key: {error}"
        ) from None
