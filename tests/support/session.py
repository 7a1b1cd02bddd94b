"""A session that types commands at a store, without a process or a terminal."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.commands import GRAMMAR
from queuectl.commands.context import SCRIPT, Context, user_name
from queuectl.commands.result import Result, parts
from queuectl.errors import QueuectlError
from queuectl.job import EXIT, NewJob, Outcome
from queuectl.render import Look, render
from queuectl.store import open_store
from queuectl.store.base import HostInfo, Settlement, Start

if TYPE_CHECKING:
    from pathlib import Path

    from queuectl.job import Job
    from queuectl.store.base import Store

ENVIRON = {
    "PATH": os.environ["PATH"],
    "HOME": "/home/me",
    "LANG": "C.UTF-8",
    "SECRET": "s",
    "LC_TIME": "C",
}


class Session:
    """A context on a store of its own, and a way to type lines."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.store: Store = open_store("memory:")
        options.setdefault("mode", SCRIPT)
        self.ctx = Context(lambda: self.store, environ=ENVIRON, **options)
        self.ctx.cwd = str(directory)

    def result(self, line: str) -> Result:
        """Run a line; return the last part of its answer."""
        return list(parts(self.answer(line)))[-1]

    def answer(self, line: str) -> Result:
        """Run a line; return the first part of its answer."""
        invocation = GRAMMAR.parse_line(line)
        assert invocation is not None
        answer: Result = invocation.command.load()(self.ctx, invocation.args)
        return answer

    def text(self, line: str, fd: int = 1) -> str:
        """Return what a line shows on a pipe, each part shown before the next is asked for."""
        shown = [
            data
            for part in parts(self.answer(line))
            for to, data in render(part, Look())
            if to == fd
        ]
        return b"".join(shown).decode()

    def notes(self, line: str) -> list[str]:
        """Return the remarks of a line."""
        return list(self.result(line).notes)

    def json(self, line: str) -> Any:
        """Return what a line gives with --json."""
        text = b"".join(
            data for to, data in render(self.result(f"{line} --json"), Look(json=True)) if to == 1
        )
        return json.loads(text)

    def refused(self, line: str) -> tuple[int, str]:
        """Return the exit status and message of a line that fails."""
        with pytest.raises(QueuectlError) as caught:
            self.result(line)
        return caught.value.exit_status, str(caught.value)

    def job(self, job_id: int) -> Job:
        """Return a job."""
        job = self.store.get(job_id)
        assert job is not None
        return job

    def states(self) -> str:
        """Return the states of all jobs, by id."""
        return " ".join(f"{job['id']}:{job['state']}" for job in self.json("list"))

    def with_host(self, workers: int = 1, queues: tuple[str, ...] = ()) -> str:
        """Register a host of this user on this machine and return its id."""
        name = f"host{len(self.store.hosts())}"
        self.store.register(
            HostInfo(
                name,
                os.uname().nodename,
                user_name(),
                1,
                "1",
                workers,
                queues,
                self.store.now(),
                self.store.now(),
            )
        )
        return name

    def ends(self, code: int, jobs: int = 1) -> None:
        """Let some waiting jobs run and end with an exit code."""
        if not self.store.hosts():
            self.with_host()
        claims = self.store.claim("host0", jobs)
        assert len(claims) == jobs
        now = self.store.now()
        outcome = Outcome(EXIT, code, started_at=now, finished_at=now)
        self.store.settle(
            [Settlement(claim.job_id, claim.token, claim.run, outcome) for claim in claims]
        )

    def starts(self, jobs: int = 1) -> None:
        """Let some waiting jobs start."""
        if not self.store.hosts():
            self.with_host()
        now = self.store.now()
        claims = self.store.claim("host0", jobs)
        self.store.start([Start(claim.job_id, claim.token, claim.run, now) for claim in claims])

    def refused_later(self, line: str) -> tuple[int, str]:
        """Return the exit status and message of a line that fails while it is shown."""
        result = self.result(line)
        with pytest.raises(QueuectlError) as caught:
            list(render(result, Look()))
        return caught.value.exit_status, str(caught.value)

    def many(self, count: int) -> None:
        """Enqueue plain jobs."""
        self.ctx.write(lambda store: store.add([NewJob("true")] * count))
