"""What the URL of a PostgreSQL store says to libpq, to the store, and to whoever reads a message."""

from __future__ import annotations

import pytest

from queuectl.errors import BadValue, UsageError
from queuectl.store.postgres.primitives import glob_expression
from queuectl.store.postgres.url import LEASE, POLL, parse


def test_ours_is_taken_out_and_the_rest_is_libpqs() -> None:
    """In any order, and libpq's own stay as they were written."""
    target = parse(
        "postgresql://u@h:5/db?sslmode=require&schema=q&lease=10&poll=5&options=-c%20a", {}
    )
    assert (target.schema, target.lease, target.poll) == ("q", 10.0, 5.0)
    words = target.conninfo.partition("?")[2].split("&")
    assert words[:2] == ["sslmode=require", "options=-c%20a"]
    assert target.conninfo.startswith("postgresql://u@h:5/db?")
    assert not any(word.startswith(("schema=", "lease=", "poll=")) for word in words)


def test_what_is_not_said_has_a_default() -> None:
    """Also where everything comes from PG* variables or a service file."""
    target = parse("postgresql://", {})
    assert (target.schema, target.lease, target.poll, target.prepare) == (
        "queuectl",
        LEASE,
        POLL,
        True,
    )
    assert "target_session_attrs=read-write" in target.conninfo
    target = parse("postgres:///?service=jobs", {"PGTARGETSESSIONATTRS": "any"})
    assert "service=jobs" in target.conninfo
    assert "target_session_attrs" not in target.conninfo


def test_what_the_url_says_wins_over_a_default() -> None:
    """Libpq takes the last of two alike, so there is only one."""
    target = parse("postgresql://h/db?connect_timeout=3&target_session_attrs=any", {})
    assert target.conninfo.count("connect_timeout=") == 1
    assert "connect_timeout=3" in target.conninfo
    assert target.conninfo.count("target_session_attrs=") == 1


def test_what_a_job_is_told_opens_the_same_store() -> None:
    """All of the URL but its secrets; the schema is said even where it is the usual one."""
    url = "postgresql://u:p@h:5/db?sslmode=require&sslpassword=q&lease=10&schema=a_b"
    public = parse(url, {}).public_url
    assert public == "postgresql://u@h:5/db?sslmode=require&lease=10&schema=a_b"
    assert parse(public, {})._replace(secret=None) == parse(public, {})
    assert "s3cret" not in parse("postgresql://u@h/d?pass%77ord=s3cret", {}).public_url
    assert parse("postgres://h/db", {}).public_url == "postgresql://h/db?schema=queuectl"


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:s3cret@h/db", "postgresql://u@h/db?password=s3cret",
     "postgresql://u:s3cret@h/db?schema=x"],
)  # fmt: skip
def test_no_password_is_shown(url: str) -> None:
    """Wherever it stands."""
    target = parse(url, {})
    assert "s3cret" not in target.shown
    assert target.shown.startswith("postgresql://u@h/db")
    assert target.secret == "s3cret"
    assert "s3cret" not in target.public_url
    assert "s3cret" in target.conninfo


@pytest.mark.parametrize(
    ("query", "fault"),
    [("schema=", "schema"), ("schema=a;b", "schema"), ("schema=9", "schema"), ("lease=soon", "lease"),
     ("lease=0", "lease"), ("poll=-1", "poll"), ("prepare=maybe", "prepare")],
)  # fmt: skip
def test_a_bad_value_is_named(query: str, fault: str) -> None:
    """With what it should be, and without the rest of the URL."""
    with pytest.raises(BadValue, match=f"^{fault}: ") as caught:
        parse(f"postgresql://u:s3cret@h/db?{query}", {})
    assert "s3cret" not in str(caught.value)


def test_a_url_of_something_else_is_refused() -> None:
    """In words."""
    with pytest.raises(UsageError, match="postgresql://"):
        parse("mysql://h/db", {})


@pytest.mark.parametrize(
    ("glob", "expression"),
    [("a*", "^(?:a.*)$"), ("a?b", "^(?:a.b)$"), ("[ab]", "^(?:[ab])$"), ("[!a]", "^(?:[^a])$"),
     ("a.b+", r"^(?:a\.b\+)$"), ("[a", r"^(?:\[a)$"), ("[]a]", r"^(?:[\]a])$"), ("é*", "^(?:é.*)$")],
)  # fmt: skip
def test_a_glob_as_an_expression(glob: str, expression: str) -> None:
    """What is no wildcard is itself."""
    assert glob_expression(glob) == expression
