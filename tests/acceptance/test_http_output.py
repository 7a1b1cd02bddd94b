"""What jobs wrote, read over HTTP: when there is nothing of it, and when the server ends."""

from __future__ import annotations

import http.client
import json
import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from queuectl.errors import StoreUnavailable
from queuectl.host.worker import WorkerHost
from queuectl.job import NewJob
from queuectl.paths import output_path
from queuectl.store import open_store
from tests.support.http_server import PATIENCE, Server
from tests.support.worker import Fifo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queuectl.store.base import Store
    from tests.support.cli import Cli


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database file."""
    made = open_store(str(tmp_path / "queue.db"))
    yield made
    made.close()


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    """A server over it, with a worker."""
    host = WorkerHost(store)
    try:
        with Server(store, host) as made:
            host.start(1)
            yield made
    finally:
        host.close()


@pytest.mark.parametrize("command", ["true", "exit 3"])
def test_a_job_that_wrote_nothing_has_an_empty_output(
    cli: Cli, server: Server, store: Store, command: str
) -> None:
    """However it ended, and whichever way it is asked for."""
    cli.env["QUEUECTL_STORE"] = server.with_token("submit")
    store.set("max-retries", "0")
    store.add([NewJob(command, cwd="/")])
    server.ok("POST", "/jobs/1/wait?timeout=30")
    for words in (("output", "1"), ("output", "1", "-f"), ("output", "1", "--tail", "3")):
        done = cli.run(*words)
        assert done.stdout == "", words
        # following tells how it ended, in its own way
        assert done.returncode == (0 if "-f" not in words or command == "true" else 4), done.stderr
    assert cli.json("output", "1")["stdout"] == ""
    assert cli.json("status", "1")["state"] in {"completed", "dead"}
    cli.ok("status", "1")
    assert cli.run("follow", "1").returncode == (0 if command == "true" else 4)


def test_a_file_that_cannot_be_read_is_the_servers_fault(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, the server's log hears of it, and the client may try again."""

    def broken(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/there/1-1")

    monkeypatch.setattr("queuectl.intake.http.shipped.next_piece", broken)
    with (
        closing(open_store(server.with_token("submit"))) as remote,
        pytest.raises(StoreUnavailable, match="/there/1-1: Permission denied"),
    ):
        remote.shipped(1, 1)
    assert isinstance(server.errors.pop(), PermissionError)


def test_a_fault_of_the_servers_is_described(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the status that its description has for it, and by the code to try again."""

    def broken(*_: object) -> None:
        raise RuntimeError("of ours")

    monkeypatch.setattr("queuectl.intake.http.queues.list_queues", broken)
    status, answer = server.json("GET", "/queues")
    assert (status, answer["exit_code"]) == (500, 75)
    assert "log" in answer["error"]
    assert server.errors.pop().args == ("of ours",)
    told = server.ok("GET", "/openapi.json")["paths"]["/queues"]["get"]["responses"]
    assert "500" in told


@contextmanager
def _followed(server: Server, job_id: int) -> Iterator[http.client.HTTPResponse]:
    address = server.url.partition("://")[2]
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {server.tokens['submit']}"}
    connection.request("GET", f"/jobs/{job_id}/output?follow=1", headers=headers)
    with closing(connection), connection.getresponse() as answer:
        yield answer


def test_an_output_that_goes_on_is_cut_off_by_the_end_of_the_server(
    cli: Cli, server: Server, store: Store
) -> None:
    """It does not look as if it were all: the transfer breaks off. Nobody is told of a fault."""
    gate = Fifo(cli, "gate")
    store.add([NewJob(f"echo begun; {gate.wait}; echo more", cwd=str(cli.directory))])
    with _followed(server, 1) as answer:
        assert answer.read1() == b"begun\n"
        server.stop()
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    gate.open()


def test_an_output_that_has_come_to_its_end_is_whole_when_the_server_ends(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look more is taken: the job may have ended as the server did."""
    store.add([NewJob("echo all", cwd="/")])
    server.ok("POST", "/jobs/1/wait?timeout=30")
    assert store.attempts(1)[0].finished_at is not None
    api = server.intake._server.config.app.state.api  # type: ignore[union-attr]
    api.watch.closed = True
    with _followed(server, 1) as answer:
        assert answer.read() == b"all\n"


def test_what_was_shipped_and_pruned_since_is_nothing(server: Server, store: Store) -> None:
    """Its file may go between two looks."""
    store.add([NewJob("head -c 100000 /dev/zero", cwd="/")])
    server.ok("POST", "/jobs/1/wait?timeout=30")
    path = output_path(store.local_directory, 1, 1)
    for name in os.listdir(os.path.dirname(path)):
        os.unlink(os.path.join(os.path.dirname(path), name))
    status, answer, _ = server.raw("POST", "/store/shipped", json.dumps({"args": [1, 1]}).encode())
    assert (status, json.loads(answer)) == (200, {"result": []})
