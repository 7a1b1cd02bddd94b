"""Commands that follow from how a job ended, run as jobs of a queue of their own."""

from __future__ import annotations

from tests.support.cli import Cli

DRAIN = ("worker", "start", "1", "--until-empty")
FACTS = "env | grep ^QUEUECTL_HOOK_ | sort"


def hooks(cli: Cli) -> list[dict[str, object]]:
    """Return the jobs of the queue hooks."""
    found: list[dict[str, object]] = cli.json("list", "--queue", "hooks")
    return found


def facts(cli: Cli, job: object) -> dict[str, str]:
    """Return what a hook that shows its environment was told."""
    lines = cli.ok("output", str(job)).splitlines()
    told = dict(line.split("=", 1) for line in lines)
    return {name.removeprefix("QUEUECTL_HOOK_").lower(): value for name, value in told.items()}


def test_each_end_has_its_hook_with_the_facts(cli: Cli) -> None:
    """Success, each failure, death."""
    flags = ("--on-success", FACTS, "--on-failure", FACTS, "--on-dead", FACTS)
    cli.ok("enqueue", *flags, "--name", "good", "--", "true", "a b")
    cli.ok("enqueue", *flags, "--max-retries", "1", "--backoff-base", "0",
           "echo 'what a pity' > $QUEUECTL_ERROR_FILE; exit 7")  # fmt: skip
    cli.ok(*DRAIN)
    ran = hooks(cli)
    assert [hook["state"] for hook in ran] == ["completed"] * 4
    told = [facts(cli, hook["id"]) for hook in ran]
    assert sorted((one["event"], one["job_id"], one["attempt"]) for one in told) == [
        ("dead", "2", "2"), ("failure", "2", "1"), ("failure", "2", "2"), ("success", "1", "1"),
    ]  # fmt: skip
    success = next(one for one in told if one["event"] == "success")
    assert success == {
        "event": "success", "job_id": "1", "name": "good", "queue": "default", "command": "true 'a b'",
        "state": "completed", "reason": "exit 0", "message": "", "attempt": "1", "exit_code": "0",
    }  # fmt: skip
    dead = next(one for one in told if one["event"] == "dead")
    assert (dead["state"], dead["exit_code"], dead["message"]) == ("dead", "7", "what a pity")


def test_a_setting_gives_hooks_to_all_jobs_or_to_a_queue(cli: Cli) -> None:
    """A job's own wins; hooks have none themselves."""
    cli.ok("queue", "create", "loud")
    cli.ok("set", "on-success", "echo store")
    cli.ok("set", "on-success", "echo queue", "--queue", "loud")
    cli.ok("enqueue", "true")
    cli.ok("enqueue", "--queue", "loud", "true")
    cli.ok("enqueue", "--on-success", "echo own", "true")
    cli.ok(*DRAIN)
    assert sorted(cli.ok("output", str(hook["id"])) for hook in hooks(cli)) == [
        "own\n", "queue\n", "store\n",
    ]  # fmt: skip


def test_idle_is_told_once_when_nothing_is_left(cli: Cli) -> None:
    """Not after each job."""
    cli.ok("set", "on-idle", "echo idle")
    for _ in range(3):
        cli.ok("enqueue", "true")
    cli.ok(*DRAIN)
    cli.ok(*DRAIN)
    (hook,) = hooks(cli)
    assert cli.ok("output", str(hook["id"])) == "idle\n"


def test_a_broken_hook_is_in_the_dead_letter_queue(cli: Cli) -> None:
    """With its reason, and says whose it was; the job itself is none the worse."""
    cli.ok("set", "max-retries", "0", "--queue", "hooks")
    cli.ok("enqueue", "--on-success", "no-such-notifier --now", "true")
    cli.ok(*DRAIN)
    assert cli.json("status", "1")["state"] == "completed"
    (dead,) = cli.json("dlq", "list")
    assert (dead["queue"], dead["reason"], dead["submitter"]) == (
        "hooks",
        "exit 127",
        "hook of job 1",
    )
    assert "no-such-notifier" in cli.ok("dlq", "list")


def test_cancelled_jobs_have_no_hooks(cli: Cli) -> None:
    """Whoever cancels knows."""
    cli.ok("enqueue", "--on-failure", "echo no", "--on-dead", "echo no", "true")
    cli.ok("cancel", "1")
    cli.ok(*DRAIN)
    assert hooks(cli) == []
