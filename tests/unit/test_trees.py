"""Jobs drawn below those they wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.commands.graph import find_cycle, is_graph
from queuectl.commands.trees import ASCII, UNICODE, drawn, in_utf8

if TYPE_CHECKING:
    from tests.support.session import Session


def picture(children: dict[int, list[int]], jobs: list[int], lines: object = UNICODE) -> list[str]:
    return [
        f"{before}{job}{'*' if again else ''}"
        for before, job, again in drawn(children, jobs, lines)  # type: ignore[arg-type]
    ]


def test_a_tree_is_drawn() -> None:
    """Lines go on as long as others follow."""
    assert picture({1: [2, 3], 2: [4], 3: [5]}, [1, 2, 3, 4, 5, 6]) == [
        "1", "├─ 2", "│  └─ 4", "└─ 3", "   └─ 5", "6",
    ]  # fmt: skip
    assert picture({1: [2, 3], 2: [4]}, [1, 2, 3, 4], ASCII) == ["1", "|- 2", "|  `- 4", "`- 3"]


def test_a_job_that_waits_for_several_is_below_each() -> None:
    """What is below it stands there once."""
    assert picture({1: [3], 2: [3], 3: [4]}, [1, 2, 3, 4]) == [
        "1", "└─ 3", "   └─ 4", "2", "└─ 3*",
    ]  # fmt: skip


def test_a_long_chain_and_a_wide_fan_are_drawn() -> None:
    """Without recursion, and in time that grows with the picture."""
    chain = {number: [number + 1] for number in range(1, 3000)}
    assert len(picture(chain, list(range(1, 3001)))) == 3000
    assert len(picture({1: list(range(2, 50_000))}, list(range(1, 50_000)))) == 49_999


@pytest.mark.parametrize(
    ("environ", "answer"),
    [({"LANG": "en_US.UTF-8"}, True), ({"LANG": "C"}, False), ({}, False), ({"LC_ALL": "C", "LANG": "C.utf8"}, False),
     ({"LC_ALL": "", "LC_CTYPE": "de_DE.utf8"}, True)],
)  # fmt: skip
def test_lines_fit_the_terminal(environ: dict[str, str], answer: bool) -> None:
    """As the locale says."""
    assert in_utf8(environ) is answer


def test_cycles_are_found() -> None:
    """With the jobs in them, and no others."""
    assert find_cycle({"a": ["b"], "b": ["c"], "c": ["b", "elsewhere"]}) == ["b", "c", "b"]
    assert find_cycle({"a": ["a"]}) == ["a", "a"]
    assert find_cycle({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}) == []
    long = {str(number): [str(number + 1)] for number in range(100_000)}
    assert find_cycle(long) == []
    assert len(find_cycle({**long, "100000": ["0"]})) == 100_002


@pytest.mark.parametrize(
    ("text", "answer"),
    [('[{"command": "a"}]', True), (' [\n {"a', True), ("[]", True), ('{"jobs": [', True), ('\n{ "jobs":[', True),
     ("[ -f x ] && y", False), ('{"command": "jobs"}\n{', False), ("true\n[{", False), ("", False)],
)  # fmt: skip
def test_a_document_is_told_from_lines(text: str, answer: bool) -> None:
    """By how it begins."""
    assert is_graph(text) is answer


def test_what_a_job_waits_for_comes_before_what_it_would_wait_for_then(session: Session) -> None:
    """A list says nothing of workers for a job that waits for another; nor does a tree."""
    session.result("enqueue true")
    session.result("enqueue --after 1 echo after")
    for line in ("list", "list --tree"):
        rows = session.text(line).splitlines()
        assert "no workers" in rows[1]
        assert "no workers" not in rows[2]
    # nothing stands above it: then a column names what it waits for
    header, row = session.text("list --tree 2").splitlines()
    assert row[header.index("AFTER")] == "1"
