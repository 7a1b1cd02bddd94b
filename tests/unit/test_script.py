"""Scripts: groups of jobs, acknowledgement, and what a failing line does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from queuectl.commands.context import SCRIPT, Context
from queuectl.script import Line, Script, commands, given_lines, read_lines
from queuectl.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from queuectl.commands.result import Result
    from queuectl.errors import QueuectlError
    from queuectl.job import NewJob
    from queuectl.store.base import Store


class Run:
    """A script on a store that notes in which groups jobs are added."""

    def __init__(self, *, keep_going: bool = False) -> None:
        self.store: Store = open_store("memory:")
        self.shown: list[tuple[object, int]] = []
        self.errors: list[str] = []
        self.groups: list[int] = []
        self.ctx = Context(lambda: self.store, environ=os.environ, mode=SCRIPT)
        self.add: Callable[[Sequence[NewJob]], list[int]] = self.store.add
        self.store.add = self.noting_add  # type: ignore[method-assign]
        self.script = Script(self.ctx, self.show, self.show_error, keep_going=keep_going)

    def noting_add(self, jobs: Sequence[NewJob]) -> list[int]:
        """Add jobs and note how many at once."""
        ids = self.add(jobs)
        self.groups.append(len(jobs))
        return ids

    def show(self, result: Result, json: bool) -> None:  # noqa: ARG002
        """Keep an answer, and how many jobs were in the store when it was given."""
        self.shown.append((result.data, sum(self.store.counts().values())))

    def show_error(self, error: QueuectlError, prefix: str, json: bool) -> None:  # noqa: ARG002
        """Keep an error."""
        self.errors.append(f"{prefix}{error}")

    def __call__(self, *texts: str) -> int:
        """Run lines that are all there at once."""
        return self.script.run(commands(given_lines(list(texts))))

    def commands(self) -> list[str]:
        """Return the commands of all jobs."""
        from queuectl.store.base import Filter

        return [job.command for job in self.store.jobs(Filter())]


def test_jobs_in_a_row_are_added_together_and_answered_after_the_commit() -> None:
    """A comment between them does not matter; another command ends the group."""
    run = Run()
    assert run("enqueue a", "# x", "", "enqueue b", "status", "enqueue c") == 0
    assert run.groups == [2, 1]
    assert [known for _, known in run.shown] == [2, 2, 2, 3]
    assert run.commands() == ["a", "b", "c"]


def test_a_line_whose_follower_is_not_there_yet_is_not_kept_back() -> None:
    """Somebody may wait for its answer before writing the next."""
    run = Run()

    def slow() -> Iterator[Line]:
        yield Line(1, "enqueue a", more=False)
        assert run.groups == [1]
        yield Line(2, "enqueue b", more=True)
        assert run.groups == [1]
        yield Line(3, "enqueue c", more=False)
        assert run.groups == [1, 2]

    assert run.script.run(slow()) == 0


@pytest.mark.parametrize(
    ("lines", "code", "error", "done"),
    [
        (["enqueue a", "bogus", "enqueue b"], 2, "script:2: no command 'bogus'", ["a"]),
        (["enqueue a", "enqueue 3", "enqueue b"], 2, "script:2: '3' selects", ["a"]),
        (
            ["enqueue a", "enqueue --queue nope x", "enqueue b"],
            3,
            "script:2: no queue 'nope'",
            ["a"],
        ),
        (["enqueue a", "status 77", "enqueue b"], 3, "script:2: no job 77", ["a"]),
        (["enqueue a", "!exit 9", "enqueue b"], 9, "", ["a"]),
        (
            ["enqueue a", "", "enqueue {", '"command":', "3}", "enqueue b"],
            2,
            "script:3: command: 3",
            ["a"],
        ),
        (["enqueue --queue x a", "status 1"], 3, "script:1: no queue 'x'", []),
        (["exit", "enqueue a"], 0, "", []),
    ],
)
def test_a_failing_line_ends_the_script(
    lines: list[str], code: int, error: str, done: list[str]
) -> None:
    """What stood before it is done, what follows is not, and one error names the line."""
    run = Run()
    assert run(*lines) == code
    assert run.commands() == done
    assert len(run.errors) == bool(error)
    assert "".join(run.errors).startswith(error)


def test_keep_going_ends_with_the_first_failures_code() -> None:
    """And does all the rest."""
    run = Run(keep_going=True)
    assert run("enqueue a", "status 9", "enqueue --queue x b", "bogus", "enqueue c") == 3
    assert run.commands() == ["a", "c"]
    assert [error.split(":")[1] for error in run.errors] == ["2", "3", "4"]


def test_one_bad_job_of_a_group_spares_the_others() -> None:
    """They are added one after the other then, in order."""
    run = Run(keep_going=True)
    assert run("enqueue a", "enqueue --queue x b", "enqueue c") == 3
    assert run.commands() == ["a", "c"]


def test_lines_are_numbered_however_they_arrive() -> None:
    """Even a byte at a time, and without a last newline."""
    data = "a\r\nb 日本\n\nc".encode()
    for size in (1, 2, 3, 100):
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        lines = list(read_lines(lambda _: chunks.pop(0) if chunks else b""))  # noqa: B023
        assert [(line.number, line.text) for line in lines] == [
            (1, "a"),
            (2, "b 日本"),
            (3, ""),
            (4, "c"),
        ]
    assert not lines[-1].more


def test_json_over_several_lines_is_one_command() -> None:
    """With the number of its first line; also when it never closes."""
    texts = ["status", 'enqueue {"command":', '"x"}', "list", "enqueue {"]
    joined = list(commands(given_lines(["\n".join(texts)])))
    assert [(line.number, line.text) for line in joined] == [
        (1, "status"), (2, 'enqueue {"command":\n"x"}'), (4, "list"), (5, "enqueue {"),
    ]  # fmt: skip


def test_a_line_goes_on_behind_a_backslash() -> None:
    """Also one at the very end, behind which nothing comes."""
    texts = ["enqueue a && \\", "  b \\", "c", "list", "enqueue d \\"]
    joined = list(commands(given_lines(["\n".join(texts)])))
    assert [(line.number, line.text) for line in joined] == [
        (1, "enqueue a &&   b c"), (4, "list"), (5, "enqueue d \\"),
    ]  # fmt: skip
