"""The history file."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from queuectl.shell import history
from queuectl.shell.history import ShellHistory

if TYPE_CHECKING:
    from pathlib import Path


def kept(path: Path) -> list[str]:
    """Return what another shell reads, newest first."""
    return list(ShellHistory(str(path)).load_history_strings())


def test_lines_come_back_newest_first_with_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history"
    writer = ShellHistory(str(path))
    for line in ("list", 'enqueue {"a":\n+1}', "status"):
        writer.append_string(line)
    assert kept(path) == ["status", 'enqueue {"a":\n+1}', "list"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_blank_in_front_a_repetition_and_nothing_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "history"
    writer = ShellHistory(str(path))
    for line in ("list", "list", " enqueue --env TOKEN=x true", "", "  "):
        writer.append_string(line)
    assert kept(path) == ["list"]
    assert writer.get_strings() == ["list"]


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.touch(0o644)
    ShellHistory(str(path)).append_string("list")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_long_file_is_cut_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "READ", 1000)
    monkeypatch.setattr(history, "LARGEST", 3000)
    path = tmp_path / "history"
    writer = ShellHistory(str(path))
    for number in range(200):
        writer.append_string(f"enqueue {number}")
    lines = kept(path)
    assert lines[0] == "enqueue 199"
    assert lines == [f"enqueue {number}" for number in range(199, 199 - len(lines), -1)]
    assert path.stat().st_size <= 1000
    assert os.listdir(tmp_path) == ["history"]


def test_a_file_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    writer = ShellHistory(str(tmp_path / "file" / "history"))
    writer.append_string("list")
    assert writer.get_strings() == ["list"]
    assert list(writer.load_history_strings()) == []
