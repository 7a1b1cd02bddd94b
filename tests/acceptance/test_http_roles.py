"""Who may do what over HTTP: what a token for looking is not shown, and what it can all the same."""

from __future__ import annotations

import base64
import inspect
import json
import signal
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.errors import Refused, UsageError
from queuectl.intake.http.auth import load_tokens
from queuectl.job import Array, NewJob
from queuectl.schedule import pack
from queuectl.store import open_store
from queuectl.store.base import Filter, HostInfo, Schedule, Store
from queuectl.store.remote.token import strongest
from queuectl.store.remote.wire import METHODS, READ, SUBMIT, allows, dumps
from tests.support.hosts import eventually
from tests.support.http_server import Server
from tests.support.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.cli import Cli

SECRET = "s3cr3t-of-a-job"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database file with a queue that takes messages."""
    made = open_store(str(tmp_path / "queue.db"))
    made.create_queue("params")
    made.set("command", "echo", "params")
    made.set("accept-messages", "on", "params")
    yield made
    made.close()


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    """A server over it."""
    with Server(store) as made:
        yield made


# ---- what is shown ------------------------------------------------------------------------------

#: arguments that find something, by the type that the contract says
_ARGUMENTS: dict[str, Any] = {
    "int": 1, "int | None": None, "str": "named", "Filter": Filter(), "Sequence[int]": [1, 2, 3, 4],
}  # fmt: skip


def _arguments(name: str) -> list[Any]:
    """Return arguments for a method of the store, of those that it cannot do without."""
    _, *takes = inspect.signature(getattr(Store, name)).parameters.values()
    return [_ARGUMENTS[one.annotation] for one in takes if one.default is one.empty]


def _fill(store: Store) -> None:
    """Have a job in every place where one is told of, each with a secret among its variables."""
    job = NewJob("true", name="named", env={"PASSWORD": SECRET}, stdin=SECRET.encode())
    alike = [job._replace(name=None, array=Array("a", number)) for number in range(3)]
    store.add([job, *alike])
    store.cancel([2])
    now = store.now()
    store.put_schedule(Schedule("nightly", "0 3 * * *", "", "skip", "none", pack(job), now + 10**6))
    store.register(HostInfo("h", "m", "u", 1, "1", 1, (), now, now))


def _said(data: bytes) -> str:
    """Return all the texts of an answer, with what stands in it as bytes."""
    found = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if set(value) == {"!b"}:
                found.append(base64.b64decode(value["!b"]).decode())
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        else:
            found.append(str(value))

    walk(json.loads(data))
    text = "\n".join(found)
    # the standard input that a schedule keeps
    return text.replace(base64.b64encode(SECRET.encode()).decode(), SECRET)


@pytest.mark.parametrize(
    "name", sorted(name for name, method in METHODS.items() if allows(SUBMIT, method.role))
)
def test_variables_of_jobs_are_not_for_those_who_look(
    server: Server, store: Store, name: str
) -> None:
    """Through no method that the role may call."""
    assert METHODS[name].kind == READ
    _fill(store)
    body = dumps({"args": _arguments(name), "named": {}})
    status, answer, _ = server.raw("POST", f"/store/{name}", body, "submit")
    assert status == 200, answer
    assert SECRET not in _said(answer)
    if name in ("get", "jobs", "alike", "finished", "schedules"):
        assert SECRET in _said(server.raw("POST", f"/store/{name}", body, "work")[1])


@pytest.mark.parametrize("path", ["/jobs", "/jobs/1", "/status", "/jobs/1/attempts"])
def test_nor_are_they_shown_by_what_is_for_people(server: Server, store: Store, path: str) -> None:
    """To anybody."""
    _fill(store)
    assert SECRET not in server.raw("GET", path)[1].decode()


def test_what_is_shown_instead(cli: Cli, server: Server, store: Store) -> None:
    """The job as it is, without variables; its schedule too. An export is refused: it would lack them."""
    _fill(store)
    cli.env["QUEUECTL_STORE"] = server.with_token("submit")
    told = cli.json("status", "1")
    assert (told["command"], told["name"], told["env"]) == ("true", "named", {})
    assert "true" in cli.ok("schedule", "list")
    assert "role work" in cli.run("export").stderr
    cli.env["QUEUECTL_STORE"] = server.with_token("work")
    assert cli.json("status", "1")["env"] == {"PASSWORD": SECRET}


# ---- messages from the command line -------------------------------------------------------------


@pytest.fixture
def submitter(cli: Cli, server: Server) -> Cli:
    """A command line with a token for messages, in a file with its role."""
    path = cli.directory / "token"
    path.write_text(f"submit:{server.tokens['submit']}\n")
    path.chmod(0o600)
    cli.env["QUEUECTL_STORE"] = server.url
    cli.env["QUEUECTL_TOKEN_FILE"] = str(path)
    return cli


def test_messages_are_submitted_with_a_token_for_messages(submitter: Cli, store: Store) -> None:
    """One, several, and lines of standard input; what is said is what others are told."""
    told = json.loads(submitter.ok("--json", "submit", "params", "x y"))
    assert told == {"id": 1, "name": None, "queue": "params"}
    assert submitter.ok("submit", "params", "a", "b;c").startswith("jobs 2-3 enqueued in queue")
    assert submitter.ok("submit", "--quiet", "params", "-", stdin="d\n\ne\n") == "4\n5\n"
    assert [job.args for job in store.jobs(Filter())] == [
        ("x y",), ("a",), ("b;c",), ("d",), ("e",),
    ]  # fmt: skip
    told = json.loads(submitter.ok("--json", "submit", "params", "-"))
    assert told == {"queue": "params", "enqueued": 0, "ids": []}


def test_a_bad_message_stops_all(submitter: Cli, store: Store) -> None:
    """And its line is named, as with any other token."""
    done = submitter.run("submit", "params", "-", stdin="good\n" + "x" * 200_000 + "\n")
    assert done.returncode == 2
    assert "line 2" in done.stderr
    assert store.newest_id() is None


def test_what_a_token_for_messages_cannot(submitter: Cli, store: Store) -> None:
    """Other queues, and all that is said of a job beside its message: in words of the user's."""
    store.create_queue("quiet")
    store.set("command", "echo", "quiet")
    assert "accept-messages is off" in submitter.refused(1, "submit", "quiet", "x")
    for flag, value in (("--priority", "3"), ("--name", "n"), ("--delay", "1h")):
        assert f"{flag} needs a token with the role work" in submitter.refused(
            1, "submit", "params", flag, value, "--", "x"
        )
    assert store.newest_id() is None
    submitter.ok("submit", "params", "x")
    for words in (("enqueue", "true"), ("cancel", "1"), ("worker", "start", "1")):
        said = submitter.run(*words).stderr
        assert "this needs a token with the role work; yours is for submit" in said, words
    assert "role admin" in submitter.run("queue", "create", "q").stderr
    assert store.newest_id() == 1


# ---- token files --------------------------------------------------------------------------------


def _tokens(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_a_servers_token_has_a_role(tmp_path: Path) -> None:
    """One without is not taken for the strongest; the line is told, the token is not."""
    lone = "l" * 24
    path = _tokens(tmp_path / "tokens", f"submit:{'s' * 24}\n{lone}\n")
    with pytest.raises(UsageError, match=r"tokens: line 2: no role: submit:TOKEN, work") as told:
        load_tokens(path)
    assert lone not in str(told.value)
    with pytest.raises(UsageError, match="line 1: no role"):
        load_tokens(_tokens(tmp_path / "tokens", lone))
    with pytest.raises(UsageError, match="tokens: .*'root' is not a role"):
        load_tokens(_tokens(tmp_path / "tokens", f"root:{lone}"))


def test_a_clients_file_may_hold_one_token_alone(tmp_path: Path) -> None:
    """Whatever its role is; of several each says which it is for."""
    path = tmp_path / "token"
    assert strongest(_tokens(path, "# mine\n" + "x" * 20)) == "x" * 20
    assert strongest(_tokens(path, "submit:aaa\nadmin:bbb\nwork:ccc\n")) == "bbb"
    with pytest.raises(UsageError, match="line 2: no role"):
        strongest(_tokens(path, "submit:aaa\nbbb\n"))


def test_a_service_refuses_a_token_without_a_role(cli: Cli) -> None:
    """At its start; and when it reads its file again it goes on as it was."""
    good = f"work:{'w' * 24}\n"
    path = cli.directory / "tokens"
    words = ("--http", "127.0.0.1:0", "--token-file", _tokens(path, good + "l" * 24))
    done = cli.run("serve", *words)
    assert done.returncode == 2
    assert "line 2: no role" in done.stderr
    _tokens(path, good)
    with Service(cli, *words) as service:
        _tokens(path, f"work:{'n' * 24}\n{'l' * 24}\n")
        service.signal(signal.SIGHUP)
        eventually(lambda: "settings were read again" in service.log)
        assert "line 2: no role" in service.log
        url = service.facts["http"]
        with closing(open_store(url.replace("://", f"://{'w' * 24}@"))) as known:
            assert known.counts()["pending"] == 0
        for other in ("n", "l"):
            with (
                closing(open_store(url.replace("://", f"://{other * 24}@"))) as unknown,
                pytest.raises(Refused, match="does not know"),
            ):
                unknown.counts()
