"""What the shared SQL of the stores needs of PostgreSQL: columns, globs, ids, locks, facts."""

from __future__ import annotations

import os

from queuectl.store.postgres.base import PostgresBase
from queuectl.store.postgres.connections import SQL
from queuectl.store.postgres.schema import LOCKS
from queuectl.store.postgres.statements import columns_of
from queuectl.store.rules import Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any


class PostgresPrimitives(PostgresBase):
    """The small methods of SqlStore. Not a store by itself."""

    _highest_id = 0

    def to_column(self, text: str) -> bytes:
        """Return the bytes of a text."""
        return os.fsencode(text)

    def from_column(self, value: Any) -> str:
        """Return the text of such bytes."""
        return os.fsdecode(bytes(value))

    def glob_test(self, column: str, pattern: str) -> tuple[str, str]:
        """Return the test of a glob as a regular expression."""
        return f"{column} ~ ?", glob_expression(pattern)

    def new_ids(self, count: int) -> Iterator[int]:
        """Yield ids of the sequence: never given twice, also where a transaction is undone.

        They are taken with the first one, so that what enqueues nothing leaves no gap.
        """
        ids = sorted(row[0] for row in self.run(SQL["new_ids"], (count,)))
        self._highest_id = ids[-1]
        yield from ids

    def used_ids(self, last: int) -> None:
        """Have the sequence go on behind restored ids."""
        if last > self._highest_id:
            self.run(SQL["used_ids"], (last, last))

    def among(self, column: str, ids: Sequence[int]) -> tuple[str, list[int]]:
        """Return a test with an array: one statement for however many."""
        return f"{column} = ANY(?::bigint[])", [one for one in ids if -(2**63) <= one < 2**63]

    def write_jobs(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, final: bool = False
    ) -> None:
        """Write these columns of jobs in one statement, of the table that they are in."""
        if rows:
            self.later(_update(tuple(columns), final=final), columns_of(rows))

    def lock(self, ids: Sequence[int]) -> None:
        """Lock jobs in order of id, as everybody does."""
        if len(ids) > 1:
            self.run(SQL["lock"], (sorted(job for job in set(ids) if 0 < job < 2**63),))

    def lock_graph(self) -> None:
        """Lock what waits for what, in a store that several machines change."""
        key = f"{self.target.schema} graph"
        self.run("SELECT pg_advisory_xact_lock(?::int, hashtext(?))", (LOCKS, key))

    def facts(self, job_id: int) -> Facts | None:
        """Return what is known of a job, locked till the transaction ends."""
        if not 0 < job_id < 2**63:
            return None
        for _ in range(3):
            row = self.run(SQL["facts"], (job_id,)).fetchone()
            if row is not None:
                return Facts(*row)
            # gone, or ended while it was waited for: where it stands now shows to a new look
        return None

    def facts_of(self, ids: Sequence[int]) -> dict[int, Facts]:
        """Return what is known of jobs, locked in order of id, in one round trip."""
        wanted = sorted({job_id for job_id in ids if 0 < job_id < 2**63})
        if not wanted:
            return {}
        rows = self.run(SQL["facts_of"], (wanted,)).fetchall()
        found: dict[int, Facts] = {row[-1]: tuple.__new__(Facts, row[:-1]) for row in rows}
        for job_id in wanted:
            if job_id not in found and (facts := self.facts(job_id)) is not None:
                found[job_id] = facts
        return found

    def became_ready(self, track: int, priority: int, due_at: int, job_id: int) -> None:  # noqa: ARG002
        """Hear that a job stands in the ready lane now: hosts are woken."""
        self.work_made = True

    def end_of_line(self, queue: str, *, first: bool) -> tuple[int, int, int] | None:
        """Return priority, due time and id of a queue's first, or last, ready or due job."""
        statement = SQL["end_of_line"].format(order="ASC" if first else "DESC")
        values = queue, self.now(), queue
        row: tuple[int, int, int] | None = self.run(statement, values).fetchone()
        return row


_TYPES = {
    "state": "text", "reason": "text", "lane": "smallint", "paused": "smallint",
    "cancel_requested": "smallint",
}  # fmt: skip


def _update(columns: Sequence[str], *, final: bool) -> str:
    sets = ", ".join(f"{name} = given.{name}" for name in columns)
    marks = "".join(f"?::{_TYPES.get(name, 'bigint')}[], " for name in columns)
    return (
        f"UPDATE job SET {sets} FROM unnest({marks}?::bigint[]) AS given ({', '.join(columns)}, id)"
        f" WHERE job.id = given.id AND job.lane {'= 4' if final else '< 4'}"
    )


def glob_expression(pattern: str) -> str:
    """Return the regular expression of a glob, in PostgreSQL's words.

    `*` and `?` are what the shell means by them, `[a-z]` and `[^a]` or `[!a]` sets; anything else
    is itself. A `[` that is not closed is one too.
    """
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            out.append(".*")
        elif char == "?":
            out.append(".")
        elif (
            char == "["
            and (end := pattern.find("]", at + 1 + pattern.startswith(("!", "^"), at))) > 0
        ):
            inside = pattern[at:end].replace("\\", "\\\\").replace("[", "\\[")
            negated = inside[:1] in {"!", "^"}
            body = inside[1:] if negated else inside
            out.append(
                f"[{'^' if negated else ''}{body.replace('^', chr(92) + '^').replace(']', chr(92) + ']')}]"
            )
            at = end + 1
        else:
            out.append(char if char.isalnum() or ord(char) > 127 else "\\" + char)
    return f"^(?:{''.join(out)})$"
