"""export, import, backup and doctor, as people use them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from queuectl.job import EXIT, Outcome
from queuectl.store import open_store
from queuectl.store.base import Settlement
from tests.support.backend import sqlite_only
from tests.support.cli import Cli
from tests.support.service import Service

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def full(cli: Cli) -> Cli:
    """Return a store with every kind of thing in it."""
    cli.ok("set", "max-retries", "0")
    cli.ok("queue", "create", "gpu", "--limit", "2")
    cli.ok("set", "timeout", "10m", "--queue", "gpu")
    cli.ok("enqueue", "--name", "good", "echo out; echo err >&2")
    cli.ok("enqueue", "--queue", "gpu", "echo no; exit 3")
    cli.ok("enqueue", "head -c 300000 /dev/zero; sleep 0.2")
    cli.ok("worker", "start", "2", "--until-empty")
    cli.ok("enqueue", "--name", "first", "--paused", "--priority", "7", "cat")
    cli.ok("enqueue", "--after", "first", "--stdin", "-", "wc -c", stdin="some bytes")
    return cli


def _all(cli: Cli) -> list[object]:
    """Return everything that a user sees of all jobs."""
    jobs = [job["id"] for job in cli.json("list")]
    return [cli.json("status", str(job)) for job in jobs]


def test_an_export_brings_everything_back(full: Cli, tmp_path: Path) -> None:
    before = _all(full)
    said = full.ok("export", "--file", "jobs.jsonl")
    assert "5 jobs exported" in said
    exported = tmp_path / "jobs.jsonl"
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    other = Cli(tmp_path / "other")
    other.directory.mkdir()
    assert "5 jobs imported" in other.ok("import", str(exported))
    assert _all(other) == before
    assert other.run("output", "1").stdout == "out\n"
    assert other.run("output", "1").stderr == "err\n"
    assert len(other.ok("output", "3")) == 300_000
    assert other.json("set", "timeout", "--queue", "gpu")["value"] == "10m"
    # it goes on where it was: the next id is new, what waits is run when it may
    assert other.ok("enqueue", "--quiet", "true").strip() == "6"
    other.ok("resume", "first")
    other.ok("worker", "start", "--until-empty")
    assert other.ok("output", "5") == "10\n"


def test_an_export_as_one_document(full: Cli) -> None:
    """With --json, and as an answer of a service: the lines as items of an array."""
    lines = [json.loads(line) for line in full.ok("export").splitlines()]
    whole = full.json("export")
    # the first says when it was made
    assert whole[1:] == lines[1:]
    assert whole[0].keys() == lines[0].keys()
    assert (
        full.json("export", "1")[1:]
        == [json.loads(x) for x in full.ok("export", "1").splitlines()][1:]
    )
    with Service(full, "--workers", "0") as service:
        assert service.ask("export 1")[0][1:] == full.json("export", "1")[1:]
        assert len(service.ask("export 1")[0]) == 2
        service.stop()


def test_an_import_is_all_or_nothing(full: Cli, tmp_path: Path) -> None:
    lines = full.ok("export").splitlines()
    other = Cli(tmp_path / "other")
    other.directory.mkdir()
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join([*lines, '{"job": {"id": 9}}']) + "\n")
    said = other.refused(2, "import", str(broken))
    assert f"line {len(lines) + 1} is no line of a queuectl export" in said
    assert other.json("list") == []
    assert [queue["queue"] for queue in other.json("queue", "list")] == ["default", "hooks"]


def test_an_id_that_is_taken_is_refused(full: Cli) -> None:
    before = _all(full)
    full.ok("export", "--file", "jobs.jsonl")
    assert "there is a job 1 already" in full.refused(1, "import", "jobs.jsonl")
    assert _all(full) == before


def test_an_export_never_replaces_a_file_unasked(full: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    assert "exists" in full.refused(1, "export", "--file", "mine")
    assert (tmp_path / "mine").read_text() == "mine"
    full.ok("export", "--file", "mine", "--force")
    assert json.loads((tmp_path / "mine").read_text().splitlines()[0])["queuectl"]["format"] == 1


def test_what_is_no_export_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"\xff\xfe\n")
    assert "line 1 is no line of a queuectl export" in cli.refused(2, "import", "other")
    (tmp_path / "empty.json").write_text('{"settings": {}}\n')
    assert "its first line does not say so" in cli.refused(2, "import", "empty.json")
    assert "No such file" in cli.refused(2, "import", "nowhere")
    (tmp_path / "nothing").write_bytes(b"")
    assert "it is empty" in cli.refused(2, "import", "nothing")


def test_an_import_says_what_is_live_now(cli: Cli, tmp_path: Path) -> None:
    cli.ok("schedule", "add", "nightly", "0 3 * * *", "--", "true")
    cli.ok("enqueue", "--backoff-base", "1000", "--max-retries", "3", "false")
    cli.ok("enqueue", "true")
    cli.ok("enqueue", "sleep 60")
    host = cli.start("worker", "start", "3")
    cli.ok("wait", "1", "--for", "failed")
    cli.ok("wait", "2")
    cli.ok("wait", "3", "--for", "processing")
    cli.ok("export", "--file", "jobs.jsonl")
    cli.ok("cancel", "3", "--now")
    host.terminate()
    host.communicate(timeout=60)
    other = Cli(tmp_path / "other")
    other.directory.mkdir()
    path = str(cli.directory / "jobs.jsonl")
    assert other.ok("import", path).splitlines() == [
        f"3 jobs imported from {path}",
        "1 schedule taken over, which fires from now on: nightly",
        "1 job had been processing: to start again from the beginning",
        "1 job had failed: to be tried again when due",
    ]


@sqlite_only
def test_a_backup_is_a_store(full: Cli, tmp_path: Path) -> None:
    before = _all(full)
    full.ok("backup", "copy.db")
    copy = tmp_path / "copy.db"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert "exists" in full.refused(1, "backup", "copy.db")
    full.ok("remove", "all", "--yes")
    assert [
        json.loads(full.ok("--store", str(copy), "status", str(n), "--json")) for n in range(1, 6)
    ] == before


def test_doctor_is_content_with_a_healthy_store(cli: Cli) -> None:
    cli.ok("enqueue", "true")
    cli.ok("worker", "start", "--until-empty")
    checks = cli.json("doctor")
    assert all(check["ok"] for check in checks), checks
    assert {"version", "store", "hosts", "processes"} <= {check["topic"] for check in checks}


@sqlite_only
def test_doctor_names_jobs_without_workers_and_a_dead_host(cli: Cli) -> None:
    cli.ok("enqueue", "sleep 60")
    host = cli.start("worker", "start")
    cli.ok("wait", "1", "--for", "processing")
    host.kill()
    host.communicate(timeout=30)
    done = cli.run("doctor")
    assert done.returncode == 1
    assert "it is dead; the next `worker start` takes its jobs back" in done.stdout
    assert "nobody reads the wake-up pipe of pid " in done.stdout
    cli.ok("cancel", "1")
    # the job's processes outlive a host that had no front, until another one has found that it is dead
    left = _left(cli.directory)
    cli.ok("worker", "start", "--until-empty")
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_doctor_tells_what_is_left_from_what_others_run(cli: Cli, tmp_path: Path) -> None:
    """Another store's jobs are not ours; what an attempt of ours left is to be ended."""
    other = Cli(tmp_path / "other")
    other.directory.mkdir()
    other.ok("enqueue", "sleep 60")
    host = other.start("worker", "start")
    other.ok("wait", "1", "--for", "processing")
    processes = {row["topic"]: row for row in cli.json("doctor")}["processes"]
    assert (processes["ok"], processes["text"]) == (
        True,
        "nothing is left of attempts that are over",
    )
    host.kill()
    host.communicate(timeout=30)
    pids = _left(other.directory)
    with closing(open_store(other.url)) as store:
        job = store.get(1)
        assert job is not None
        assert job.host is not None
        assert job.token is not None
        # as if it had been settled by somebody who could not end it
        outcome = Outcome(EXIT, 0, started_at=job.started_at, finished_at=store.now())
        store.settle([Settlement(1, job.token, job.runs, outcome)])
    done = other.run("doctor")
    assert done.returncode == 1
    named = " ".join(map(str, sorted(pids)))
    assert f"left by attempts that are over: {named}; look with " in done.stdout
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_workers_say_what_they_wait_for(cli: Cli) -> None:
    """Before they are gone, those that stay until nothing is left."""
    cli.ok("enqueue", "--delay", "1h", "true")
    host = cli.start("worker", "start", "--until-empty")
    assert host.stderr is not None
    said = host.stderr.readline()
    assert said.startswith("waiting for job 1, which starts in ")
    host.terminate()
    host.communicate(timeout=60)


def _left(directory: Path) -> list[int]:
    """Return the processes of jobs that were enqueued in a directory."""
    from queuectl.process.proctree import snapshot, token_of

    return [
        pid
        for pid in snapshot()
        if token_of(pid) and os.path.realpath(f"/proc/{pid}/cwd") == os.path.realpath(directory)
    ]
