"""What the first user of a job queue does: enqueue, work, look, fail, retry, come back."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Cli

DRAIN = ("worker", "start", "1", "--until-empty")


def enqueue(cli: Cli, job: dict[str, object]) -> int:
    """Enqueue a job as JSON and return its id."""
    return int(cli.ok("enqueue", "--quiet", json.dumps(job)))


@pytest.mark.parametrize(
    ("job", "output"),
    [
        ({"command": "echo Hello World", "args": []}, "Hello World\n"),
        ({"command": "echo", "args": ["Task 1"]}, "Task 1\n"),
        (
            {"command": "python3", "args": ["-c", "print('Hello from Python')"]},
            "Hello from Python\n",
        ),
        ({"command": "echo", "args": ["$(id); no errors"]}, "$(id); no errors\n"),
        ({"command": "echo $0 | tr a-z A-Z"}, "/BIN/SH\n"),
        ({"command": "printf 'no newline'"}, "no newline"),
        ({"command": "cat", "args": ["-"], "stdin": "given\n"}, "given\n"),
    ],
)
def test_a_job_runs_and_its_output_is_kept(cli: Cli, job: dict[str, object], output: str) -> None:
    """Each form of a job completes and `output` replays exactly what it wrote."""
    job_id = enqueue(cli, job)
    cli.ok(*DRAIN)
    assert cli.json("status", str(job_id))["state"] == "completed"
    assert cli.ok("output", str(job_id)) == output


def test_a_job_that_cannot_succeed_ends_in_the_dead_letter_queue(cli: Cli) -> None:
    """`false` with two retries runs three times; `dlq retry` runs it three times again."""
    job_id = enqueue(cli, {"command": "false", "args": [], "max_retries": 2, "backoff_base": 0})
    cli.ok(*DRAIN)
    (dead,) = cli.json("dlq", "list")
    assert (dead["id"], dead["state"], dead["attempts"], dead["reason"]) == (
        job_id,
        "dead",
        3,
        "exit 1",
    )
    assert "exit 1" in cli.ok("dlq", "list")
    cli.ok("dlq", "retry", str(job_id))
    assert cli.json("status", str(job_id))["attempts"] == 0
    cli.ok(*DRAIN)
    whole = cli.json("status", str(job_id))
    assert (whole["state"], whole["attempts"], whole["runs"]) == ("dead", 3, 6)


def test_what_does_not_exist_is_named(cli: Cli) -> None:
    """A job that is not there is exit 3."""
    assert "999" in cli.refused(3, "dlq", "retry", "999")
    assert "999" in cli.refused(3, "status", "999")
    assert "999" in cli.refused(3, "output", "999")


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("enqueue", '{"command": "x"'), 2, "JSON"),
        (("enqueue", '{"command": "x", "max_retires": 1}'), 2, "max_retries"),
        (("enqueue", '{"command": 3}'), 2, "command"),
        (("enqueue", '{"args": ["x"]}'), 2, "command"),
        (("enqueue", '{"command": "x", "max_retries": "3"}'), 2, "max_retries"),
        (("enqueue", '{"command": "x\\u0000y"}'), 2, "command"),
        (("enqueue", "3"), 2, "3"),
        (("enqueue",), 2, "enqueue what"),
        (("enqueue", "--queue", "nowhere", "true"), 3, "nowhere"),
        (("list", "--state", "complete"), 2, "completed"),
        (("list", "--state", "bogus"), 2, "bogus"),
        (("worker", "start", "0"), 2, "0"),
        (("worker", "start", "-1"), 2, "-1"),
        (("worker", "start", "many"), 2, "many"),
        (("set", "max-retries", "2.5"), 2, "2.5"),
        (("set", "max-retrys", "2"), 2, "max-retries"),
        (("set", "backoff-base", "nan"), 2, "nan"),
        (("enqeue", "true"), 2, "enqueue"),
        (("dlq", "bury"), 2, "bury"),
        (("cancel",), 2, "cancel what"),
        (("--store", "gopher://x", "status"), 2, "gopher"),
    ],
)
def test_bad_input_gets_one_line_and_changes_nothing(
    cli: Cli, words: tuple[str, ...], code: int, named: str
) -> None:
    """The line names the fault or the nearest right thing."""
    enqueue(cli, {"command": "true"})
    before = (cli.json("list"), cli.json("set"))
    assert named.lower() in cli.refused(code, *words).lower()
    assert (cli.json("list"), cli.json("set")) == before


def test_json_is_all_there_is_on_stdout(cli: Cli) -> None:
    """An empty list is `[]`, and errors are JSON on stderr."""
    assert cli.ok("list", "--json").strip() == "[]"
    done = cli.run("status", "7", "--json")
    assert done.returncode == 3
    assert done.stdout == ""
    assert json.loads(done.stderr) == {"error": "no job 7", "exit_code": 3}


def test_workers_stop_and_start_again(cli: Cli) -> None:
    """`worker stop` then `worker start` runs what came in between."""
    done = cli.script(
        "worker start 2", "enqueue echo one", "wait", "worker stop", "enqueue echo two",
        "worker start 1", "wait", "list",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [job["state"] for job in cli.json("list")] == ["completed", "completed"]


def test_everything_is_there_after_leaving(cli: Cli) -> None:
    """Jobs, the dead-letter queue, settings and output outlive the process."""
    cli.script(
        "set max-retries 0",
        "enqueue false",
        "enqueue echo kept",
        "worker start 1",
        "wait 1 --for dead",
        "wait 2",
    )
    assert [job["state"] for job in cli.json("list")] == ["dead", "completed"]
    assert [job["id"] for job in cli.json("dlq", "list")] == [1]
    assert cli.ok("output", "2") == "kept\n"
    assert cli.ok("set", "max-retries").split()[-1] == "0" or "0" in cli.ok("set", "max-retries")
    assert cli.json("status", "1")["max_retries"] == 0


def test_stdout_and_stderr_are_apart(cli: Cli) -> None:
    """`output` sends each stream to its own."""
    enqueue(cli, {"command": "echo out; echo err >&2"})
    cli.ok(*DRAIN)
    done = cli.run("output", "1")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert cli.ok("output", "1", "--stdout") == "out\n"
    assert sorted(cli.ok("output", "1", "--merged").splitlines()) == ["err", "out"]


def test_a_failing_line_ends_a_script_with_its_code(cli: Cli) -> None:
    """The line's number stands in front; --keep-going goes on."""
    done = cli.script("enqueue true", "status 77", "enqueue true")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("script:2: ")
    assert len(cli.json("list")) == 1
    done = cli.run("--keep-going", stdin="status 77\nenqueue true\nbogus\n")
    assert done.returncode == 3
    assert len(cli.json("list")) == 2


def test_a_command_that_does_not_exist_says_so(cli: Cli) -> None:
    """An argv that cannot be started fails with the reason and ends in the dead-letter queue."""
    enqueue(cli, {"command": "no-such-program", "args": ["x"], "max_retries": 0})
    cli.ok(*DRAIN)
    (dead,) = cli.json("dlq", "list")
    assert dead["reason"].startswith("cannot start: ")
    assert "no-such-program" in dead["reason"]


def test_the_environment_is_what_was_captured(cli: Cli) -> None:
    """Secrets of the host do not reach a job; what was asked for does."""
    cli.env["SECRET"] = "hidden"
    cli.env["WANTED"] = "yes"
    cli.ok("enqueue", "--env", "WANTED", "--env", "MORE=a b", "--", "env")
    cli.ok(*DRAIN)
    env = dict(line.split("=", 1) for line in cli.ok("output", "1").splitlines())
    assert env["WANTED"] == "yes"
    assert env["MORE"] == "a b"
    assert env["QUEUECTL_JOB_ID"] == "1"
    assert env["QUEUECTL_ATTEMPT"] == "1"
    assert "SECRET" not in env
    assert env["QUEUECTL_STATE_DIR"] == cli.env["QUEUECTL_STATE_DIR"]


@pytest.mark.parametrize("without", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_process_without_some_of_its_streams_does_its_work(cli: Cli, without: str) -> None:
    """What it says goes nowhere, and nothing it opens is taken for what is missing."""
    for words in ("enqueue 'echo out; echo err >&2'", "worker start 1 --until-empty", "status 1"):
        line = f"{sys.executable} -m queuectl {words} {without}"
        done = subprocess.run(
            line, shell=True, env=cli.env, cwd=cli.directory, capture_output=True, check=False
        )
        assert done.returncode == 0, (words, done)
        assert b"error" not in done.stderr
    assert cli.ok("output", "1", "--stdout") == "out\n"
    assert cli.json("doctor")


def test_no_space_for_what_is_printed(cli: Cli) -> None:
    """One line, and exit 1."""
    cli.ok("enqueue", "true")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            cli.command("list"), env=cli.env, cwd=cli.directory, stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "queuectl: no space left for what is printed\n")


def test_too_few_descriptors(cli: Cli) -> None:
    """One line that names it, whatever was being opened."""
    words = cli.command("worker", "start", "4")
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 10; exec "$@"', "sh", *words], env=cli.env, cwd=cli.directory,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 75
    assert "too many open files" in done.stderr.lower()
    assert len(done.stderr.splitlines()) == 1


def test_a_queuectl_in_a_job_finds_the_jobs_store(cli: Cli) -> None:
    """And a hook's does, with the same files for output; of a store in memory nobody is told."""
    nested = shlex.join(cli.command("enqueue", "--name"))
    set_up = f"PYTHONPATH={shlex.quote(os.getcwd())}; export PYTHONPATH"
    cli.ok(
        "enqueue",
        "--on-success",
        f"{set_up}; {nested} hooked true",
        f"{set_up}; {nested} nested echo hi",
    )
    cli.ok("worker", "start", "--until-empty")
    assert [job["name"] for job in cli.json("list")] == [None, "nested", None, "hooked"]
    shown = shlex.join(cli.command("output", "nested"))
    cli.ok("enqueue", "--name", "reader", f"{set_up}; {shown}")
    cli.ok("worker", "start", "--until-empty")
    assert cli.ok("output", "reader") == "hi\n"
    done = cli.run("--store", "memory:", "-c", "enqueue echo [$QUEUECTL_STORE]", "-c", "worker start", "-c", "wait 1", "-c", "output 1")  # fmt: skip
    assert "\n[]\n" in done.stdout


def test_a_store_that_was_named_wrongly_is_not_made(cli: Cli, tmp_path: Path) -> None:
    """Its directory has to be there; and to look at a store makes none. The usual one needs nothing."""
    deep = tmp_path / "no such" / "deep"
    for words in (["list"], ["enqueue", "true"], ["-c", "enqueue true"]):
        said = cli.refused(75, "--store", str(deep / "y.db"), *words)
        assert said.endswith(f"there is no directory {deep}: mkdir -p '{deep}'")
    usual = {**cli.env}
    cli.env["QUEUECTL_STORE"] = f"sqlite://{tmp_path}/new.db"
    for words in (["list"], ["status", "--json"], ["queue", "list"], ["output", "1"], ["export"]):
        said = cli.refused(75, *words)
        assert "new.db cannot be used: there is none yet: the first `enqueue` makes it" in said
    assert {path.name for path in tmp_path.iterdir()} <= {"state"}
    cli.ok("enqueue", "true")
    assert len(cli.json("list")) == 1
    cli.env.clear()
    cli.env.update(usual)
    assert cli.json("list") == []
