"""Any words after the commands about queues, order and time: done, or refused with nothing changed."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queuectl.commands import GRAMMAR
from queuectl.errors import QueuectlError
from queuectl.render import Look, render
from queuectl.store.base import Filter
from tests.support.session import Session

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = 250
_odd = st.sampled_from([
    "", "0", "1", "-1", "2-1", "1-3", "99999999999999999999", "1.5", "nan", "a", "five", "q", "default", "hooks",
    "all", "last", "é", "\udcff", "a b", "a=b", "=", "=1", "gpu=1", "gpu=0", "gpu=1,gpu=1", "mem=8Q", "slots=2", "gpu=99999999999999999999",
    "10/m", "0/m", "1/0s", "/", "1/", "9999999999/1s", "1h", "-5s", "1e9d", "9999999999d", "* * * * *", "61 * * * *", "0 0 31 2 *",
    "every 1s", "every 0", "every", "every -1h", "@hourly", "@never", "Europe/Rome", "Nowhere/City", "skip", "queue", "one", "all",
    "completed", "dead", "keep", "cancel", "{}", "[]", "null", "{", "*", "x" * 5000, "1,2", "3:ended", "failed:2", "on", "off",
    "2026-01-01T00:00", "25:99", "tomorrow", "\x00", "\n", "--", "%i", ":::", "{1}", "{nope}",
])  # fmt: skip
_flags = st.sampled_from([
    "--after", "--after-failed", "--after-ended", "--unmet", "--unique", "--need", "--slots", "--array", "--array-limit",
    "--limit", "--rate", "--pull", "--no-rate", "--no-limit", "--halt-on", "--queue", "--name", "--priority", "--delay", "--at",
    "--max-retries", "--command", "--overlap", "--missed", "--tz", "--pause", "--paused", "--message", "--no-after", "--json", "--all",
])  # fmt: skip
_heads = st.sampled_from([
    "enqueue", "submit", "edit", "retry", "cancel", "remove", "pause", "resume", "move", "why", "tree", "graph", "status", "list",
    "queue create", "queue set", "queue pause", "queue resume", "queue remove", "queue list", "schedule add", "schedule remove",
    "schedule pause", "schedule resume", "schedule list", "config set", "prune", "position", "top", "count", "stats",
])  # fmt: skip
_words = st.lists(_odd | _flags, max_size=6)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.text(max_size=8)
    | _odd
)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_odd, inner, max_size=3)
)
_fields = st.sampled_from([
    "command", "name", "after", "jobs", "unique", "need", "needs", "slots", "queue", "priority", "env", "array", "when", "on",
    "at", "delay", "message", "stdin", "policy", "unmet", "args", "cwd", "max_retries", "id", "state",
])  # fmt: skip
_job = st.dictionaries(_fields, _values, max_size=5).map(lambda job: {"command": "true", **job})
_graphs = (
    st.lists(_job, max_size=4) | st.fixed_dictionaries({"jobs": st.lists(_job, max_size=4)}) | _job
)


def _snapshot(session: Session) -> object:
    store = session.store
    return (
        [(job, store.dependencies(job.id)) for job in store.jobs(Filter())],
        store.queues(),
        store.schedules(),
        store.settings(),
        {queue.name: store.settings(queue.name) for queue in store.queues()},
    )


def _type(session: Session, line: str) -> None:
    """Type a line: where something is wrong with it, it is refused and has changed nothing."""
    before = _snapshot(session)
    error = _failure(session, line)
    if error is not None:
        assert error.exit_status in {1, 2, 3, 4}, (line, error)
        assert _snapshot(session) == before, line


def _failure(session: Session, line: str) -> QueuectlError | None:
    """Return what a line is refused with."""
    try:
        invocation = GRAMMAR.parse_line(line)
        if invocation is not None:
            answer = invocation.command.load()(session.ctx, invocation.args)
            for _ in render(answer, Look()):
                pass
    except QueuectlError as error:
        return error
    return None


def _session(directory: Path) -> Session:
    session = Session(directory)
    for line in (
        "queue create q --limit 2", "enqueue true", "enqueue --name five --after 1 true",
        "enqueue --unique k --queue q true", "schedule add tick '@hourly' -- true",
    ):  # fmt: skip
        session.result(line)
    session.ends(0)
    return session


_how = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_how
@given(lines=st.lists(st.tuples(_heads, _words), min_size=1, max_size=4))
def test_any_words(tmp_path: Path, lines: list[tuple[str, list[str]]]) -> None:
    """After commands that are there."""
    session = _session(tmp_path)
    try:
        for head, words in lines:
            _type(session, f"{head} {shlex.join(words)}")
    finally:
        session.ctx.close()
        session.store.close()


@_how
@given(given_jobs=_graphs, head=st.sampled_from(["enqueue", "graph"]))
def test_any_jobs_in_json(tmp_path: Path, given_jobs: Any, head: str) -> None:
    """One, many, and those that wait for each other."""
    session = _session(tmp_path)
    try:
        _type(session, f"{head} {shlex.quote(json.dumps(given_jobs))}")
    finally:
        session.ctx.close()
        session.store.close()
