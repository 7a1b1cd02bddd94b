"""What a service's log says of lost jobs and of a store that cannot be used."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.test_full_disk import Quota
from tests.support.backend import sqlite_only
from tests.support.hosts import eventually
from tests.support.service import Service

if TYPE_CHECKING:
    from tests.support.cli import Cli


@sqlite_only
@pytest.mark.parametrize("form", ["text", "json"])
def test_lost_attempts_are_told(cli: Cli, form: str) -> None:
    """As other failures are; where they have a front, it says so itself."""
    with Service(cli, "--workers", "3") as service:
        service.ask("enqueue sleep 1000", "enqueue --max-retries 0 sleep 1000")
        eventually(lambda: len(service.ask("list processing")[0]) == 2)
        dead = service.facts["host"]
        service.process.kill()
        service.process.wait()
    with Service(cli, "--workers", "0", "--log-format", form) as service:
        eventually(lambda: "job 2" in service.log)
        lines = service.log.splitlines()
        service.stop()
    if form == "json":
        events = [json.loads(line) for line in lines]
        assert [(e["job"], e["state"], e["reason"], e["level"]) for e in events if "state" in e] == [
            (1, "failed", "worker lost", "warning"), (2, "dead", "worker lost", "warning"),
        ]  # fmt: skip
        (whole,) = [event for event in events if "recovered" in event["event"]]
        assert (whole["host"], whole["jobs"], whole["level"]) == (dead, [1, 2], "warning")
    else:
        assert [line.partition(" ")[2] for line in lines if "job" in line] == [
            f"warning: recovered 2 jobs of host {dead[:8]}, which has died",
            "warning: job 1 failed (worker lost)",
            "warning: job 2 dead (worker lost)",
        ]


def test_one_in_the_background_is_told_of_in_its_log(cli: Cli) -> None:
    """Its front does, which recovers it at once."""
    facts = cli.json("serve", "--detach", "--log-format", "json")
    cli.ok("enqueue", "sleep 1000")
    eventually(lambda: bool(cli.json("list", "processing")))
    os.kill(facts["pid"], signal.SIGKILL)
    log = Path(facts["log"])
    eventually(lambda: "worker lost" in log.read_text())
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events[-2:] == [
        f"recovered 1 job of host {facts['host'][:8]}, which has died", "job 1 failed (worker lost)",
    ]  # fmt: skip


def health(service: Service) -> tuple[int, Any]:
    """Return the status and the document of /healthz."""
    try:
        with urllib.request.urlopen(f"{service.facts['http']}/healthz", timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@sqlite_only
def test_a_full_disk_is_told(cli: Cli) -> None:
    """Once when it begins and once when it ends; meanwhile the service is not well."""
    disk = Quota(cli.directory)
    words = ("--workers", "1", "--http", "127.0.0.1:0", "--log-format", "json")
    with Service(cli, *words) as service:
        assert health(service)[0] == 200
        disk.fill(service.pid, 1)
        large = "x" * 100_000
        for _ in range(3):
            (answer,) = service.ask(f"enqueue : {large}")
            assert answer["exit_code"] == 75
        trouble: str = answer["error"]
        eventually(lambda: json.dumps(f"trouble: {trouble}") in service.log)
        status, said = health(service)
        assert status == 503
        assert said["error"] == trouble
        disk.free(service.pid)
        eventually(lambda: "the trouble is over" in service.log)
        assert health(service)[0] == 200
        assert service.ask("enqueue true")[0]["id"]
        service.stop()
        events = [json.loads(line) for line in service.log.splitlines()]
    told = [event["level"] for event in events if "trouble" in event["event"]]
    assert told == ["error", "info"]
