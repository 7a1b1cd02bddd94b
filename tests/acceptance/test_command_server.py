"""command-queue: a server with one command, many clients at once, executed one at a time."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from tests.support.cli import PATIENCE
from tests.support.hosts import eventually
from tests.support.service import Service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Cli

#: what may not run twice at once: it says when it does
ALONE = """#!/bin/sh
mkdir "$0.lock" || echo overlap >>"$0.overlaps"
echo "$1" >>"$0.log"
rmdir "$0.lock"
echo "did $1"
case "$1" in *7) exit 7;; esac
"""


def component(directory: Path) -> Path:
    """Return a program that is not hardened to be run at nearly the same time."""
    script = directory / "component"
    script.write_text(ALONE)
    script.chmod(0o755)
    return script


def test_echo(cli: Cli) -> None:
    """Configure the command, start the server, submit a parameter, observe."""
    cli.ok("queue", "create", "echo", "--command", "/bin/echo", "--limit", "1")
    with Service(cli, "--workers", "2") as service:
        answer = json.loads(cli.ok("ctl", "submit", "echo", "hello world"))
        assert answer["queue"] == "echo"
        service.ask("wait")
        assert cli.ok("output", "1") == "hello world\n"


def test_many_clients_at_once(cli: Cli) -> None:
    """By TCP, by socket and by the command line: one at a time, in order, nothing dropped."""
    script = component(cli.directory)
    cli.ok("set", "max-retries", "0")
    cli.ok("queue", "create", "one", "--command", str(script), "--limit", "1", "--accept-messages")
    with Service(cli, "--workers", "4", "--messages", "127.0.0.1:0") as service:
        answers: list[str] = []

        def by_tcp(client: int) -> None:
            for number in range(10):
                answers[len(answers) :] = [service.say(f"one tcp-{client}-{number}\n".encode())]

        def by_socket(client: int) -> None:
            for number in range(10):
                answers.extend(
                    f"ok {answer['id']}"
                    for answer in service.ask(f"submit one socket-{client}-{number}")
                )

        threads = [
            threading.Thread(target=client, args=(number,))
            for number in range(3) for client in (by_tcp, by_socket)
        ]  # fmt: skip
        other = subprocess.Popen(
            [sys.executable, "-c", "import socket,sys\nfor n in range(10):\n"
             " s=socket.create_connection(('127.0.0.1',int(sys.argv[1])))\n"
             " s.sendall(b'one other-0-%d\\n'%n); s.recv(100); s.close()", str(service.port)],
        )  # fmt: skip
        for thread in threads:
            thread.start()
        for number in range(3):
            cli.ok("submit", "one", f"cli-0-{number}")
        for thread in threads:
            thread.join(PATIENCE)
        assert other.wait(PATIENCE) == 0
        assert len({int(answer.split()[1]) for answer in answers}) == 60
        service.ask("wait")
    assert not script.with_suffix(".overlaps").exists()
    done = script.with_suffix(".log").read_text().splitlines()
    jobs = cli.json("list")
    assert len(done) == len(jobs) == 73
    # in the order in which they were acknowledged
    assert done == [job["message"] for job in jobs]
    for job in jobs:
        assert job["exit_code"] == (7 if job["message"].endswith("7") else 0)
    assert cli.ok("output", str(jobs[5]["id"])) == f"did {jobs[5]['message']}\n"


def test_no_server(cli: Cli) -> None:
    """A client that cannot reach it says so and ends with 75."""
    assert "no service answers" in cli.refused(75, "ctl", "status: all")
    with socket.socket(socket.AF_UNIX) as sock:
        path = cli.directory / "nobody"
        sock.bind(str(path))
    assert "no service answers" in cli.refused(75, "ctl", "--socket", str(path), "status")


def test_a_refused_command_ends_ctl_with_its_code(cli: Cli) -> None:
    """As it would have ended the command here."""
    with Service(cli) as service:
        eventually(lambda: bool(service.ask("status")))
        assert "no job 7" in cli.refused(3, "ctl", "status", "7")
        assert "enqueue" in cli.refused(2, "ctl", "enqeue", "x")
        assert "cannot be asked for" in cli.refused(1, "ctl", "!ls")
        assert "not found" in cli.refused(3, "ctl", "status: 7")


def test_an_answer_that_is_not_all_well_is_shown(cli: Cli) -> None:
    """`doctor` has something to tell just then."""
    with Service(cli, "--workers", "0") as service:
        service.ask("enqueue true")
        (answer,) = service.ask("doctor")
        assert answer["exit_code"] == 1
        assert any(not check["ok"] for check in answer["data"])
        done = cli.run("ctl", "doctor")
        assert done.returncode == 1
        assert [check["topic"] for check in json.loads(done.stdout)] == [
            check["topic"] for check in answer["data"]
        ]
        assert done.stderr == f"{answer['error']}\n"
        done = cli.run("--json", "ctl", "doctor")
        assert json.loads(done.stdout)
        assert json.loads(done.stderr) == {"error": answer["error"], "exit_code": 1}
        # a command that did a part
        done = cli.run("ctl", "cancel", "1", "99")
        assert done.returncode == 3
        service.stop()


def test_ctl_gives_no_wrong_advice(cli: Cli) -> None:
    """To start a service is the answer where there is none."""
    assert "queuectl serve" in cli.refused(75, "ctl", "status")
    with socket.socket(socket.AF_UNIX) as sock:
        path = cli.directory / "foreign"
        sock.bind(str(path))
        sock.listen()
        said = cli.refused(75, "ctl", "--socket", str(path), "--timeout", "100ms", "status")
        assert "did not answer in time" in said
        assert "queuectl serve" not in said


def post(port: int, token: str, path: str, body: str) -> tuple[int, bytes]:
    """Post a text as curl does, without any library; return the status and the body."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body.encode())}\r\n"
            "Connection: close\r\n\r\n"
        )
        sock.sendall(head.encode() + body.encode())
        with sock.makefile("rb") as answer:
            first, _, rest = answer.read().partition(b"\r\n")
    return int(first.split()[1]), rest.partition(b"\r\n\r\n")[2]


def test_clients_by_http(cli: Cli) -> None:
    """Beside the socket and TCP, and read again at a hang-up with new tokens."""
    script = component(cli.directory)
    cli.ok("queue", "create", "one", "--command", str(script), "--limit", "1", "--accept-messages")
    tokens = cli.directory / "tokens"
    token = "submit-submit-submit"
    tokens.write_text(f"submit:{token}\n")
    tokens.chmod(0o600)
    with Service(
        cli, "--workers", "3", "--http", "127.0.0.1:0", "--messages", ":0", "--token-file", str(tokens)
    ) as service:  # fmt: skip
        port = int(service.facts["http"].rpartition(":")[2])
        messages = "/queues/one/messages"
        status, answer = post(port, token, messages, "by http\n")
        assert status == 201, answer
        assert service.say(b"one by tcp\n") == "ok 2\n"
        assert service.ask("submit one 'by socket'")[0]["id"] == 3
        assert post(port, "wrong-wrong-wrong-wrong", messages, "x\n")[0] in (401, 403)
        service.ask("wait")
        tokens.write_text(f"submit:another-{token}\n")
        service.signal(signal.SIGHUP)
        eventually(lambda: "read again" in service.log)
        assert post(port, token, messages, "x\n")[0] in (401, 403)
        assert post(port, f"another-{token}", messages, "again\n")[0] == 201
        service.ask("wait")
        assert service.stop() == 0
    assert not script.with_suffix(".overlaps").exists()
    done = script.with_suffix(".log").read_text().splitlines()
    assert done == ["by http", "by tcp", "by socket", "again"]
