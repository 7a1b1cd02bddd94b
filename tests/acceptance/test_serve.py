"""`serve`: one headless host, its socket, its signals, and what it tells a service manager."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.hosts import eventually
from tests.support.service import Service
from tests.support.worker import Fifo

if TYPE_CHECKING:
    from tests.support.cli import Cli


def test_it_runs_what_is_enqueued_anywhere(cli: Cli) -> None:
    """And tells what happens, on standard error."""
    cli.ok("enqueue", "echo before")
    with Service(cli, "--workers", "2") as service:
        cli.ok("enqueue", "echo from here")
        answer = service.ask("enqueue echo from there")[0]
        assert answer == {"id": 3, "name": None, "queue": "default"}
        cli.ok("wait")
        assert service.facts["workers"] == 2
        assert cli.json("worker", "list")[0]["host"] == service.facts["host"]
        assert service.stop() == 0
        assert "job 1 completed (exit 0)" in service.log
        assert "the service has ended" in service.log
    assert not os.path.exists(service.facts["socket"])
    assert cli.json("worker", "list") == []


def test_every_command_has_its_answer_on_one_line(cli: Cli) -> None:
    """What `--json` prints; faults with their exit code; many on one connection, in order."""
    with Service(cli) as service:
        answers = service.ask(
            "enqueue echo one", "wait", "list", "status 99", "enqeue x", "cancel 1",
            "output 1",
        )  # fmt: skip
        assert answers[0]["id"] == 1
        assert answers[1] == [
            {
                "id": 1, "state": "completed", "reason": "exit 0",
                "exit_code": 0, "ending": "exit", "signal": None,
            }
        ]  # fmt: skip
        assert [job["state"] for job in answers[2]] == ["completed"]
        assert answers[3] == {"error": "no job 99", "exit_code": 3}
        assert answers[4]["exit_code"] == 2
        assert "enqueue" in answers[4]["error"]
        assert answers[5]["exit_code"] == 1
        assert answers[6]["stdout"] == "one\n"


def test_advice_is_not_what_is_refused_here(cli: Cli) -> None:
    """A word that is no command is not to be run with `!`, which is for who types it."""
    with Service(cli) as service:
        far, near = service.ask("nonsense", "lst")
        assert far["error"] == "no command 'nonsense'; queue it: enqueue nonsense; jobs: list"
        assert (
            near["error"]
            == "no command 'lst'; did you mean list? Queue it: enqueue lst; jobs: list"
        )


def test_a_service_in_the_background_says_where_it_is(cli: Cli) -> None:
    """As one in the foreground does: its ways in, and the tokens for one of them."""
    tokens = cli.directory / "state" / "tokens"
    with Service(cli, "--http", "127.0.0.1:0") as service:
        assert service.facts["tokens"] == str(tokens)
    said = cli.ok("serve", "--http", "127.0.0.1:0", "--detach")
    try:
        assert "\nhttp: http://127.0.0.1:" in said
        assert f"\ntokens: {tokens}\n" in said
        assert f"\nsocket: {cli.directory / 'state' / 'socket'}\n" in said
    finally:
        cli.ok("worker", "stop")


def test_a_comment_has_no_answer(cli: Cli) -> None:
    """Nor has an empty line."""
    with Service(cli) as service, service.connect() as sock:
        sock.sendall(b"\n# a remark\n\r\nversion\n")
        with sock.makefile() as answers:
            assert "version" in json.loads(answers.readline())


def test_what_is_for_who_types_it_is_refused(cli: Cli) -> None:
    """Commands that act on a session, a terminal or this process."""
    cli.env["EDITOR"] = "touch edited; true"
    with Service(cli) as service:
        service.ask("queue pause default", "enqueue true")
        refused = service.ask(
            "!touch ran", "cd /", "exit", "worker start 3", "serve", "batch cat ::: a", "edit 1"
        )
        assert {answer.get("exit_code") for answer in refused} <= {1, 2}
        assert service.ask("status")[0]["counts"]["pending"] == 1
    assert not (cli.directory / "ran").exists()
    assert not (cli.directory / "edited").exists()


def test_pipelined_jobs_are_added_together_and_in_order(cli: Cli) -> None:
    """Thousands of lines at once; a bad one spoils only itself."""
    with Service(cli) as service:
        service.ask("queue pause default")
        lines = [f"enqueue echo {number}" for number in range(3000)]
        lines[1500] = "enqueue --queue nowhere true"
        answers = service.ask(*lines)
        assert answers[1500]["exit_code"] == 3
        del answers[1500]
        assert [answer["id"] for answer in answers] == sorted(answer["id"] for answer in answers)
        assert cli.json("list")[1500]["command"] == "echo 1501"


def test_a_client_that_goes_away_ends_its_wait(cli: Cli) -> None:
    """Its thread does not wait for ever; what it had asked for before is done."""
    with Service(cli, "--workers", "1") as service:
        threads = f"/proc/{service.pid}/task"
        before = len(os.listdir(threads))
        for _ in range(5):
            sock = service.connect()
            sock.sendall(b"enqueue sleep 1000\nwait 1\nset max-retries 1\n")
            eventually(lambda: bool(service.ask("list processing")[0]))
            sock.close()
        eventually(lambda: len(os.listdir(threads)) <= before)
        assert len(service.ask("list")[0]) == 5
        service.ask("cancel all")


def test_a_second_one_refuses(cli: Cli) -> None:
    """And never touches the socket of the first."""
    with Service(cli) as service:
        with pytest.raises(AssertionError, match=f"another serve .pid {service.pid}. listens"):
            Service(cli)
        assert service.ask("version")
        with Service(cli, "--socket", str(cli.directory / "second")) as second:
            assert second.ask("version")
            second.stop()
        assert service.ask("version")


def test_a_dead_ones_socket_is_replaced(cli: Cli) -> None:
    """After kill -9, at once."""
    with Service(cli) as service:
        service.process.kill()
        service.process.wait()
        assert os.path.exists(service.facts["socket"])
    with Service(cli) as service:
        assert service.ask("version")


def test_a_socket_that_is_not_its_own_any_more_stays(cli: Cli) -> None:
    """Somebody removed it with its lock, as when cleaning up, and started another one there."""
    with Service(cli) as service:
        path = service.facts["socket"]
        os.unlink(path)
        os.unlink(f"{path}.lock")
        with Service(cli) as second:
            assert service.stop() == 0
            assert second.ask("version")


def test_ten_at_once_and_one_wins(cli: Cli) -> None:
    """Over a dead one's socket, too."""
    for turn in range(2):
        started = [cli.start("serve") for _ in range(6)]
        eventually(lambda: sum(process.poll() is None for process in started) <= 1)  # noqa: B023
        living = [process for process in started if process.poll() is None]
        assert len(living) == 1
        assert json.loads(cli.ok("ctl", "version"))
        living[0].send_signal(signal.SIGKILL if not turn else signal.SIGTERM)
        for process in started:
            _, err = process.communicate(timeout=60)
            assert "Traceback" not in err


@pytest.mark.parametrize("what", ["file", "foreign"])
def test_what_is_not_ours_is_left_alone(cli: Cli, what: str) -> None:
    """A file of that name, or another program that listens there."""
    path = cli.directory / "taken"
    with socket.socket(socket.AF_UNIX) as sock:
        if what == "file":
            path.write_text("precious")
        else:
            sock.bind(str(path))
            sock.listen()
        assert "left alone" in cli.refused(1, "serve", "--socket", str(path))
        assert path.exists()


def test_a_path_of_any_length(cli: Cli) -> None:
    """Beyond what an address has room for."""
    directory = cli.directory / ("d" * 100) / ("e" * 100)
    directory.mkdir(parents=True)
    cli.env["QUEUECTL_SOCKET"] = str(directory / "socket")
    with Service(cli):
        assert json.loads(cli.ok("ctl", "version"))


def test_a_stop_finishes_what_runs(cli: Cli) -> None:
    """One can ask meanwhile how far it has come; a second signal hands it back."""
    gate = Fifo(cli, "gate")
    with Service(cli) as service:
        service.ask(f"enqueue '{gate.wait}'", "enqueue true")
        eventually(lambda: bool(service.ask("list processing")[0]))
        service.signal(signal.SIGTERM)
        eventually(lambda: "finishing job 1" in service.log)
        assert service.ask("list processing")[0]
        gate.open()
        assert service.ended() == 0
    assert [job["state"] for job in cli.json("list")] == ["completed", "pending"]
    cli.ok("enqueue", "sleep 1000")
    with Service(cli, "--workers", "2") as service:
        eventually(lambda: bool(service.ask("list processing")[0]))
        service.signal(signal.SIGINT)
        eventually(lambda: "finishing" in service.log)
        service.signal(signal.SIGTERM)
        assert service.ended() == 0
    assert [job["state"] for job in cli.json("list")] == ["completed", "completed", "pending"]
    assert cli.json("status", "3")["attempts"] == 0


def test_worker_stop_ends_it(cli: Cli) -> None:
    """From anywhere, or over its own socket."""
    with Service(cli) as service:
        cli.ok("worker", "stop")
        assert service.ended() == 0
    with Service(cli) as service:
        service.ask("worker stop")
        assert service.ended() == 0


def test_without_workers_it_takes_jobs(cli: Cli) -> None:
    """For hosts elsewhere; a signal ends it."""
    with Service(cli, "--workers", "0") as service:
        service.ask("enqueue true")
        assert service.stop() == 0
    assert [job["state"] for job in cli.json("list")] == ["pending"]


def test_systemd_is_told(cli: Cli, tmp_path: Path) -> None:
    """READY, signs of life, RELOADING, STOPPING."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(30)
        cli.env |= {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}
        said: list[str] = []

        def hear(word: str) -> None:
            while not any(word in text for text in said):
                said.append(notify.recv(4096).decode())

        with Service(cli) as service:
            hear("READY=1")
            hear("WATCHDOG=1")
            service.signal(signal.SIGHUP)
            hear("RELOADING=1")
            said.clear()
            hear("READY=1")
            service.signal(signal.SIGTERM)
            hear("STOPPING=1")
            assert service.ended() == 0
    assert all("Traceback" not in text for text in said)


def test_a_unit_is_written(cli: Cli) -> None:
    """That runs the same service; another one is not replaced unasked."""
    words = ("serve", "--workers", "3", "--install-unit", "--spool", "100% mine")
    (cli.directory / "100% mine").mkdir()
    path = cli.directory / ".config" / "systemd" / "user" / "queuectl.service"
    assert str(path) in cli.ok(*words)
    unit = path.read_text()
    assert "Type=notify" in unit
    assert '"--workers" "3"' in unit
    assert "100%% mine" in unit
    assert f'"QUEUECTL_STATE_DIR={cli.env["QUEUECTL_STATE_DIR"]}"' in unit
    cli.ok(*words)
    assert "--force" in cli.refused(1, "serve", "--install-unit")
    assert path.read_text() == unit
    cli.ok("serve", "--install-unit", "--force")
    assert path.read_text() != unit


def test_what_a_unit_says_runs(cli: Cli) -> None:
    """From anywhere, with nothing but the environment that stands in it."""
    cli.ok("serve", "--install-unit", "--workers", "2")
    unit = cli.directory / ".config" / "systemd" / "user" / "queuectl.service"
    said: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, _, value = line.partition("=")
        said.setdefault(name, []).append(value)
    env = dict(shlex.split(text)[0].split("=", 1) for text in said["Environment"])
    (command,) = said["ExecStart"]
    process = subprocess.Popen(
        shlex.split(command), env=env, cwd="/", stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert "2 workers" in process.stdout.readline()
    cli.ok("ctl", "version")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_in_the_background(cli: Cli) -> None:
    """`--detach` returns when it serves; `worker stop` ends it; its log is where it says."""
    cli.env["QUEUECTL_LOG_DIR"] = str(cli.directory / "logs")
    facts = json.loads(cli.ok("--json", "serve", "--workers", "2", "--detach"))
    try:
        assert json.loads(cli.ok("ctl", "enqueue", "echo", "hello"))["id"] == 1
        cli.ok("wait")
        assert cli.json("worker", "list")[0]["workers"] == 2
    finally:
        cli.ok("worker", "stop")
    eventually(lambda: not os.path.exists(facts["socket"]))
    assert facts["log"] == str(cli.directory / "logs" / f"{facts['host']}.log")
    log = Path(facts["log"]).read_text()
    assert "job 1 completed" in log
    # and in words
    said = cli.ok("serve", "--detach")
    cli.ok("worker", "stop")
    assert str(cli.directory / "logs") in said


def test_the_log_as_json(cli: Cli) -> None:
    """An object a line."""
    with Service(cli, "--log-format", "json") as service:
        service.ask("enqueue --max-retries 0 false", "wait")
        service.stop()
        events = [json.loads(line) for line in service.log.splitlines()]
    (dead,) = [event for event in events if event.get("state") == "dead"]
    assert dead["job"] == 1
    assert dead["level"] == "warning"
    assert dead["reason"] == "exit 1"


def test_a_log_that_nobody_reads_holds_up_nothing(cli: Cli) -> None:
    """Whoever started it may have stopped to listen."""
    process = cli.start("--json", "serve")
    assert process.stdout is not None
    process.stdout.readline()
    for _ in range(3):
        lines = "".join(f"enqueue -- {'x' * 500} {number}\n" for number in range(300))
        cli.run(stdin=lines)
    cli.ok("set", "max-retries", "0")
    cli.ok("cancel", "all", "--yes")
    cli.ok("enqueue", "--priority", "9", "--name", "final", "true")
    cli.ok("wait", "final")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def test_two_hundred_clients_at_once(cli: Cli) -> None:
    """Each gets its own answers."""
    with Service(cli, "--workers", "1") as service:
        service.ask("queue pause default")
        failures: list[object] = []

        def client(number: int) -> None:
            try:
                answers = service.ask(f"enqueue --name c{number} true", f"status c{number}")
                if answers[0]["name"] != f"c{number}" or answers[1]["id"] != answers[0]["id"]:
                    failures.append(answers)
            except Exception as error:  # noqa: BLE001 (the test tells)
                failures.append(error)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert service.ask("status")[0]["counts"]["pending"] == 200


def test_too_many_clients(cli: Cli) -> None:
    """Those beyond the limit are told so; there is room again when others leave."""
    cli.ok("set", "intake-connections", "2")
    with Service(cli) as service:
        first, second = service.connect(), service.connect()
        for sock in (first, second):
            sock.sendall(b"version\n")
            sock.recv(100)
        with service.connect() as third:
            assert json.loads(third.recv(4096))["exit_code"] == 75
        first.close()

        def there_is_room() -> bool:
            with service.connect() as again, contextlib.suppress(OSError):
                again.sendall(b"version\n")
                return b"version" in again.recv(4096)
            # sent away while it spoke
            return False

        eventually(there_is_room)
        second.close()


def test_limits_are_read_again_at_a_hang_up(cli: Cli) -> None:
    """Of every way in, and not before."""
    cli.ok("queue", "create", "q", "--command", "true", "--accept-messages")
    with Service(cli, "--messages", "127.0.0.1:0") as service, service.connect() as first:
        first.sendall(b"set intake-connections 1\n")
        assert b"intake-connections" in first.recv(4096)
        assert service.ask("version")
        service.signal(signal.SIGHUP)
        eventually(lambda: "read again" in service.log)
        with service.connect() as second:
            assert json.loads(second.recv(4096))["exit_code"] == 75
        with socket.create_connection(("127.0.0.1", service.port), 30) as held:
            held.sendall(b"q x\n")
            assert held.recv(100).startswith(b"ok")
            assert "clients already" in service.say(b"")


def test_a_request_has_a_limit_that_is_a_setting(cli: Cli) -> None:
    """Far beyond a line that anybody types; more is refused and named."""
    cli.ok("set", "intake-request", "300k")
    with Service(cli) as service:
        job = json.dumps({"command": "cat", "stdin": "x" * 200_000})
        assert service.ask(f"enqueue {job}")[0]["id"] == 1
        with service.connect() as sock:
            sock.sendall(b"enqueue " + b"x" * 400_000)
            assert "intake-request" in json.loads(sock.recv(4096))["error"]


def test_bad_input_gets_one_line(cli: Cli) -> None:
    """And nothing is started."""
    for code, words, named in (
        (2, ("--messages", "nowhere"), "HOST:PORT"),
        (2, ("--messages", "0.0.0.0:0"), "--allow-remote"),
        (2, ("--messages", "127.0.0.1:99999"), "HOST:PORT"),
        (2, ("--spool", "nowhere"), "no such directory"),
        (3, ("--queue", "nowhere"), "nowhere"),
        (2, ("--workers", "99999"), "1000"),
        (2, ("--tls-cert", "x"), "--tls-key"),
        (1, ("--socket", "/nowhere/at/all"), "/nowhere/at/all"),
    ):
        done = cli.run("serve", *words)
        assert done.returncode == code, (words, done.stderr)
        assert named in done.stderr
        assert "Traceback" not in done.stderr
        last = done.stderr.strip().splitlines()[-1]
        assert named in last
    assert cli.json("worker", "list") == []


def test_idle_costs_nothing(cli: Cli) -> None:
    """A second of nothing to do takes hardly any time of a processor."""
    spool = cli.directory / "spool"
    spool.mkdir()
    with Service(cli, "--messages", ":0", "--spool", str(spool)) as service:
        service.ask("version")
        time.sleep(0.5)

        def spent() -> int:
            with open(f"/proc/{service.pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])

        before = spent()
        time.sleep(3)
        # ticks of 10 ms: 1 % is far above what it takes, and far below what a busy loop takes
        assert spent() - before <= 3
