"""Export lines: what goes in comes out, and what is none is refused by its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl import archive
from queuectl.errors import UsageError
from queuectl.job import STATES, Attempt, Job, Output
from queuectl.store.base import Dependency, QueueInfo, Rate, Saved, Schedule

TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
TIMES = st.integers(0, 2**50)
PAIRS = st.dictionaries(TEXTS, TEXTS, max_size=3)
JOBS = st.builds(
    Job, id=st.integers(1, 2**60), name=st.none() | TEXTS, queue=TEXTS, state=st.sampled_from(STATES), command=TEXTS,
    args=st.none() | st.lists(TEXTS, max_size=3).map(tuple), shell=st.booleans(), priority=st.integers(),
    max_retries=st.integers(0, 9), policy=PAIRS, cwd=TEXTS, env=PAIRS, submitter=TEXTS, paused=st.booleans(), created_at=TIMES,
    due_at=TIMES, next_run_at=st.none() | TIMES, started_at=st.none() | TIMES, finished_at=st.none() | TIMES, attempts=st.integers(0, 9),
    deliveries=st.integers(0, 9), runs=st.integers(0, 9), reason=st.none() | TEXTS, exit_code=st.none() | st.integers(0, 255),
    cancel_requested=st.booleans(), host=st.none(), token=st.none(), message=st.none() | TEXTS, unique=st.none() | TEXTS,
    array_id=st.none() | TIMES, array_index=st.none() | TIMES, needs=st.dictionaries(TEXTS, TIMES, max_size=2),
    schedule=st.none() | TEXTS, unmet=st.integers(0, 3),
)  # fmt: skip
ATTEMPTS = st.builds(
    Attempt, job_id=TIMES, run=TIMES, host=st.none() | TEXTS, due_at=st.none() | TIMES, started_at=TIMES, finished_at=st.none() | TIMES,
    kind=st.none() | TEXTS, code=st.none() | TIMES, reason=st.none() | TEXTS, user_ms=TIMES, system_ms=TIMES, max_rss_kib=TIMES,
    stdout_bytes=TIMES, stderr_bytes=TIMES, message=st.none() | TEXTS,
)  # fmt: skip
OUTPUTS = st.builds(
    Output, data=st.binary(max_size=20), marks=st.binary(max_size=20), path=st.none(),
    stdout_bytes=TIMES, stderr_bytes=TIMES, complete=st.booleans(),
)  # fmt: skip
SAVED = st.builds(
    Saved, job=JOBS, attempts=st.lists(ATTEMPTS, max_size=2).map(tuple),
    outputs=st.lists(st.tuples(TIMES, OUTPUTS), max_size=2).map(tuple),
    after=st.lists(st.builds(Dependency, on=TIMES, when=TEXTS, met=st.none() | st.booleans()), max_size=2).map(tuple),
    stdin=st.none() | st.binary(max_size=20), stdin_path=st.none() | TEXTS,
)  # fmt: skip


@given(SAVED)
def test_a_job_comes_back_as_it_went(saved: Saved) -> None:
    line = archive.job_line(saved)
    assert line.count("\n") == 1
    assert line.isascii()
    assert archive.read_line(line, 1) == (archive.JOB, saved)


def test_queues_settings_and_schedules_come_back() -> None:
    queue = QueueInfo("gpu", True, 2, {}, Rate(10, 60_000), True, "3 jobs died", 3)
    line = archive.queue_line(queue, {"max-retries": "5"})
    assert archive.read_line(line, 1) == (archive.QUEUE, (queue, {"max-retries": "5"}))
    assert archive.read_line(archive.settings_line({"jitter": "0.5"}), 1)[1] == {"jitter": "0.5"}
    schedule = Schedule("nightly", "0 3 * * *", "Europe/Rome", "skip", "one", b"\0\xff", 5)
    assert archive.read_line(archive.schedule_line(schedule), 1) == (archive.SCHEDULE, schedule)


def test_what_a_newer_one_wrote_is_refused() -> None:
    line = archive.head("9.9", "x", 1).replace('"format":1', '"format":2')
    with pytest.raises(UsageError, match="line 1: written by a newer queuectl"):
        archive.read_line(line, 1)


def _job(**changes: Any) -> str:
    job = Job(1, None, "default", "pending", "true", None, True, 0, 3, {}, "/", {}, "", False, 1, 1, None,
              None, None, 0, 0, 0, None, None, False, None, None)  # fmt: skip
    document = json.loads(archive.job_line(Saved(job)))
    document["job"].update(changes)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "line 7 is no line"),
        ("[]", "line 7 is no line"),
        ('{"job": {}}', "line 7 is no line"),
        ('{"job": 5, "queue": 6}', "line 7 is no line"),
        ('{"other": {}}', "line 7 is no line"),
        ("[" * 100_000, "line 7 is no line"),
        (_job(state="asleep"), "line 7: 'asleep' is no state"),
        (_job(id="1"), "line 7: id: '1' is not a whole number"),
        (_job(id=True), "line 7: id: True is not a whole number"),
        (_job(strange=1), "line 7 is no line"),
        (_job(env={"A": 1}), "line 7 is no line"),
        (_job(stdin="!"), "line 7 is no line"),
    ],
)
def test_what_is_no_export_names_its_line(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        archive.read_line(line, 7)
