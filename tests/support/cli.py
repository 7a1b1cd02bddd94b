"""Runs queuectl as a process of its own, in a state directory of the test's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.support.backend import DEFAULT, store_url

if TYPE_CHECKING:
    from pathlib import Path

#: seconds after which a test is stuck
PATIENCE = 60


class Cli:
    """One store and the environment to use it from."""

    def __init__(self, directory: Path, kind: str = DEFAULT) -> None:
        """`kind` is one of tests.support.backend."""
        self.directory = directory
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.getcwd(),
            "QUEUECTL_STATE_DIR": str(directory / "state"),
        }
        url = store_url(directory, kind)
        if url is not None:
            self.env["QUEUECTL_STORE"] = url

    @property
    def url(self) -> str:
        """What another process opens to get at the same jobs."""
        return self.env.get("QUEUECTL_STORE") or f"sqlite://{self.directory}/state/queue.db"

    def command(self, *words: str) -> list[str]:
        """Return the argv that runs queuectl with these words."""
        return [sys.executable, "-m", "queuectl", *words]

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run to the end; nothing is checked."""
        return subprocess.run(
            self.command(*words),
            input=stdin,
            env=self.env,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def ok(self, *words: str, stdin: str = "") -> str:
        """Run, expect exit status 0, return standard output."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def script(self, *lines: str) -> subprocess.CompletedProcess[str]:
        """Feed lines to a script on standard input."""
        return self.run(stdin="\n".join(lines) + "\n")

    def json(self, *words: str) -> Any:
        """Run with --json and return the one document on standard output."""
        return json.loads(self.ok(*words, "--json"))

    def refused(self, code: int, *words: str) -> str:
        """Run, expect this exit status and exactly one line on standard error; return it."""
        done = self.run(*words)
        assert done.returncode == code, (done.stdout, done.stderr)
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert len(lines) == 1, lines
        assert "Traceback" not in done.stderr
        return lines[0]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a process and leave it running; the test ends it."""
        return subprocess.Popen(
            self.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
            cwd=self.directory,
            text=True,
        )
