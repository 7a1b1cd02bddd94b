"""Jobs that wait for others, run by real workers."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

from tests.support.worker import Fifo, Workers

if TYPE_CHECKING:
    from tests.support.cli import Cli


def states(cli: Cli) -> dict[int, str]:
    return {job["id"]: job["state"] for job in cli.json("list")}


def test_a_job_runs_when_what_it_waits_for_has_completed(cli: Cli, workers: Workers) -> None:
    """Not before, though workers are idle."""
    gate = Fifo(cli, "gate")
    cli.ok("enqueue", "--name", "first", gate.wait)
    cli.ok("enqueue", "--after", "first", "echo second")
    cli.ok("enqueue", "--after", "1,2", "echo third")
    workers.start("3")
    cli.ok("wait", "1", "--for", "processing")
    assert cli.ok("why", "2") == "job 2 waits for job 1 (processing) to complete\n"
    assert "jobs 1 (processing) and 2 (pending) to complete" in cli.ok("why", "3")
    gate.open()
    cli.ok("wait", "1-3")
    told = [cli.json("status", str(job))["history"][0] for job in (1, 2, 3)]
    assert told[0]["finished_at"] <= told[1]["started_at"]
    assert told[1]["finished_at"] <= told[2]["started_at"]


def test_when_it_dies(cli: Cli, workers: Workers) -> None:
    """Who waits for it to complete is cancelled, and so on; who waits for its death or end runs; who keeps waiting waits."""
    cli.ok("enqueue", "--max-retries", "0", "--name", "bad", "false")
    cli.ok("enqueue", "--after", "1", "true")
    cli.ok("enqueue", "--after", "2", "true")
    cli.ok("enqueue", "--after-failed", "bad", "true")
    cli.ok("enqueue", "--after-any", "1,2", "true")
    cli.ok("enqueue", "--after", "1", "--keep-waiting", "true")
    workers.start("2")
    assert cli.run("wait", "1", "2", "3", "4", "5").returncode == 4
    assert states(cli) == {
        1: "dead", 2: "cancelled", 3: "cancelled", 4: "completed", 5: "completed", 6: "pending",
    }  # fmt: skip
    assert "dependency 1 is dead" in cli.ok("why", "2")
    assert "waits for job 1 to complete, which is dead" in cli.ok("why", "6")
    assert "3!" not in cli.ok("list", "6")
    assert "1!" in cli.ok("list", "6").split()
    # it is met when the other is run again and completes
    cli.ok("edit", "1", "--command", "true")
    cli.ok("dlq", "retry", "1")
    cli.ok("wait", "1", "6")


def test_what_a_job_waits_for_can_be_edited(cli: Cli, workers: Workers) -> None:
    """The new ones take the place of the old."""
    gate = Fifo(cli, "gate")
    cli.script(f"enqueue {gate.wait}", "enqueue true", "enqueue --after 1 true", "edit 3 --after 2")
    workers.start("2")
    cli.ok("wait", "2", "3")
    assert [one["on"] for one in cli.json("status", "3")["after"]] == [2]
    gate.open()
    cli.ok("wait")


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_graph_from_a_file_runs_in_its_order(cli: Cli, workers: Workers, wrapped: bool) -> None:
    """Also from standard input."""
    order = cli.directory / "order"
    jobs = [
        {"name": "join", "command": f"echo join >> {order}", "after": ["left", "right"]},
        *(
            {"name": side, "command": f"echo {side} >> {order}", "after": "fetch"}
            for side in ("left", "right")
        ),
        {"name": "fetch", "command": f"echo fetch >> {order}"},
    ]
    text = json.dumps({"jobs": jobs} if wrapped else jobs, indent=2)
    assert "4 jobs enqueued: 1-4" in cli.ok("enqueue", "-", stdin=text)
    workers.start("3")
    cli.ok("wait", "1-4")
    first, *middle, last = order.read_text().split()
    assert (first, sorted(middle), last) == ("fetch", ["left", "right"], "join")


def test_a_graph_with_a_cycle_is_refused_whole(cli: Cli) -> None:
    """The cycle is shown."""
    (cli.directory / "graph.json").write_text(
        json.dumps([
            {"command": "true"},
            {"name": "a", "command": "true", "after": "c"},
            {"name": "b", "command": "true", "after": "a"},
            {"name": "c", "command": "true", "after": "b"},
        ])
    )  # fmt: skip
    assert "a → c → b → a" in cli.refused(2, "enqueue", "--from", "graph.json")
    assert cli.json("list") == []


@pytest.mark.parametrize(("lang", "drawn"), [("C.UTF-8", "└─ 2"), ("C", "`- 2")])
def test_a_tree_at_a_terminal(cli: Cli, lang: str, drawn: str) -> None:
    """With lines where they can be shown."""
    cli.script("enqueue true", "enqueue --after 1 true")
    child = pexpect.spawn(
        sys.executable, ["-m", "queuectl", "list", "--tree"], env={**cli.env, "LC_ALL": lang},
        cwd=str(cli.directory), dimensions=(24, 100), encoding="utf-8", timeout=30,
    )  # fmt: skip
    child.expect_exact(drawn)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_what_a_job_waits_for_can_be_edited_as_text(cli: Cli) -> None:
    """Together with what it needs; what is deleted is gone."""
    cli.script(
        "enqueue true", "enqueue true", "enqueue --after 1 --need gpu=1 --slots 2 --unique k true"
    )
    cli.env["EDITOR"] = 'sed -i \'s/^    1$/    2/; s/"gpu": 1/"gpu": 2/; /slots/d; /unique/d\''
    cli.ok("edit", "3")
    job = cli.json("status", "3")
    assert [one["on"] for one in job["after"]] == [2]
    assert (job["needs"], job["unique"]) == ({"gpu": 2}, None)


def test_a_graph_that_failed_is_retried_whole(cli: Cli, workers: Workers) -> None:
    """Its ids are in the wrong order; what failed is named to who asks for the rest alone."""
    flag = cli.directory / "flag"
    graph = [
        {"name": "c", "command": "true", "after": "b"},
        {"name": "b", "command": "true", "after": "a"},
        {"name": "a", "command": f"test -e {flag}", "max_retries": 0},
    ]
    cli.ok("enqueue", "-", stdin=json.dumps(graph))
    workers.start("1")
    assert cli.run("wait", "1", "2", "3").returncode == 4
    advice = "`retry 3 --dependents` runs that again, with what was cancelled because of it"
    assert cli.ok("why", "c") == (
        f"job 1 is cancelled (dependency 2 is cancelled, as job 3 is dead); {advice}\n"
    )
    refused = cli.run("retry", "1-2")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"2 jobs still wait for what can never be: job 2 waits for job 3, which is dead; {advice}\n"
    )
    flag.touch()
    cli.ok("retry", "1-3")
    cli.ok("wait", "1-3")
    assert states(cli) == {1: "completed", 2: "completed", 3: "completed"}


def test_a_job_is_retried_with_what_it_took_with_it(cli: Cli, workers: Workers) -> None:
    """From the dead-letter queue too."""
    cli.ok("enqueue", "--max-retries", "0", "false")
    cli.ok("enqueue", "--after", "1", "true")
    cli.ok("enqueue", "--after", "2", "true")
    workers.start("1")
    for verb in (("retry",), ("dlq", "retry")):
        assert cli.run("wait", "1", "2", "3").returncode == 4
        told = cli.json(*verb, "1", "--dependents")
        assert ([one["id"] for one in told["changed"]], told["dependents"]) == ([1, 2, 3], [2, 3])
