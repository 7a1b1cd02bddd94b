"""Jobs that need more than a worker: GPUs, memory, slots; queues with a rate; queues that halt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from tests.support.cli import PATIENCE, Cli
from tests.support.worker import Fifo, Workers

SHOW = "env | grep -E '^(QUEUECTL_(GPU|MEM|SLOTS|INDEX)|CUDA)' | sort"


def at_terminal(cli: Cli, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start queuectl with standard error at a terminal; return it and our end of that."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        cli.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
        env=cli.env, cwd=cli.directory,
    )  # fmt: skip
    os.close(theirs)
    return process, ours


def all_of(terminal: int) -> str:
    """Return what was written to a terminal until nobody has it open any more."""
    data = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            # the other end is closed (EIO)
            piece = b""
        if not piece:
            os.close(terminal)
            return data.decode().replace("\r\n", "\n")
        data += piece


@pytest.fixture
def listening(cli: Cli) -> tuple[Fifo, Fifo]:
    """Return what jobs say and the gate they wait at."""
    return Fifo(cli, "said"), Fifo(cli, "gate")


def test_a_job_finds_out_what_it_got(cli: Cli) -> None:
    """Numbers of items, amounts, slots; and the GPUs where CUDA looks for them."""
    cli.ok("enqueue", "--need", "gpu=2,mem=8G", "--slots", "2", SHOW)
    cli.ok("enqueue", "--need", "gpu=1", SHOW)
    cli.ok("enqueue", SHOW)
    said = cli.ok(
        "worker",
        "start",
        "4",
        "--resource",
        "gpu=[0,3,5]",
        "--resource",
        "mem=24G",
        "--until-empty",
    )
    assert said.startswith("4 workers; this host has gpu 3, mem 24G\n")
    first = (
        "CUDA_VISIBLE_DEVICES=0,3\nQUEUECTL_GPU=0,3\nQUEUECTL_MEM=8589934592\nQUEUECTL_SLOTS=2\n"
    )
    assert cli.ok("output", "1") == first
    second = cli.ok("output", "2").splitlines()
    assert second in (
        ["CUDA_VISIBLE_DEVICES=5", "QUEUECTL_GPU=5"],
        ["CUDA_VISIBLE_DEVICES=0", "QUEUECTL_GPU=0"],
    )
    assert cli.ok("output", "3") == ""


def test_the_jobs_own_word_about_gpus_wins_and_the_shells_does_not(cli: Cli) -> None:
    """What --env says stays; what was only captured gives way."""
    cli.env["CUDA_VISIBLE_DEVICES"] = "7"
    cli.ok("enqueue", "--need", "gpu=1", SHOW)
    cli.ok("enqueue", "--need", "gpu=1", "--env", "CUDA_VISIBLE_DEVICES=6", SHOW)
    cli.ok("enqueue", '{"command": "' + SHOW.replace("'", "\\u0027") + '", "need": {"gpu": 1}}')
    cli.ok("enqueue", SHOW)
    cli.env["CUDA_VISIBLE_DEVICES"] = "5"
    cli.ok("worker", "start", "--resource", "gpu=1", "--until-empty")
    assert [cli.ok("output", str(n)).splitlines()[0] for n in (1, 2, 3, 4)] == [
        f"CUDA_VISIBLE_DEVICES={n}" for n in (5, 6, 5, 7)
    ]


def test_a_host_hands_out_the_gpus_it_may_use(cli: Cli) -> None:
    """What its own CUDA_VISIBLE_DEVICES names, where it is told only how many; never more."""
    cli.ok("enqueue", "--need", "gpu=1", SHOW)
    cli.env["CUDA_VISIBLE_DEVICES"] = "3"
    assert "leaves this host 1, not 2" in cli.refused(2, "worker", "start", "--resource", "gpu=2")
    cli.ok("worker", "start", "--resource", "gpu=1", "--until-empty")
    assert cli.ok("output", "1") == "CUDA_VISIBLE_DEVICES=3\nQUEUECTL_GPU=3\n"


def test_resources_are_listed_with_what_is_used(
    cli: Cli, workers: Workers, listening: tuple[Fifo, Fifo]
) -> None:
    """For people and for programs, also of a host elsewhere."""
    said, gate = listening
    cli.ok("enqueue", "--need", "gpu=1,mem=1G", f"echo > {said.path}; {gate.wait}")
    workers.start("2", "--resource", "gpu=2,mem=4G")
    said.read()
    while cli.json("status", "1")["state"] != "processing":
        time.sleep(0.01)
    assert "gpu 1/2, mem 1G/4G" in cli.ok("worker", "list")
    (host,) = cli.json("worker", "list")
    assert host["resources"] == {"gpu": 2, "mem": 4 * 1024**3}
    assert host["resources_used"] == {"gpu": 1, "mem": 1024**3}
    gate.open()
    cli.ok("wait", "1")


@pytest.mark.parametrize(
    ("resource", "says"),
    [
        ("gpu", "resource 'gpu' is not NAME=AMOUNT, such as gpu=2"),
        ("gpu=two", "resource gpu: 'two' is not a whole number from 1"),
        ("GPU=2", "a name is of small letters"),
        ("slots=2", "they are workers: start more of them"),
        ("gpu=[0,]", "is not a list of items"),
    ],
)
@pytest.mark.parametrize("detach", [False, True])
def test_bad_resources_start_nothing(cli: Cli, resource: str, says: str, detach: bool) -> None:
    """One line, and no worker."""
    words = ["worker", "start", "2", "--resource", resource, *(["--detach"] if detach else [])]
    assert says in cli.refused(2, *words)
    assert cli.json("worker", "list") == []


def test_a_host_in_the_background_has_its_resources(cli: Cli) -> None:
    """They are passed on."""
    facts = cli.json("worker", "start", "1", "--resource", "gpu=2", "--detach")
    try:
        assert facts["resources"] == {"gpu": 2}
        assert cli.json("worker", "list")[0]["resources"] == {"gpu": 2}
    finally:
        cli.ok("worker", "stop")


def test_until_empty_does_not_wait_for_what_can_never_run_here(cli: Cli) -> None:
    """Nor for what waits for such a job."""
    cli.ok("enqueue", "--need", "gpu=1", "true")
    cli.ok("enqueue", "--slots", "3", "true")
    cli.ok("enqueue", "--after", "1", "true")
    cli.ok("enqueue", "true")
    cli.ok("worker", "start", "2", "--until-empty")
    assert [job["state"] for job in cli.json("list")] == [
        "pending",
        "pending",
        "pending",
        "completed",
    ]
    cli.ok("worker", "start", "3", "--resource", "gpu=1", "--until-empty")
    assert {job["state"] for job in cli.json("list")} == {"completed"}


def test_jobs_that_take_all_workers_run_alone(cli: Cli) -> None:
    """Two at once would make the directory twice."""
    for _ in range(5):
        cli.ok("enqueue", "--slots", "2", "--max-retries", "0", "mkdir here && rmdir here")
    cli.ok("worker", "start", "3", "--until-empty")
    assert {job["state"] for job in cli.json("list")} == {"completed"}


def test_a_rate_spaces_starts_evenly(cli: Cli) -> None:
    """However many workers there are."""
    cli.ok("queue", "create", "api", "--rate", "10/1s")
    for _ in range(6):
        cli.ok("enqueue", "--queue", "api", "date +%s%3N")
    began = time.monotonic()
    cli.ok("worker", "start", "4", "--until-empty")
    took = time.monotonic() - began
    times = sorted(int(cli.ok("output", str(n))) for n in range(1, 7))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert sum(gaps) >= 450
    # it woke when it could: far from the half second between two looks for each
    assert took < 6


def test_a_queue_that_halts_says_so(cli: Cli) -> None:
    """On the terminal of the workers, and in a log as well."""
    cli.ok("queue", "create", "gpu")
    cli.ok("queue", "set", "gpu", "--halt-on", "2")
    for _ in range(4):
        cli.ok("enqueue", "--queue", "gpu", "--max-retries", "0", "false")
    done = cli.run("worker", "start", "--until-empty")
    assert done.returncode == 0
    halted = "queue gpu paused itself: 2 jobs died (halt-on 2); queue resume gpu"
    assert halted in done.stderr
    assert [job["state"] for job in cli.json("list")] == ["dead", "dead", "pending", "pending"]
    # it is no news to workers that start after that
    assert "paused itself" not in cli.run("worker", "start", "--until-empty").stderr


def test_workers_at_a_terminal_tell_how_each_job_ended(cli: Cli) -> None:
    """State, id, command and time; nothing of it with --quiet, --json, or to a file."""
    cli.ok("enqueue", "echo", "hello")
    cli.ok("enqueue", "--max-retries", "0", "exit 3")
    process, terminal = at_terminal(cli, "worker", "start", "--until-empty")
    lines = all_of(terminal).splitlines()
    process.communicate(timeout=PATIENCE)
    assert [line.split()[:2] for line in lines] == [["completed", "1"], ["dead", "2"]]
    assert "echo hello  (" in lines[0]
    assert "exit 3  (exit 3, " in lines[1]
    for flag in ("--quiet", "--json"):
        cli.ok("retry", "1")
        process, terminal = at_terminal(cli, "worker", "start", flag, "--until-empty")
        assert all_of(terminal) == ""
        process.communicate(timeout=PATIENCE)
    cli.ok("retry", "1")
    assert cli.run("worker", "start", "--until-empty").stderr == ""


def test_many_jobs_are_summed_up_at_a_terminal(cli: Cli) -> None:
    """A terminal is no place for a thousand lines a second."""
    cli.ok("enqueue", "-", stdin="true\n" * 300)
    process, terminal = at_terminal(cli, "worker", "start", "2", "--until-empty")
    lines = all_of(terminal).splitlines()
    process.communicate(timeout=PATIENCE)
    each = [line for line in lines if line.startswith("completed")]
    sums = [int(line.split()[2]) for line in lines if line.startswith("… and")]
    assert len(each) + sum(sums) == 300
    assert sums
    assert len(lines) < 200


def test_a_signal_ends_workers_at_a_terminal_as_ever(
    cli: Cli, listening: tuple[Fifo, Fifo]
) -> None:
    """What is told does not get in the way of signals."""
    said, gate = listening
    cli.ok("enqueue", f"echo > {said.path}; {gate.wait}")
    process, terminal = at_terminal(cli, "worker", "start")
    said.read()
    process.send_signal(signal.SIGINT)
    text = os.read(terminal, 4096).decode()
    gate.open()
    text += all_of(terminal)
    process.communicate(timeout=PATIENCE)
    assert "finishing job 1; once more to hand back instead" in text
    assert "completed     1  " in text


def test_a_signal_that_comes_with_the_first_job_is_heeded(cli: Cli) -> None:
    """It drains the workers; it used to end the process when it came before they were watched."""
    code = (
        "import os, signal; from queuectl.host.worker import WorkerHost; start = WorkerHost.start\n"
        "def early(*args):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return start(*args)\n"
        "WorkerHost.start = early\n"
        "from queuectl.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "worker", "start"], env=cli.env, cwd=cli.directory,
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert "workers ended after 1 signal" in done.stdout, done.stderr


def test_until_empty_says_what_it_leaves(cli: Cli) -> None:
    """What cannot run here does not keep it, and nobody takes it for done."""
    cli.ok("enqueue", "true")
    cli.ok("enqueue", "--need", "gpu=3", "true")
    cli.ok("enqueue", "--paused", "true")
    done = cli.run("worker", "start", "--resource", "gpu=2", "--until-empty")
    assert done.returncode == 0
    assert done.stderr == "2 jobs are left that cannot run here now: `why pending` says why\n"


def test_what_no_host_has_is_remarked_on_at_once(cli: Cli, workers: Workers) -> None:
    """At enqueue, once in a script, and by `wait`; the job is enqueued all the same."""
    workers.start("2", "--resource", "gpu=2")
    machine = os.uname().nodename
    done = cli.run("enqueue", "--need", "gpu=5", "true")
    assert done.stdout.startswith("job 1 enqueued")
    assert f"no host has gpu 5: the most is 2 on {machine}" in done.stderr
    said = cli.run("enqueue", "--slots", "40", "true").stderr
    assert f"no host has 40 workers: the most is 2 on {machine}" in said
    said = cli.run("enqueue", "--need", "gpus=1", "true").stderr
    assert "no host has any gpus; did you mean gpu?" in said
    for words in (("--array", "0-3", "true"), ("echo", ":::", "a", "b"), ("--from", "-")):
        done = cli.run("enqueue", "--need", "gpu=5", *words, stdin="true\n")
        assert "no host has gpu 5" in done.stderr
    lines = ["enqueue --need gpu=5 true", "enqueue --need gpu=5 true", "enqueue --need gpu=2 true"]
    assert cli.script(*lines).stderr.count("no host has") == 1
    waited = cli.run("wait", "1", "--timeout", "10ms")
    assert f"no host has gpu 5: the most is 2 on {machine}; there waits 1" in waited.stderr
