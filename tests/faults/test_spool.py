"""Spool files under kill -9, rotation and truncation: each line becomes a job, and one only."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.cli import Cli
from tests.support.hosts import eventually
from tests.support.service import Service

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Return queuectl on a store with a queue that takes messages; nothing runs them."""
    cli = Cli(tmp_path)
    cli.ok("queue", "create", "q", "--command", "true", "--accept-messages")
    cli.ok("queue", "pause", "q")
    (tmp_path / "spool").mkdir()
    return cli


def file_of(cli: Cli) -> Path:
    return cli.directory / "spool" / "q.queue"


def append(cli: Cli, *messages: str) -> None:
    with file_of(cli).open("a") as file:
        file.write("".join(f"{message}\n" for message in messages))


def messages(cli: Cli) -> list[str]:
    """Return what has become a job, in order."""
    return [job["message"] for job in cli.json("list")]


def start(cli: Cli) -> Service:
    return Service(cli, "--spool", str(cli.directory / "spool"))


@pytest.mark.parametrize(
    "point", ["before-spool-commit", "after-spool-commit", "before-spool-commit:kill:2"]
)
def test_killed_at_a_commit(cli: Cli, point: str) -> None:
    """Before it nothing has happened, after it all has."""
    expected = [f"line {number}" for number in range(2500)]
    name, _, rest = point.partition(":")
    cli.env["QUEUECTL_FAILPOINT"] = f"{name}:{rest or 'kill'}"
    # there is nothing to commit until it has said that it is there
    service = start(cli)
    append(cli, *expected)
    more = 0
    while service.process.poll() is None:
        more += 1
        expected.append(f"more {more}")
        append(cli, expected[-1])
        time.sleep(0.05)
    assert service.ended() == -signal.SIGKILL
    service.__exit__(None, None, None)
    del cli.env["QUEUECTL_FAILPOINT"]
    with start(cli):
        append(cli, "the end")
        eventually(lambda: messages(cli)[-1:] == ["the end"])
    assert messages(cli) == [*expected, "the end"]


def test_killed_again_and_again(cli: Cli) -> None:
    """While lines are appended all the time."""
    expected = []
    for turn in range(5):
        service = start(cli)
        for number in range(200):
            expected.append(f"{turn}-{number}")
            append(cli, expected[-1])
        service.signal(signal.SIGKILL)
        service.ended()
        service.__exit__(None, None, None)
    with start(cli):
        append(cli, "the end")
        eventually(lambda: messages(cli)[-1:] == ["the end"])
    assert messages(cli) == [*expected, "the end"]


def test_a_line_waits_for_its_end(cli: Cli) -> None:
    """However long that takes, and over a restart."""
    append(cli, "first")
    with file_of(cli).open("a") as file, start(cli) as service:
        file.write("par")
        file.flush()
        eventually(lambda: messages(cli) == ["first"])
        service.stop()
        with start(cli):
            append(cli, "tial")
            eventually(lambda: messages(cli) == ["first", "partial"])


def test_rotated_while_somebody_writes(cli: Cli) -> None:
    """What is written to the renamed file counts, beside the new one."""
    append(cli, "a")
    with start(cli):
        eventually(lambda: messages(cli) == ["a"])
        with file_of(cli).open("a") as old:
            file_of(cli).rename(file_of(cli).with_suffix(".queue.1"))
            append(cli, "new")
            eventually(lambda: "new" in messages(cli))
            old.write("late\n")
        eventually(lambda: messages(cli) == ["a", "new", "late"])


def test_rotated_while_nobody_reads(cli: Cli) -> None:
    """The renamed file is found by what it is, and read on from where it was left."""
    append(cli, "a", "b")
    with start(cli):
        eventually(lambda: messages(cli) == ["a", "b"])
    append(cli, "c")
    file_of(cli).rename(file_of(cli).with_suffix(".queue.1"))
    append(cli, "d")
    with start(cli):
        eventually(lambda: messages(cli) == ["a", "b", "c", "d"])
    with start(cli) as service:
        append(cli, "e")
        eventually(lambda: messages(cli)[-1] == "e")
        service.stop()
    assert messages(cli) == ["a", "b", "c", "d", "e"]


def test_renamed_before_anybody_read_it(cli: Cli) -> None:
    """It may be a copy of one that was read, so it is not read; that is said, and said once."""
    append(cli, "one")
    file_of(cli).rename(f"{file_of(cli)}.1")
    append(cli, "two")
    with start(cli) as service:
        eventually(lambda: messages(cli) == ["two"])
        eventually(lambda: "q.queue.1 was renamed before it was read" in service.log)
        # one that was read is none of those
        file_of(cli).rename(f"{file_of(cli)}.2")
        append(cli, "three")
        eventually(lambda: messages(cli) == ["two", "three"])
        assert "q.queue.2" not in service.log
    with start(cli) as service:
        append(cli, "four")
        eventually(lambda: messages(cli)[-1] == "four")
        assert "was renamed" not in service.log


def test_cut_to_nothing(cli: Cli) -> None:
    """It begins anew, whether somebody looked meanwhile or not."""
    append(cli, "a", "b")
    with start(cli):
        eventually(lambda: messages(cli) == ["a", "b"])
        os.truncate(file_of(cli), 0)
        append(cli, "c")
        eventually(lambda: messages(cli) == ["a", "b", "c"])
    os.truncate(file_of(cli), 0)
    # longer than what was there: only what stands before the place tells
    append(cli, "a much longer line than before", "d")
    with start(cli):
        eventually(lambda: messages(cli) == ["a", "b", "c", "a much longer line than before", "d"])


def test_another_file_of_the_same_name(cli: Cli) -> None:
    """Removed and made anew, perhaps under the same inode."""
    append(cli, "a", "b")
    with start(cli):
        eventually(lambda: messages(cli) == ["a", "b"])
    file_of(cli).unlink()
    append(cli, "x", "y")
    with start(cli):
        eventually(lambda: messages(cli) == ["a", "b", "x", "y"])


def test_two_services_on_one_directory(cli: Cli) -> None:
    """Each line is read by one of them."""
    with start(cli), Service(
        cli, "--socket", str(cli.directory / "second"), "--spool", str(cli.directory / "spool")
    ):  # fmt: skip
        expected = []
        for turn in range(30):
            some = [f"{turn}-{number}" for number in range(10)]
            append(cli, *some)
            expected += some
        append(cli, "the end")
        eventually(lambda: messages(cli)[-1:] == ["the end"])
    assert messages(cli) == [*expected, "the end"]


def test_lines_that_can_be_no_message(cli: Cli) -> None:
    """They are named in the log with their place, and those behind them count."""
    with file_of(cli).open("wb") as file:
        file.write(b"a\n\n" + b"x" * 700_000 + b"\nnul\0\nb\n")
    with start(cli) as service:
        eventually(lambda: messages(cli) == ["a", "b"])
        assert "too long" in service.log
        assert "byte 700004" in service.log
