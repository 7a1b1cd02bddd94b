"""Jobs changed while they wait: by flags, in an editor, moved, and retried from the dead-letter queue."""

from __future__ import annotations

import json

import pytest

from tests.support.cli import Cli
from tests.support.worker import Fifo, Workers

DRAIN = ("worker", "start", "1", "--until-empty")


def editor(cli: Cli, *lines: str) -> None:
    """Let $EDITOR be these lines of Python; `text` is what it gets and what it leaves."""
    program = cli.directory / "editor.py"
    body = ["import sys", "path = sys.argv[-1]", "text = open(path).read()", *lines,
            "open(path, 'w').write(text)"]  # fmt: skip
    program.write_text("\n".join(body) + "\n")
    cli.env["EDITOR"] = f"python3 {program}"


def test_flags_change_a_waiting_job(cli: Cli) -> None:
    """It runs as it is by then."""
    cli.ok("enqueue", "echo", "before")
    assert cli.ok("edit", "1", "--command", "echo after; exit 3", "--priority", "5", "--max-retries", "0",
                  "--name", "new") == "job 1 changed\n"  # fmt: skip
    cli.ok(*DRAIN)
    job = cli.json("status", "new")
    assert (job["state"], job["reason"], job["priority"]) == ("dead", "exit 3", 5)
    assert cli.ok("output", "1") == "after\n"


def test_an_editor_changes_what_was_changed_in_it(cli: Cli) -> None:
    """Fields set, changed and deleted; the rest stays."""
    cli.ok("enqueue", "--timeout", "10m", "--name", "one", "--env", "A=1", "--", "echo", "a b")
    before = cli.json("status", "1")
    editor(
        cli,
        "text = text.replace('\"a b\"', '\"c  d\"').replace('\"max_retries\": 3', '\"max_retries\": 1')",
        "lines = [l for l in text.splitlines() if '\"timeout\"' not in l and '\"name\"' not in l]",
        "text = '\\n'.join(lines).replace('\"priority\": 0', '\"merge\": true, \"priority\": 7')",
    )
    assert cli.ok("edit", "1") == "job 1 changed\n"
    after = cli.json("status", "1")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"args", "max_retries", "name", "priority", "policy"}
    assert (after["args"], after["max_retries"], after["name"]) == (["c  d"], 1, None)
    assert after["policy"] == {"merge": "on"}
    cli.ok(*DRAIN)
    assert cli.ok("output", "1") == "c  d\n"


def test_an_editor_gets_the_job_as_json_that_enqueues_it(cli: Cli) -> None:
    """With remarks that are not read."""
    copy = cli.directory / "copy"
    cli.ok("enqueue", "--on-dead", "echo 'x'", "--backoff-base", "1.5", "--delay", "1h", "make")
    editor(cli, f"open({str(copy)!r}, 'w').write(text)")
    assert cli.ok("edit", "1") == "job 1 left as it was\n"
    text = copy.read_text()
    assert text.startswith("# Job 1.")
    given = json.loads("\n".join(line for line in text.splitlines() if not line.startswith("#")))
    assert given["command"] == "make"
    assert (given["on_dead"], given["backoff_base"]) == ("echo 'x'", 1.5)
    cli.ok("enqueue", json.dumps(given))
    first, second = cli.json("list")
    differing = {name for name in first if first[name] != second[name]}
    assert differing <= {"id", "created_at", "due_at", "next_run_at"}


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ("text = text.replace('{', '[', 1)", 2, "JSON"),
        ("text = text.replace('\"command\"', '\"comand\"')", 2, "command"),
        ('text = text.replace(\'"priority": 0\', \'"priority": "high"\')', 2, "priority"),
        ("text = text.replace('\"priority\"', '\"prioritty\"')", 2, "priority"),
        ("text = text.replace('\"max_retries\": 3', '\"max_retries\": -1')", 2, "max_retries"),
        ("text = text.replace('\"default\"', '\"nowhere\"')", 3, "nowhere"),
        ('text = text.replace(\'"priority"\', \'"name": "taken", "priority"\')', 1, "taken"),
        ('text = text.replace(\'"priority"\', \'"paused": true, "priority"\')', 2, "paused"),
        ("text = ''", 2, "JSON"),
        ("sys.exit(3)", 1, "exit 3"),
    ],
)
def test_a_wrong_text_changes_nothing(cli: Cli, change: str, code: int, named: str) -> None:
    """One line says what is wrong."""
    cli.ok("enqueue", "true")
    cli.ok("enqueue", "--name", "taken", "true")
    before = cli.json("list")
    editor(cli, change)
    assert named in cli.refused(code, "edit", "1")
    assert cli.json("list") == before


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("edit",), 2, "SELECTION"),
        (("edit", "1"), 2, "change what?"),
        (("edit", "9", "--priority", "1"), 3, "9"),
        (("edit", "all", "--priority", "1"), 2, "ids"),
        (("edit", "1", "--priority", "high"), 2, "high"),
        (("edit", "1", "--queue", "nowhere"), 3, "nowhere"),
        (("edit", "1", "--timeout", "soon"), 2, "soon"),
        (("edit", "1", "--command", " "), 2, "empty"),
        (("edit", "1", "--name", "a b"), 2, "a b"),
        (("edit", "1", "--name", "two"), 1, "two"),
        (("move", "1"), 2, "--first"),
        (("move", "1", "--first", "--last"), 2, "one of"),
        (("move", "--first"), 2, "move what"),
        (("move", "1", "--to", "nowhere"), 3, "nowhere"),
        (("move", "9", "--first"), 3, "9"),
        (("dlq", "retry", "1", "--edit"), 2, "EDITOR"),
        (("dlq", "retry"), 2, "retry what"),
        (("dlq", "retry", "1", "--keep-attempts"), 1, "not dead"),
        (("dlq", "retry", "1", "--keep-attempt"), 2, "--keep-attempts"),
    ],
)
def test_bad_input_gets_one_line(cli: Cli, words: tuple[str, ...], code: int, named: str) -> None:
    """And nothing is changed."""
    cli.ok("enqueue", "true")
    cli.ok("enqueue", "--name", "two", "true")
    before = cli.json("list")
    assert named in cli.refused(code, *words)
    assert cli.json("list") == before


def test_a_running_job_is_refused(cli: Cli, workers: Workers) -> None:
    """By flags, in an editor, and by `move`."""
    gate = Fifo(cli, "gate")
    cli.ok("enqueue", gate.wait)
    workers.start("1")
    cli.ok("wait", "1", "--for", "processing")
    editor(cli)
    for words in (("edit", "1", "--priority", "1"), ("edit", "1"), ("move", "1", "--first")):
        assert "running" in cli.refused(1, *words)
    gate.open()
    cli.ok("wait", "1")


def test_moved_jobs_run_in_their_new_order(cli: Cli) -> None:
    """First, last, and in another queue."""
    cli.ok("queue", "create", "slow")
    log = cli.directory / "log"
    for name in "abcd":
        cli.ok("enqueue", "--name", name, f"echo {name} >> {log}")
    cli.ok("move", "d", "c", "--first")
    cli.ok("move", "a", "--last")
    cli.ok("move", "b", "--to", "slow")
    assert cli.json("status", "b")["queue"] == "slow"
    cli.ok("worker", "start", "1", "--until-empty", "--queue", "default")
    assert log.read_text().split() == ["d", "c", "a"]


def test_a_dead_job_is_edited_and_retried_in_one_go(cli: Cli) -> None:
    """Its history stays, its attempts start afresh."""
    cli.ok("enqueue", "--max-retries", "1", "--backoff-base", "0", "exit 3")
    cli.ok(*DRAIN)
    editor(cli, "text = text.replace('exit 3', 'echo mended')")
    cli.ok("dlq", "retry", "1", "--edit")
    assert cli.json("status", "1")["attempts"] == 0
    cli.ok(*DRAIN)
    job = cli.json("status", "1")
    assert (job["state"], job["attempts"], job["runs"]) == ("completed", 1, 3)
    assert [attempt["reason"] for attempt in job["history"]] == ["exit 3", "exit 3", "exit 0"]


def test_kept_attempts_allow_one_more_run(cli: Cli) -> None:
    """Each time it is asked for."""
    cli.ok("enqueue", "--max-retries", "2", "--backoff-base", "0", "exit 3")
    cli.ok(*DRAIN)
    for runs in (4, 5):
        cli.ok("dlq", "retry", "all", "--keep-attempts")
        assert cli.json("status", "1")["state"] == "pending"
        cli.ok(*DRAIN)
        job = cli.json("status", "1")
        assert (job["state"], job["attempts"], job["runs"]) == ("dead", runs, runs)
    cli.ok("dlq", "retry", "1")
    cli.ok(*DRAIN)
    job = cli.json("status", "1")
    assert (job["state"], job["attempts"], job["runs"]) == ("dead", 3, 8)
