"""The session that the README shows, typed at a terminal: it looks as it is shown there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.shell.screen import Shell

#: what differs from one time to the next: how long something took, where the store is
_TIME = re.compile(r"\b\d+(\.\d+)?s\b")
_STORE = re.compile(r"  \S*queue\.db$")
_PROMPT = "queuectl> "


def shown() -> list[str]:
    """Return the lines of the README's first block."""
    readme = Path("README.md").read_text(encoding="utf-8")
    return readme.split("```")[1].strip("\n").splitlines()


def alike(line: str) -> str:
    """Return a line without what differs, and without the blanks that make room for it."""
    return " ".join(_TIME.sub("TIME", _STORE.sub("  STORE", line)).split())


def program(directory: Path, name: str, gate: str, code: int) -> None:
    """Make a program that ends when a file is there."""
    path = directory / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"#!/bin/sh\nuntil [ -e {directory / gate} ]; do sleep 0.05; done\nexit {code}\n"
    )
    path.chmod(0o755)


def test_the_first_picture_is_a_real_one(tmp_path: Path) -> None:
    """Programs of those names stand in for the real ones; they end in the order shown."""
    program(tmp_path, "ffmpeg", "converted", 0)
    program(tmp_path, "curl", "gone", 6)
    environ = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "QUEUECTL_BACKOFF_BASE": "50"}
    *expected, toolbar = shown()
    typed = [line.removeprefix(_PROMPT) for line in expected if line.startswith(_PROMPT)]
    with Shell(tmp_path, columns=120, rows=40, environ=environ) as shell:
        for line in typed[:-1]:
            shell.run(line)
        (tmp_path / "converted").touch()
        shell.see("job 1 completed")
        (tmp_path / "gone").touch()
        shell.see("job 2 failed")
        shell.run(typed[-1])
        shell.wait_for(lambda: alike(shell.toolbar) == alike(toolbar), toolbar)
        lines = shell.text.splitlines()
        begin = next(at for at, line in enumerate(lines) if line.startswith(_PROMPT + typed[0]))
        found = [line for line in lines[begin:] if line.strip() and line.strip() != _PROMPT.strip()]
        assert [alike(line) for line in found[: len(expected)]] == [
            alike(line) for line in expected
        ]
