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
    from queuectl.store.sql.together import Together


class Editing(Registry):
    """`edit`, and the checks it shares with enqueueing."""

    def edit(self, job_id: int, changes: Mapping[str, Any]) -> Changed:
        """Change fields of a job that no host has, see `edit_all`."""
        return self.edit_all((job_id,), changes)[0]

    def edit_all(self, ids: Sequence[int], changes: Mapping[str, Any]) -> list[Changed]:
        """Change fields of jobs that no host has, see Store.edit.

        `after` replaces what they wait for. Raises NoSuchJob and DependencyCycle too, and Refused
        where another job has the unique key.
        """
        with self.transaction():
            if "after" in changes:
                # two that are allowed each by itself may close a circle together
                self.lock_graph()
            changes, now = dict(changes), self.now()
            if "due_at" in changes:
                changes["due_at"] = max(changes["due_at"] or now, now)
            if _is_of_each(changes):
                return [self._edit(job_id, changes, now) for job_id in ids]
            with self.together(ids, lambda jobs: self._edit_alike(jobs, changes, now)) as jobs:
                return [_edited_later(jobs, job_id) for job_id in ids]

    def _edit(self, job_id: int, changes: Mapping[str, Any], now: int) -> Changed:
        """Change one job, what is its own too."""
        facts = self.facts(job_id)
        if facts is None or facts.lane == rules.RUNNING:
            return _not_edited(job_id, facts)
        columns = self._columns(job_id, facts, changes)
        # at least its id: where it waits is looked at anew
        names = ", ".join(f"{name} = ?" for name in columns or ("id",))
        self.run(f"UPDATE job SET {names} WHERE id = ?", (*(columns.values() or (job_id,)), job_id))
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

    def _edit_alike(
        self, jobs: Sequence[tuple[int, Facts]], changes: Mapping[str, Any], now: int
    ) -> None:
        """Change jobs, in one statement all those for which the changes come down to the same."""
        alike: dict[tuple[int, str, int, int], list[tuple[int, Facts]]] = {}
        for job_id, facts in jobs:
            lane = rules.DONE
            if facts.state not in j.FINAL:
                lane = rules.lane_of(changes.get("due_at", facts.due_at), now, paused=facts.held)
            key = lane, facts.queue, facts.track, facts.policy
            alike.setdefault(key, []).append((job_id, facts))
        for (lane, queue, _, _), some in alike.items():
            columns: dict[str, Any] = self._columns(*some[0], changes)
            self._write_alike([job_id for job_id, _ in some], columns, lane, now)
            for _, facts in some if changes.get("queue", queue) != queue else ():
                self.moved(queue, facts.state, None)
                self.moved(changes["queue"], None, facts.state)
            for job_id, facts in some if lane == rules.READY else ():
                track, priority, due_at = (
                    columns.get(name, getattr(facts, name)) for name in _PLACE
                )
                self.became_ready(track, priority, due_at, job_id)

    def _write_alike(
        self, ids: Sequence[int], columns: Mapping[str, Any], lane: int, now: int
    ) -> None:
        """Write the same to jobs; those that are not final stand in a lane from now on."""
        columns, sets = dict(columns), []
        if lane != rules.DONE:
            columns["lane"] = lane
            if "due_at" in columns:
                columns["next_run_at"] = columns["due_at"] if columns["due_at"] > now else None
            else:
                sets.append("next_run_at = CASE WHEN due_at > ? THEN due_at END")
            self.work_made = True
        sets = [*(f"{name} = ?" for name in columns), *sets]
        if sets:
            test, value = self.among("id", ids)
            where = f"{test} AND lane {'= 4' if lane == rules.DONE else '< 4'}"
            values = (*columns.values(), *[now] * (len(sets) - len(columns)), value)
            self.run(f"UPDATE job SET {', '.join(sets)} WHERE {where}", values)

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
        return columns

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
        return self.holders(column, (text,)).get(text)

    def holders(self, column: str, texts: Sequence[str]) -> dict[str, int]:
        """Return by name, or by unique key, the id of the job that is not final and has it."""
        found: dict[str, int] = {}
        for at in range(0, len(texts), _AT_ONCE):
            some = texts[at : at + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            found.update(
                self.rows(
                    f"SELECT {column}, id FROM job WHERE {column} IN ({marks}) AND lane < 4", some
                )
            )
        return found


def _edited_later(jobs: Together, job_id: int) -> Changed:
    facts = jobs.facts(job_id)
    if facts is None or facts.lane == rules.RUNNING:
        return _not_edited(job_id, facts)
    jobs.later((job_id, facts))
    return Changed(job_id, True, "", facts.state)


def _not_edited(job_id: int, facts: Facts | None) -> Changed:
    if facts is None:
        return missing(job_id)
    return Changed(job_id, done=False, why="is running", state=facts.state)


def _is_of_each(changes: Mapping[str, Any]) -> bool:
    """Whether what changes come down to is to be found for each job by itself."""
    is_shell_open = "shell" in changes and changes["shell"] is None and "args" not in changes
    return is_shell_open or not _OF_EACH.isdisjoint(changes)


#: names that are looked for in one statement
_AT_ONCE = 500
_COLUMNS = {"env": "environment", "unique": "unique_key"}
#: fields that are checked, or kept, for each job by itself
_OF_EACH = frozenset(("name", "unique", "after", "stdin", "stdin_path"))
#: columns that say where a ready job stands
_PLACE = ("track", "priority", "due_at")
#: fields that are not a column of the job
_ELSEWHERE = ("stdin", "stdin_path", "after", "needs")


def _without_none(pairs: Mapping[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in pairs.items() if text is not None}
