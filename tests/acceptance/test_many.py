"""Many jobs, several processes: every one once, and the books agree."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.cli import Cli

JOBS = 10_000


def test_ten_thousand_jobs_through_two_hosts(cli: Cli) -> None:
    """Each completes in exactly one attempt, and the counts equal the list."""
    cli.ok("set", "keep-completed-count", "0")
    cli.ok("enqueue", "--no-shell", "--quiet", "-", stdin="true\n" * JOBS)
    hosts = [cli.start("worker", "start", "2", "--until-empty") for _ in range(2)]
    for host in hosts:
        _, errors = host.communicate(timeout=120)
        assert host.returncode == 0, errors
    jobs = cli.json("list")
    assert [job["id"] for job in jobs] == list(range(1, JOBS + 1))
    assert {(job["state"], job["attempts"], job["runs"]) for job in jobs} == {("completed", 1, 1)}
    assert cli.json("status")["counts"] == {
        "pending": 0, "processing": 0, "completed": JOBS, "failed": 0, "dead": 0, "cancelled": 0,
    }  # fmt: skip


def test_shells_and_one_shots_never_run_a_job_twice(cli: Cli) -> None:
    """Two hosts work while three one-shot processes enqueue; each job writes its line once."""
    cli.ok("enqueue", "true")
    hosts = [cli.start("worker", "start", "2") for _ in range(2)]
    log = cli.directory / "log"
    job = {"command": f'echo "$QUEUECTL_JOB_ID" >> {log}'}
    lines = f"{json.dumps(job)}\n" * 60
    writers = [
        cli.start("enqueue", "--quiet", "--from", str(name)) for name in _files(cli, lines, 3)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
    cli.ok("wait")
    ran = sorted(int(line) for line in log.read_text().split())
    assert ran == list(range(2, 182))
    for host in hosts:
        host.terminate()
        _, errors = host.communicate(timeout=60)
        assert host.returncode == 0, errors


def _files(cli: Cli, text: str, count: int) -> list[str]:
    names = []
    for number in range(count):
        path = cli.directory / f"lines-{number}"
        path.write_text(text)
        names.append(str(path))
    return names
