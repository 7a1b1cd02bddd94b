"""Jobs that wait for each other: as JSON, as a whole graph, and how they are shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from queuectl.commands.context import Screen
from queuectl.commands.result import Table
from queuectl.store.base import Dependency
from tests.support.session import ENVIRON, Session

if TYPE_CHECKING:
    from pathlib import Path

DIAMOND = {
    "jobs": [
        {"name": "fetch", "command": "true"},
        {"name": "left", "command": "true", "after": "fetch"},
        {"name": "right", "command": "true", "after": ["fetch"], "max_retries": 0},
        {"name": "join", "command": "true", "after": ["left", "right"]},
        {"command": "tell", "after_failed": "right"},
        {"command": "tidy", "after_any": ["left", "right"], "keep_waiting": True},
    ]
}


def write(session: Session, document: object) -> str:
    """Write a document and return the line that enqueues it."""
    with open(f"{session.ctx.cwd}/graph.json", "w", encoding="utf-8") as file:
        file.write(document if isinstance(document, str) else json.dumps(document))
    return "enqueue --from graph.json"


def test_a_graph_is_enqueued_whole(session: Session) -> None:
    """Names mean its own jobs, forwards too; ids are in its order."""
    assert session.json(write(session, DIAMOND))["ids"] == [1, 2, 3, 4, 5, 6]
    after = [[(one.on, one.when) for one in session.store.dependencies(job)] for job in range(1, 7)]
    assert after == [
        [], [(1, "completed")], [(1, "completed")], [(2, "completed"), (3, "completed")],
        [(3, "failed")], [(2, "ended"), (3, "ended")],
    ]  # fmt: skip
    assert session.job(6).policy["unmet"] == "keep"
    forwards = [{"command": "b", "after": "last-one"}, {"command": "a", "name": "last-one"}]
    session.result(write(session, forwards))
    assert session.store.dependencies(7) == [Dependency(8, "completed", met=False)]


def test_a_graph_may_refer_to_jobs_that_are_there(session: Session) -> None:
    """By name, id, range or `last`; flags fill what a job lacks."""
    session.result("enqueue --name base true")
    session.result("enqueue true")
    line = write(
        session,
        [
            {"command": "a", "after": ["base", 2]},
            {"command": "b", "after": "1-2"},
            {"command": "c", "after": "last"},
        ],
    )
    session.result(f"{line} --priority 4")
    assert [[one.on for one in session.store.dependencies(job)] for job in (3, 4, 5)] == [
        [1, 2],
        [1, 2],
        [2],
    ]
    assert session.job(3).priority == 4


@pytest.mark.parametrize(
    ("document", "code", "said"),
    [
        ([{"name": "a", "command": "x", "after": "b"}, {"name": "b", "command": "x", "after": "a"}], 2, "jobs cannot wait for each other: a → b → a"),
        ([{"name": "a", "command": "x", "after": "a"}], 2, "a → a"),
        ([{"command": "x"}, {"name": "b", "command": "x", "afer": "a"}], 2, "job 2 (b): no field 'afer'; did you mean after?"),
        ([{"name": "build", "command": "x"}, {"command": "x", "after": "biuld"}], 3, "job 2: after: no job named 'biuld'; did you mean build?"),
        ([{"command": "x", "after": 99}], 3, "no job 99"),
        ([{"name": "a", "command": "x"}, {"name": "a", "command": "x"}], 2, "job 2 (a): job 1 has that name already"),
        ([{"command": "x", "after": [True]}], 2, "job 1: after: true is not the id or name of a job"),
        ([{"command": "x", "after": {}}], 2, "job 1: after: {} is not the id or name of a job"),
        ([{"command": "x", "after": "3-"}], 2, "job 1: after: where does 3- end?"),
        ([{"command": "x", "slots": 0}], 2, "job 1: slots: '0' is not a number of workers"),
        ([{"command": "x", "need": "gpu"}], 2, 'job 1: need: "gpu" is not an object of amounts'),
        ([{"command": "x", "need": {"gpu": "lots"}}], 2, "job 1: need gpu: 'lots' is not a whole number"),
        ([{"command": "x", "keep_waiting": 1}], 2, "job 1: keep_waiting: 1 is not true or false"),
        ([{"command": "x", "unique": ""}], 2, 'job 1: unique: "" is not a key'),
        ([{"command": "x"}, 1], 2, "job 2: a job is an object"),
        ([], 2, "there are no jobs in it"),
        ({"jobs": {}}, 2, "jobs: give a list of jobs"),
        ('{"jobs": [], "more": 1}', 2, "no field 'more' beside jobs"),
        ('[{"command": "x"},]', 2, "bad JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_job_and_field(
    session: Session, document: object, code: int, said: str
) -> None:
    """And nothing is enqueued."""
    line = write(session, document)
    assert session.refused(line)[0] == code
    message = session.refused(line)[1]
    assert said in message
    assert "\n" not in message
    assert session.json("list") == []


def test_a_single_json_job_has_the_same_fields(session: Session) -> None:
    """On a line of its own."""
    session.result("enqueue true")
    session.result(
        'enqueue {"command": "a", "after": 1, "unique": "k", "slots": 2, "need": {"gpu": 1, "mem": "2G"}}'
    )
    job = session.job(2)
    assert (job.unmet, job.unique, dict(job.needs)) == (
        1,
        "k",
        {"slots": 2, "gpu": 1, "mem": 2 << 30},
    )


def test_one_job_shows_what_it_waits_for_and_what_waits_for_it(session: Session) -> None:
    """In words and in JSON."""
    session.result(write(session, DIAMOND))
    shown = session.text("status 3")
    assert "after    1 to complete (pending)" in shown
    assert "before   4, 5, 6" in shown
    data = session.json("status 3")
    assert data["after"] == [{"on": 1, "when": "completed", "met": False}]
    assert data["dependents"] == [4, 5, 6]
    session.ends(0)
    assert "after    1 to complete (met)" in session.text("status 3")
    session.result("cancel 3")
    assert "3 to die (cancelled: never)" in session.text("status 5")


def test_why_says_what_it_waits_for(session: Session) -> None:
    """With the states of the others; what can never be says so."""
    session.with_host()
    session.result(write(session, DIAMOND))
    assert session.text("why 4") == "job 4 waits for jobs 2 (pending) and 3 (pending) to complete\n"
    assert session.json("why 4")["reasons"] == ["dependency"]
    kept = [
        {"command": "x", "name": "base"},
        {"command": "y", "after": "base", "keep_waiting": True},
    ]
    session.result(write(session, kept))
    session.result("cancel 7")
    assert session.job(8).state == "pending"
    said = session.text("why 8")
    assert "waits for job 7 to complete, which is cancelled, so that this can never be" in said
    assert "`retry 7` runs that again" in said


def test_the_list_has_a_column_for_it(session: Session) -> None:
    """On a terminal only while it is used."""
    session.with_host()
    session.result(write(session, DIAMOND))
    lines = session.text("list").splitlines()
    names = lines[0].split("  ")
    assert any(name.strip() == "WAITS FOR" for name in names)
    assert "2,3" in lines[4].split()
    assert "after #" not in "\n".join(lines)


def test_a_tree_is_listed(tmp_path: Path) -> None:
    """Jobs below what they wait for; on a terminal that can, with lines."""
    session = Session(tmp_path, screen=Screen(terminal=True, width=100, height=40))
    session.ctx.environ = {**ENVIRON, "LANG": "C.UTF-8"}
    session.with_host()
    session.result(write(session, DIAMOND))
    (table,) = session.result("list --tree").blocks
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == [
        "1", "├─ 2", "│  ├─ 4", "│  └─ 6", "└─ 3", "   ├─ 4 (above)", "   ├─ 5", "   └─ 6 (above)",
    ]  # fmt: skip
    data = session.json("list --tree")
    assert [one["on"] for one in data[3]["after"]] == [2, 3]
    # what is not selected is not drawn
    (table,) = session.result("list 2- --tree").blocks
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == [
        "2",
        "├─ 4",
        "└─ 6",
        "3",
        "├─ 4 (above)",
        "├─ 5",
        "└─ 6 (above)",
    ]
    session.ctx.close()
