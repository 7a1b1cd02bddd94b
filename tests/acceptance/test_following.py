"""Output while it is written: one job, many jobs, and how that ends."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from tests.support.cli import PATIENCE, Cli
from tests.support.worker import Fifo, Workers


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a follower; return its exit status and what it wrote."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def test_output_is_followed_until_the_job_ends(cli: Cli, workers: Workers) -> None:
    """The first line is there before the job may go on to the last."""
    gate = Fifo(cli, "gate")
    cli.ok("enqueue", f"echo first; echo aside >&2; {gate.wait}; printf last")
    workers.start("1")
    follower = cli.start("output", "-f", "1")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "first\n"
    gate.open()
    code, out, err = ended(follower)
    assert (code, out, err) == (0, "last", "aside\n")


def test_following_goes_on_with_the_retry_and_ends_with_its_success(
    cli: Cli, workers: Workers
) -> None:
    """Exit code 0 when the job has completed at last, 4 when it is dead."""
    gate = Fifo(cli, "gate")
    cli.ok(
        "enqueue",
        "--backoff-base",
        "0",
        f"echo try $QUEUECTL_ATTEMPT; {gate.wait}; test $QUEUECTL_ATTEMPT = 2",
    )
    workers.start("1")
    follower = cli.start("output", "-f", "1")
    assert follower.stdout is not None
    for attempt in "12":
        assert follower.stdout.readline() == f"try {attempt}\n"
        gate.open()
    assert ended(follower) == (0, "", "")
    cli.ok("enqueue", "--max-retries", "0", "echo bad; exit 3")
    follower = cli.start("output", "-f", "2")
    assert ended(follower) == (4, "bad\n", "job 2 is dead (exit 3)\n")
    assert cli.run("output", "-f", "2").returncode == 4


def test_one_attempt_is_followed_by_itself(cli: Cli) -> None:
    """Its success is the attempt's, not the job's."""
    cli.ok("enqueue", "--backoff-base", "0", "test $QUEUECTL_ATTEMPT = 2")
    cli.ok("worker", "start", "--until-empty")
    assert cli.run("output", "-f", "1", "--attempt", "1").returncode == 4
    assert cli.run("output", "-f", "1", "--attempt", "2").returncode == 0
    assert "no attempt 3" in cli.refused(3, "output", "-f", "1", "--attempt", "3")


def test_three_chatty_jobs_lose_no_line(cli: Cli, workers: Workers) -> None:
    """Every line is whole, has its job in front, and stands in the order it was written."""
    lines = 5000
    for name in "abc":
        cli.ok(
            "enqueue",
            f"i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo {name} $i; done; echo end >&2",
        )
    follower = cli.start("follow", "all")
    workers.start("3")
    code, out, err = ended(follower)
    assert code == 0, err
    seen: dict[str, list[str]] = {}
    for line in out.splitlines():
        job, _, text = line.partition(" | ")
        seen.setdefault(job, []).append(text)
    assert seen == {
        str(job): [f"{name} {number}" for number in range(1, lines + 1)]
        for job, name in enumerate("abc", 1)
    }
    for job in "123":
        assert f"{job} | started\n" in err
        assert f"{job} | end\n" in err
        assert re.search(rf"^{job} \| completed \(exit 0, ", err, re.MULTILINE)
    assert "\x1b" not in out


def test_jobs_come_and_go_and_are_retried(cli: Cli, workers: Workers) -> None:
    """`follow all` takes in what is enqueued meanwhile, and says what becomes of each attempt."""
    gate = Fifo(cli, "gate")
    cli.ok("enqueue", f"echo one; {gate.wait}")
    workers.start("2")
    cli.ok("wait", "1", "--for", "processing")
    follower = cli.start("follow", "all")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "1 | one\n"
    cli.ok("enqueue", "--backoff-base", "0", "--max-retries", "1", "echo two; exit 9")
    cli.run("wait", "2")
    gate.open()
    code, out, err = ended(follower)
    assert code == 4
    assert out == "2 | two\n2 | two\n"
    # the first job's end may be told between any two of these
    assert [line for line in err.splitlines() if line.startswith("2 | ")] == [
        "2 | started",
        "2 | attempt 1: exit 9",
        "2 | started (attempt 2)",
        "2 | dead (exit 9)",
    ]
    assert err.endswith("job 2 is dead (exit 9)\n")


def test_without_a_selection_it_takes_the_only_running_job(cli: Cli, workers: Workers) -> None:
    """With nothing in front of its lines; when none runs, the last job."""
    gate = Fifo(cli, "gate")
    cli.ok("enqueue", f"echo here; {gate.wait}")
    cli.ok("enqueue", "--paused", "true")
    workers.start("1")
    cli.ok("wait", "1", "--for", "processing")
    follower = cli.start("tail")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "here\n"
    gate.open()
    assert ended(follower) == (0, "", "")
    cli.ok("cancel", "2")
    assert cli.refused(4, "follow") == "job 2 is cancelled"


def test_timestamps_say_when_a_line_came(cli: Cli) -> None:
    """In local time, also of a last line without newline; each stream to its own."""
    cli.env["TZ"] = "UTC"
    before = time.time()
    cli.ok("enqueue", "printf 'a\\nb'; echo err >&2")
    cli.ok("worker", "start", "--until-empty")
    for words in (("output", "1"), ("output", "-f", "1"), ("follow", "1")):
        done = cli.run(*words, "--timestamps")
        assert done.returncode == 0
        stamps = [line.rsplit(" ", 1) for line in (done.stdout + done.stderr).splitlines()]
        assert [text for _, text in stamps] == ["a", "b", "err"]
        for stamp, _ in stamps:
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", stamp)
            assert stamp >= time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(before))


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("follow", "--json"), 2, "--json"),
        (("follow", "9"), 3, "9"),
        (("follow", "1", "--tail", "x"), 2, "'x'"),
        (("follow", "--state", "bogus"), 2, "bogus"),
        (("follow", "--queue", "nowhere"), 3, "nowhere"),
        (("follow", "5-3"), 2, "backwards"),
        (("follow", "--colour"), 2, "--colour"),
        (("output", "1", "-f", "--json"), 2, "--json"),
        (("output", "1", "--timestamps", "--json"), 2, "--json"),
        (("output", "1", "-f", "--attempt", "0"), 2, "'0'"),
    ],
)
def test_bad_input_gets_one_line(cli: Cli, words: tuple[str, ...], code: int, named: str) -> None:
    """It names what is wrong."""
    cli.ok("enqueue", "true")
    assert named in cli.refused(code, *words)


def test_what_is_over_the_limit_is_cut_and_said(cli: Cli) -> None:
    """The job goes on; on stderr stands how much is missing."""
    cli.ok("enqueue", "--output-limit", "1000", "yes | head -c 5000")
    cli.ok("worker", "start", "--until-empty")
    done = cli.run("output", "1")
    assert done.returncode == 0
    assert len(done.stdout) == 1000
    assert done.stderr == "[cut here: 1000 B kept, 3.9 KiB more were not]\n"


@pytest.mark.parametrize("how", ["flag", "setting", "json"])
def test_too_much_output_fails_the_attempt_if_so_set(cli: Cli, how: str) -> None:
    """It is ended, says why, and is not run again where that is a reason not to."""
    if how == "json":
        cli.ok(
            "enqueue",
            '{"command": "yes", "output_limit": "64KiB", "output_full": "fail", "no_retry_on": "output"}',
        )
    else:
        flags = ("--output-full", "fail") if how == "flag" else ()
        if how == "setting":
            cli.ok("set", "output-full", "fail")
        cli.ok("enqueue", *flags, "--output-limit", "64KiB", "--no-retry-on", "output", "yes")
    cli.ok("worker", "start", "--until-empty")
    job = cli.json("status", "1")
    assert (job["state"], job["reason"]) == ("dead", "output over 64KiB (in no-retry-on)")
    done = cli.run("output", "1")
    assert done.stdout == "y\n" * 32 * 1024
    assert done.stderr.startswith("[cut here: 64 KiB kept, ")


def test_a_job_that_wrote_too_much_and_ended_has_failed_too(cli: Cli) -> None:
    """Exit 0 does not help; what fits does."""
    for size in (1000, 1001):
        cli.ok("enqueue", "--output-limit", "1000", "--output-full", "fail", "--max-retries", "0",
               f"head -c {size} /dev/zero")  # fmt: skip
    cli.ok("worker", "start", "--until-empty")
    assert [job["reason"] for job in cli.json("list")] == ["exit 0", "output over 1000B"]


def test_what_to_do_with_too_much_is_one_of_two_words(cli: Cli) -> None:
    """As a flag, a setting and a field."""
    assert "drop" in cli.refused(2, "enqueue", "--output-full", "burn", "true")
    assert "drop or fail" in cli.refused(2, "set", "output-full", "burn")
    assert "drop or fail" in cli.refused(2, "enqueue", '{"command": "x", "output_full": "burn"}')
    assert "output_full" in cli.refused(2, "enqueue", '{"command": "x", "output_full": true}')
