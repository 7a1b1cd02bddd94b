"""Holding, continuing, signalling and talking to jobs, from other processes than their host's."""

from __future__ import annotations

import pytest

from tests.support.cli import Cli
from tests.support.worker import Fifo, Workers

#: a line of Python that waits for signal 10, says so, and ends with 5
HANDLER = (
    "import signal, sys; signal.signal(10, lambda *_: (print('caught'), sys.exit(5)));"
    " open('ready', 'w').close(); signal.pause()"
)


def state_of(pid: int) -> str:
    """Return the state letter of a process: T is stopped (proc(5))."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def test_a_waiting_job_is_held_until_resumed(cli: Cli) -> None:
    """Workers pass it over, and leave when only such jobs are left."""
    cli.ok("enqueue", "echo", "one")
    cli.ok("enqueue", "echo", "two")
    assert cli.ok("hold", "1") == "job 1 paused\n"
    cli.ok("worker", "start", "--until-empty")
    assert [job["state"] for job in cli.json("list")] == ["pending", "completed"]
    assert cli.refused(1, "pause", "1") == "job 1 is paused already"
    cli.ok("release", "1")
    cli.ok("worker", "start", "--until-empty")
    assert [job["state"] for job in cli.json("list")] == ["completed", "completed"]
    assert cli.refused(1, "pause", "1") == "job 1 is completed"


def test_paused_at_enqueue(cli: Cli) -> None:
    """The flag and the field; the reply says so."""
    assert "paused" in cli.ok("enqueue", "--paused", "true")
    assert "paused" in cli.ok("enqueue", '{"command": "true", "paused": true}')
    cli.ok("worker", "start", "--until-empty")
    assert [job["state"] for job in cli.json("list")] == ["pending", "pending"]


def test_a_running_job_stands_still_with_its_timeout(cli: Cli, workers: Workers) -> None:
    """SIGSTOP until `resume`; then it runs on to its end."""
    said, gate = Fifo(cli, "said"), Fifo(cli, "gate")
    cli.ok("enqueue", "--timeout", "40", f"echo $$ > {said.path}; {gate.wait}; echo done")
    workers.start("1")
    pid = int(said.read())
    cli.ok("pause", "1")
    # the host is told by the commit; how soon it acts is its own affair, so look until it has
    while state_of(pid) != "T":
        assert cli.json("status", "1")["state"] == "processing"
    assert cli.json("status", "1")["paused"] is True
    cli.ok("resume", "1")
    gate.open()
    cli.ok("wait", "1")
    assert cli.ok("output", "1") == "done\n"


@pytest.mark.parametrize("word", ["USR1", "SIGUSR1", "usr1", "10"])
def test_a_signal_is_delivered_and_no_more(cli: Cli, workers: Workers, word: str) -> None:
    """What follows is judged by how the attempt ends."""
    gate = Fifo(cli, "ready")
    cli.ok("enqueue", "--max-retries", "0", "--", "python3", "-c", HANDLER)
    workers.start("1")
    gate.read()
    cli.ok("signal", word, "1")
    assert cli.run("wait", "1").returncode == 4
    assert cli.json("status", "1")["reason"] == "exit 5"
    assert cli.ok("output", "1") == "caught\n"


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("signal", "NOPE", "1"), 2, "NOPE"),
        (("signal", "TERN", "1"), 2, "TERM"),
        (("signal", "0", "1"), 2, "'0'"),
        (("signal", "999", "1"), 2, "999"),
        (("signal", "-9", "1"), 2, "-9"),
        (("signal",), 2, "NAME"),
        (("signal", "TERM"), 2, "signal what"),
        (("signal", "TERM", "1"), 1, "not running"),
        (("signal", "TERM", "9"), 3, "9"),
        (("send",), 2, "JOB"),
        (("send", "1", "x"), 1, "--interactive"),
        (("send", "2", "x"), 1, "not running"),
        (("send", "9", "x"), 3, "9"),
        (("send", "all", "x"), 2, "all"),
        (("pause",), 2, "pause what"),
        (("resume", "9"), 3, "9"),
        (("enqueue", "--idle-timeout", "soon", "true"), 2, "soon"),
        (("enqueue", "--retry-on", "0", "true"), 2, "'0'"),
        (("enqueue", "--retry-on", "5-3", "true"), 2, "5-3"),
        (("enqueue", "--no-retry-on", "SIGNOPE", "true"), 2, "SIGNOPE"),
        (("enqueue", "--merge=yes", "true"), 2, "--merge"),
        (("enqueue", "--on-success"), 2, "--on-success"),
        (("enqueue", '{"command": "x", "interactive": 1}'), 2, "interactive"),
        (("enqueue", '{"command": "x", "idle_timeout": "soon"}'), 2, "idle_timeout"),
        (("enqueue", '{"command": "x", "retry_on": "nope"}'), 2, "retry_on"),
        (("enqueue", '{"command": "x", "on_dead": 3}'), 2, "on_dead"),
        (("enqueue", '{"command": "x", "merge": "on"}'), 2, "merge"),
        (("enqueue", '{"command": "x", "leave_children": null}'), 2, "leave_children"),
        (("enqueue", '{"command": "x", "paused": "yes"}'), 2, "paused"),
    ],
)
def test_bad_input_gets_one_line(cli: Cli, words: tuple[str, ...], code: int, named: str) -> None:
    """It names what is wrong."""
    cli.ok("enqueue", "true")
    cli.ok("enqueue", "--interactive", "cat")
    assert named in cli.refused(code, *words)


def test_the_input_of_a_job_is_ended(cli: Cli, workers: Workers) -> None:
    """Behind all that was sent, with the last line or by itself."""
    cli.ok("enqueue", "--interactive", "cat")
    cli.ok("enqueue", "--interactive", "cat")
    workers.start("2")
    for job in ("1", "2"):
        cli.ok("wait", job, "--for", "processing")
        cli.ok("send", job, "x" * 100_000)
    assert cli.ok("send", "1", "--eof") == "the input of job 1 has ended\n"
    assert cli.ok("send", "2", "--eof", "bye") == "sent to job 2; its input has ended\n"
    cli.ok("wait", "1-2")
    assert cli.ok("output", "1") == "x" * 100_000 + "\n"
    assert cli.ok("output", "2") == "x" * 100_000 + "\nbye\n"
    cli.ok("enqueue", "--interactive", "cat")
    assert "--eof" in cli.refused(2, "send", "3", "--raw")


def test_a_job_is_talked_to(cli: Cli, workers: Workers) -> None:
    """Lines arrive in order, --raw without a newline, blanks and quotes as they are."""
    cli.ok(
        "enqueue", "--interactive", 'read a; read b; read c; printf \'%s|%s|%s\\n\' "$a" "$b" "$c"'
    )
    workers.start("1")
    cli.ok("wait", "1", "--for", "processing")
    cli.ok("send", "1", "first  line")
    cli.ok("send", "1", "--raw", "sec")
    cli.ok("send", "1", "ond")
    cli.ok("send", "1", "--", "--last", "'quoted'")
    cli.ok("wait", "1")
    assert cli.ok("output", "1") == "first  line|second|--last 'quoted'\n"


def test_a_group_of_policies_is_shown_as_understood(cli: Cli) -> None:
    """By the reply, and by `status` later; flags and fields alike."""
    flags = ("--interactive", "--merge", "--leave-children", "--idle-timeout", "90", "--retry-on", "75,TERM",
             "--no-retry-on", "2", "--on-success", "echo yes", "--on-failure", "echo no", "--on-dead", "echo dead")  # fmt: skip
    reply = cli.ok("enqueue", *flags, "true")
    for part in ("interactive on", "merge on", "leave-children on", "idle-timeout 1m30s", "retry-on 75,TERM",
                 "no-retry-on 2", "on-success echo yes", "on-failure echo no", "on-dead echo dead"):  # fmt: skip
        assert part in reply
    cli.ok(
        "enqueue",
        '{"command": "true", "interactive": true, "merge": true, "leave_children": true, "idle_timeout": 90,'
        ' "retry_on": "75,TERM", "no_retry_on": 2, "on_success": "echo yes", "on_failure": "echo no",'
        ' "on_dead": "echo dead"}',
    )
    first, second = cli.json("list")
    assert first["policy"] == second["policy"]


def test_merged_streams_are_one_in_exact_order(cli: Cli) -> None:
    """However fast they alternate."""
    cli.ok("enqueue", "--merge", "for i in 1 2 3 4 5 6 7 8; do echo $i; echo e$i >&2; done")
    cli.ok("worker", "start", "--until-empty")
    expected = "".join(f"{number}\ne{number}\n" for number in range(1, 9))
    assert cli.ok("output", "1", "--stdout") == expected


def test_silence_ends_a_job(cli: Cli) -> None:
    """The attempt says that it was idle for too long."""
    cli.ok("enqueue", "--idle-timeout", "300ms", "--max-retries", "0", "echo begun; exec sleep 60")
    cli.ok("worker", "start", "--until-empty")
    assert cli.json("status", "1")["reason"] == "timeout after idle 300ms"
