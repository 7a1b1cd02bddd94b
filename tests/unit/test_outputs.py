"""`output`: replayed, cut to its end, and followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.job import EXIT, Outcome, Output
from queuectl.paths import output_path
from queuectl.process.output import Recorder
from queuectl.render import Look, render
from queuectl.store.base import Settlement

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.session import Session


@pytest.fixture
def recorder(session: Session) -> Recorder:
    """Return the recorder of job 1, which runs."""
    session.result("enqueue true")
    session.starts()
    return Recorder(output_path(session.store.local_directory, 1, 1), 1 << 20)


def end(session: Session, recorder: Recorder, code: int = 0) -> None:
    """Let job 1 end with what has been recorded."""
    output = recorder.finish()
    (held,) = session.store.held_by("host0")
    now = session.store.now()
    outcome = Outcome(EXIT, code, started_at=now, finished_at=now, output=output)
    session.store.settle([Settlement(1, held.token, 1, outcome)])


def record(recorder: Recorder) -> None:
    """Write two lines to either stream, in turn."""
    for at, (stream, data) in enumerate([(1, b"a\n"), (2, b"x\n"), (1, b"b\n"), (2, b"y")]):
        recorder.add(stream, data, at, 0.0)


@pytest.mark.parametrize(
    ("line", "out", "err"),
    [
        ("output 1", "a\nb\n", "x\ny"),
        ("output", "a\nb\n", "x\ny"),
        ("output --stdout 1", "a\nb\n", ""),
        ("output --stderr last", "", "x\ny"),
        ("output 1 --merged", "a\nx\nb\ny", ""),
        ("output 1 --merged --tail 2", "b\ny", ""),
        ("output 1 --tail 0", "", ""),
        ("output 1 --attempt 1 --stdout --tail 1", "b\n", ""),
        ("output 1 -f", "a\nb\n", "x\ny"),
        ("output 1 -f --tail 1", "", "y"),
    ],
)
def test_it_is_replayed_each_stream_to_its_own(
    session: Session, recorder: Recorder, line: str, out: str, err: str
) -> None:
    """Or as the flags say."""
    record(recorder)
    end(session, recorder)
    assert (session.text(line), session.text(line, fd=2)) == (out, err)


def test_as_json_both_streams_are_fields(session: Session, recorder: Recorder) -> None:
    """What is not UTF-8 is replaced."""
    recorder.add(1, b"\xff\n", 0, 0.0)
    end(session, recorder)
    assert session.json("output 1") == {
        "id": 1, "attempt": 1, "stdout": "\ufffd\n", "stderr": "", "complete": True,
    }  # fmt: skip


def test_a_running_job_shows_what_is_in_its_file(session: Session, recorder: Recorder) -> None:
    """Nothing at first."""
    assert session.text("output 1") == ""
    record(recorder)
    recorder.flush()
    assert session.text("output 1") == "a\nb\n"
    assert "  x" in session.text("status 1")
    end(session, recorder)


@pytest.mark.parametrize("flushed", [True, False])
def test_it_is_followed_to_the_end(session: Session, recorder: Recorder, flushed: bool) -> None:
    """Whether it was in a file meanwhile or is in the store at last; with the job's success."""
    result = session.answer("output -f 1 --merged")
    shown = render(result, Look())
    if flushed:
        record(recorder)
        recorder.flush()
        assert next(shown) == (1, b"a\n")
    recorder.add(1, b"last\n", 9, 0.0)
    end(session, recorder, code=1)
    session.result("cancel 1")
    rest = b"".join(data for _, data in shown)
    assert rest == (b"x\nb\nylast\n" if flushed else b"last\n")
    assert result.then is not None
    ended = result.then()
    assert (ended.exit_code, list(ended.notes)) == (4, ["job 1 is cancelled"])


def test_what_was_cut_or_pruned_says_so(
    session: Session, recorder: Recorder, tmp_path: Path
) -> None:
    """As a note, or as the reason for having nothing."""
    (held,) = session.store.held_by("host0")
    now = session.store.now()
    gone = Output(path=str(tmp_path / "gone"), stdout_bytes=5, complete=False)
    outcome = Outcome(EXIT, 0, started_at=now, finished_at=now, output=gone)
    session.store.settle([Settlement(1, held.token, 1, outcome)])
    result = session.result("output 1")
    assert "not complete" in result.notes[0]
    code, message = session.refused_later("output 1")
    assert code == 1
    assert "is gone" in message
    recorder.finish()
