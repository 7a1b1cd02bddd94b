"""How much a client may ask for, and where a service may listen."""

from __future__ import annotations

import socket

from queuectl.errors import Refused, UsageError
from queuectl.record import Record
from queuectl.settings import BY_NAME, value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from queuectl.store.base import Store

    #: family, kind, protocol, name, address
    AddressInfo = tuple[Any, Any, int, str, Any]

#: bytes of a message: it becomes one argument, and Linux takes no longer one (MAX_ARG_STRLEN)
LONGEST_MESSAGE = 128 * 1024 - 1


class Limits(Record):
    """What one way in takes."""

    #: clients at once
    connections: int = 1000
    #: bytes of one line
    line: int = LONGEST_MESSAGE
    #: lines a second of one client, the rest has to wait; 0 is no limit
    rate: int = 0
    #: seconds after which a client that says nothing is sent away; 0 is never
    idle: float = 0


def limits_of(store: Store, *, messages: bool) -> Limits:
    """Return what the settings allow: of messages from the network, or of the socket's requests."""
    made = {**store.local_settings, **store.settings()}

    def number(name: str) -> int:
        return int(value_of(name, {name: made.get(name, BY_NAME[name].default)}))

    connections = number("intake-connections")
    if not messages:
        return Limits(connections, number("intake-request"))
    return Limits(connections, LONGEST_MESSAGE, number("intake-rate"), number("intake-idle") / 1000)


def parse_address(flag: str, text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, `[::1]:PORT` or `:PORT` (this machine's own address).

    Raises UsageError.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{flag} {text!r}: an address is HOST:PORT, such as 127.0.0.1:1234")
    return host, int(port)


def resolve(flag: str, text: str, *, allow_remote: bool) -> AddressInfo:
    """Return what getaddrinfo(3) says of an address to listen at; opens nothing.

    Raises UsageError for one that is none or is not allowed.
    """
    host, port = parse_address(flag, text)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{flag} {text!r}: {getattr(error, 'strerror', error)}") from None
    if not allow_remote and not is_loopback(str(found[0][4][0])):
        raise UsageError(
            f"{flag} {text}: other machines could reach it; if they may: --allow-remote"
        )
    return found[0]


def listen(flag: str, text: str, *, allow_remote: bool) -> socket.socket:
    """Return a listening socket. Raises what `resolve` raises, and Refused when it cannot be had."""
    family, kind, protocol, _, address = resolve(flag, text, allow_remote=allow_remote)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise Refused(f"{flag} {text}: {error.strerror}") from None
    return listener


def is_loopback(address: str) -> bool:
    """Whether an address is one that only this machine can reach."""
    import ipaddress

    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def shown_address(listener: socket.socket) -> str:
    """Return where a socket listens, the port that the system chose included."""
    name = listener.getsockname()
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{host}:{name[1]}"
