"""The URL of a PostgreSQL store: what is libpq's in it, and what is ours. Pure.

libpq reads `postgresql://user:password@host:port/database?parameter=value` with all that belongs to
it (PG* variables, service and password files, TLS; libpq-connect in PostgreSQL's manual). Ours are:

    schema=NAME     the schema the store lives in, `queuectl` if not said
    lease=SECONDS   within which a host must renew, 600 if not said
    poll=SECONDS    between looks at the store where no notice came, 10 if not said
    prepare=off     no prepared statements, as some connection poolers want it
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from queuectl.errors import BadValue, UsageError, did_you_mean
from queuectl.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES = ("postgresql", "postgres")
LEASE = 600.0
POLL = 10.0
#: what libpq is told where the URL does not say otherwise: a connection that hangs is found out
_DEFAULTS = {
    "application_name": "queuectl",
    "connect_timeout": "10",
    "target_session_attrs": "read-write",
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


class Target(Record):
    """Where a store is, and how it is used."""

    #: for libpq, with its credentials
    conninfo: str
    schema: str
    #: what may be shown to anybody
    shown: str
    #: the URL without a password, but with all else, the schema among it
    public_url: str
    #: what no message may show
    secret: str | None
    lease: float = LEASE
    poll: float = POLL
    prepare: bool = True


def parse(url: str, environ: Mapping[str, str]) -> Target:
    """Return what a URL says. Raises UsageError, BadValue; none of them shows a password."""
    scheme, colon, rest = url.partition("://")
    if scheme not in SCHEMES or not colon:
        raise UsageError("a PostgreSQL store is postgresql://[user@][host][:port]/[database]")
    place, _, query = rest.partition("?")
    ours: dict[str, str] = {}
    theirs: list[str] = []
    for word in query.split("&") if query else ():
        name, _, value = word.partition("=")
        if name in _READERS:
            ours[name] = unquote(value)
        else:
            theirs.append(word)
    login, at, where = place.rpartition("@")
    user, _, password = login.partition(":")
    schema = ours.get("schema", "queuectl")
    # libpq reads %77 for a letter of these, too
    public = [word for word in theirs if unquote(word.partition("=")[0]) not in _SECRETS]
    public += [
        f"{name}={quote(value, safe='')}" for name, value in {**ours, "schema": schema}.items()
    ]
    given = {word.partition("=")[0] for word in theirs}
    for name, value in _DEFAULTS.items():
        variable = _VARIABLES.get(name)
        if name not in given and (variable is None or variable not in environ):
            theirs.append(f"{name}={value}")
    for name, value in ours.items():
        _READERS[name](name, value)
    shown = f"postgresql://{user}{at}{where}"
    if schema != "queuectl":
        shown += f"?schema={quote(schema, safe='')}"
    hidden = next((word[9:] for word in theirs if word.startswith("password=")), password)
    return Target(
        conninfo=f"postgresql://{place}?{'&'.join(theirs)}",
        schema=schema,
        shown=shown,
        public_url=f"postgresql://{user}{at}{where}?{'&'.join(public)}",
        secret=unquote(hidden) or None,
        lease=float(ours.get("lease", LEASE)),
        poll=float(ours.get("poll", POLL)),
        prepare=ours.get("prepare", "on") == "on",
    )


def unknown_parameter(name: str) -> str:
    """Return what is to be said of a parameter that neither libpq nor we know."""
    return f"no such parameter {name!r}{did_you_mean(name, (*_READERS, *_DEFAULTS, *_TLS))}"


#: what a URL is passed on without
_SECRETS = frozenset(("password", "sslpassword"))
_TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "host", "port", "user", "password",
        "dbname", "service", "passfile", "options")  # fmt: skip
#: variables by which libpq is told these
_VARIABLES = {
    "application_name": "PGAPPNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


def _name(parameter: str, text: str) -> None:
    plain = text.replace("_", "a")
    if not (plain.isascii() and plain.isalnum() and not plain[0].isdigit() and len(text) < 64):
        raise BadValue(
            what=parameter, value=text, expected="a name of letters, digits and _, such as queuectl"
        )


def _seconds(parameter: str, text: str) -> None:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e6 or (parameter == "lease" and value < 1):
        raise BadValue(what=parameter, value=text, expected="a number of seconds such as 30")


def _switch(parameter: str, text: str) -> None:
    if text not in {"on", "off"}:
        raise BadValue(what=parameter, value=text, expected="on or off")


_READERS = {"schema": _name, "lease": _seconds, "poll": _seconds, "prepare": _switch}
