"""Changing the fields of a job in a SQL store."""

from __future__ import annotations

from queuectl import job as j
from queuectl.errors import NameTaken, Refused
from queuectl.settings import value_of
from queuectl.store import rules
from queuectl.store.base import Changed
from queuectl.store.sql.changes import missing
from queuectl.store.sql.registry import Registry
from queuectl.store.sql.sqlstore import pack_needs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from queuectl.job import After
    from queuectl.store.rules import Facts


class Editing(Registry):
    """`edit`, and the checks it shares with enqueueing."""

    def edit(self, job_id: int, changes: Mapping[str, Any]) -> Changed:
        """Change fields of a job that no host has, see Store.edit.

        `after` replaces what it waits for. Raises NoSuchJob and DependencyCycle too, and Refused
        where another job has the unique key.
        """
        with self.transaction():
            if "after" in changes:
                # two that are allowed each by itself may close a circle together
                self.lock_graph()
            facts = self.facts(job_id)
            if facts is None:
                return missing(job_id)
            if facts.lane == rules.RUNNING:
                return Changed(job_id, done=False, why="is running", state=facts.state)
            changes, now = dict(changes), self.now()
            if "due_at" in changes:
                changes["due_at"] = max(changes["due_at"] or now, now)
            columns = self._columns(job_id, facts, changes)
            names = ", ".join(f"{name} = ?" for name in columns)
            self.run(f"UPDATE job SET {names} WHERE id = ?", (*columns.values(), job_id))
            queue = changes.get("queue", facts.queue)
            if queue != facts.queue:
                self.moved(facts.queue, facts.state, None)
                self.moved(queue, None, facts.state)
            if "after" in changes:
                self._wait_for(job_id, facts, changes["after"])
            placed = self.facts(job_id)
            if placed is not None and placed.state not in j.FINAL:
                self.place(job_id, placed, now)
            return Changed(job_id, done=True, state=facts.state if placed is None else placed.state)

    def _columns(self, job_id: int, facts: Facts, changes: Mapping[str, Any]) -> dict[str, object]:
        """Return the columns that changes to a job's fields come down to."""
        write: dict[str, Callable[[Any], object]] = {
            "command": self.to_column, "args": rules.pack_words, "cwd": self.to_column,
            "shell": lambda shell: int(self._is_shell(job_id, changes) if shell is None else shell),
            "name": lambda name: name, "priority": lambda priority: priority or 0, "due_at": int,
            "queue": self.known_queue, "unique": lambda key: key,
            "message": lambda text: None if text is None else self.to_column(text),
            "env": lambda env: self.intern("environment", env),
            "policy": lambda changed: self._changed_policy(facts.policy, changed),
        }  # fmt: skip
        columns = {_COLUMNS.get(name, name): write[name](value)
                   for name, value in changes.items() if name not in _ELSEWHERE}  # fmt: skip
        if "max-retries" in changes.get("policy", ()):
            columns["max_retries"] = value_of("max-retries", _without_none(changes["policy"]))
        self._refuse_taken(job_id, changes)
        if "queue" in changes or "needs" in changes:
            alike = self.track(facts.track)
            needs = pack_needs(alike.needs if changes.get("needs") is None else changes["needs"])
            queue = changes.get("queue", facts.queue)
            columns["track"] = self.track_of(queue, alike.array_id, alike.array_limit, needs)
        if "stdin" in changes or "stdin_path" in changes:
            stdin, path = changes.get("stdin"), changes.get("stdin_path")
            self.run("DELETE FROM payload WHERE job_id = ?", (job_id,))
            columns["has_stdin"] = kind = rules.kind_of_payload(stdin, path)
            if kind != rules.NOTHING:
                self.keep_payload(job_id, stdin, path)
        return columns or {"id": job_id}

    def _wait_for(self, job_id: int, facts: Facts, after: Sequence[After]) -> None:
        """Replace what a job waits for."""
        pairs = self.resolved(after, {})
        self.refuse_cycle(job_id, [on for on, _ in pairs])
        self.unlink(job_id)
        lane = facts.lane
        if pairs and facts.state not in j.FINAL:
            lane = rules.HELD
        self.run("UPDATE job SET unmet = ?, lane = ? WHERE id = ?", (len(pairs), lane, job_id))
        if pairs:
            self.link({job_id: pairs})

    def _changed_policy(self, policy: int, changed: Mapping[str, str | None]) -> int:
        """Return the id of a policy with some settings replaced, or taken back (None)."""
        pairs = _without_none({**self.pairs("policy", policy), **changed})
        pairs.pop("max-retries", None)
        return self.intern("policy", pairs)

    def _is_shell(self, job_id: int, changes: Mapping[str, Any]) -> bool:
        """Return what `shell` is when it is left open: a shell unless there are args."""
        if "args" in changes:
            return not changes["args"]
        job = self.get(job_id)
        return job is not None and not job.args

    def _refuse_taken(self, job_id: int, changes: Mapping[str, Any]) -> None:
        """Refuse a name or a unique key that another job has that is not final."""
        name, key = changes.get("name"), changes.get("unique")
        if name is not None and (taken := self.holder("name", name)) not in (None, job_id):
            raise NameTaken(name=name, job=taken)
        if key is not None and (taken := self.holder("unique_key", key)) not in (None, job_id):
            raise Refused(f"the unique key {key!r} is taken by job {taken}, which is not finished")

    def holder(self, column: str, text: str) -> int | None:
        """Return the id of the job that is not final and has a name, or a unique key."""
        found = self.rows(f"SELECT id FROM job WHERE {column} = ? AND lane < 4", (text,))
        return found[0][0] if found else None


_COLUMNS = {"env": "environment", "unique": "unique_key"}
#: fields that are not a column of the job
_ELSEWHERE = ("stdin", "stdin_path", "after", "needs")


def _without_none(pairs: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in pairs.items() if text is not None}
