"""The life of a claim in the SQLite store: claimed, started, settled, released, lost."""

from __future__ import annotations

import os
import random

from queuectl import job as j
from queuectl.job import Claim
from queuectl.store import rules
from queuectl.store.base import Held, Settled
from queuectl.store.sqlite_base import SQL, from_any
from queuectl.store.sqlite_read import SqliteReads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from queuectl.job import Outcome
    from queuectl.store.base import Settlement, Start
    from queuectl.store.rules import Facts, Turn


class SqliteClaims(SqliteReads):
    """Hands jobs out and takes reports back. Writing methods: one thread at a time."""

    # ---- claim --------------------------------------------------------------------------------

    def claim(
        self, host_id: str, want: int, queues: Sequence[str] = (), ahead: int = 0
    ) -> list[Claim]:
        """Claim up to `want` eligible jobs, best first, and `ahead` more where no limit is.

        Queues are merged by their cached heads: the best queue gives jobs until the next one's
        head comes before its own, so a thousand queues cost no more than those that give.
        """
        with self.transaction():
            self._promote()
            self.flush_heads()
            claims: list[Claim] = []
            spent: set[str] = set()
            while len(claims) < want + ahead:
                found = self._best_queues(queues, spent)
                if not found:
                    break
                left = want - len(claims)
                claims += self._claim_from(host_id, found, left, ahead, spent)
            return claims

    def _promote(self) -> None:
        for queue, priority, due_at, job_id in self.writer.execute(SQL["promote"], (self.now(),)):
            self.became_ready(queue, priority, due_at, job_id)

    def _best_queues(self, queues: Sequence[str], spent: set[str]) -> list[Any]:
        """Return the best queue with something ready, and the next: name, limit, head."""
        best: list[Any] = []
        cursor = self.writer.execute(SQL["queue_heads"])
        for row in cursor:
            if row[0] not in spent and (not queues or row[0] in queues):
                best.append(row)
                if len(best) == 2:
                    break
        cursor.close()
        return best

    def _claim_from(
        self, host_id: str, found: list[Any], want: int, ahead: int, spent: set[str]
    ) -> list[Claim]:
        queue, limit = found[0][:2]
        if limit is not None:
            running = self.writer.execute(SQL["running_in_queue"], (queue,)).fetchone()[0]
            want = min(want, limit - running)
            if want <= 0:
                spent.add(queue)
                return []
        else:
            want += ahead
        if len(found) > 1:
            rows = self.writer.execute(
                SQL["claimable_before"], (queue, want, *found[1][2:])
            ).fetchall()
        else:
            rows = self.writer.execute(SQL["claimable"], (queue, want)).fetchall()
        now = self.now()
        claims = [self._claimed(row, now) for row in rows]
        self.writer.executemany(
            SQL["claim"], [(claim.token, host_id, now, claim.job_id) for claim in claims]
        )
        head = self.writer.execute(SQL["head_of"], (queue,)).fetchone() or (None, None, None)
        self.writer.execute(SQL["set_head"], (*head, queue))
        return claims

    def _claimed(self, row: Sequence[Any], now: int) -> Claim:
        stdin = None
        if row[10]:
            payload = self.writer.execute("SELECT data FROM payload WHERE job_id = ?", (row[0],))
            stdin = payload.fetchone()[0]
        return Claim(
            job_id=row[0],
            token=os.urandom(12).hex(),
            run=row[1],
            queue=row[2],
            priority=row[3],
            command=from_any(row[4]),
            args=rules.unpack_words(row[5]),
            shell=bool(row[6]),
            cwd=from_any(row[7]),
            env=self.pairs("environment", row[8]),
            policy=self.pairs("policy", row[9]),
            stdin=stdin,
            attempts=row[11],
            max_retries=row[12],
            due_at=row[13],
            claimed_at=now,
            name=row[14],
        )

    # ---- start and end ------------------------------------------------------------------------

    def start(self, starts: Sequence[Start]) -> list[bool]:
        """Record that claimed jobs run."""
        with self.transaction():
            return [self._start(start) for start in starts]

    def _start(self, start: Start) -> bool:
        row = self.writer.execute(SQL["facts"], (start.job_id,)).fetchone()
        if row is None or row[3] != start.token or row[0] is None:
            return False
        queue, state, due_at, host = row[0], row[1], row[8], row[12]
        if state == j.PROCESSING:
            return True
        self.writer.execute(SQL["start"], (start.run, start.started_at, start.job_id))
        self.writer.execute(
            SQL["begin_attempt"], (start.job_id, start.run, host, due_at, start.started_at)
        )
        self.moved(queue, state, j.PROCESSING)
        return True

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Record how attempts ended and decide what follows."""
        with self.transaction():
            return [self._settle(settlement) for settlement in settlements]

    def _settle(self, settlement: Settlement) -> Settled:
        job_id, token, run, outcome = settlement
        row = self.writer.execute(SQL["facts"], (job_id,)).fetchone()
        if row is None or row[3] != token:
            return Settled(job_id, None)
        now = self.now()
        if outcome.kind == j.STOPPED and outcome.started_at is None and row[1] != j.PROCESSING:
            turn = rules.give_back(_facts(row), now)
            self._end_claim(job_id, row, turn, None, None, uncounted=True)
            return Settled(job_id, turn.state)
        turn = rules.settle(
            _facts(row), outcome, self.pairs("policy", row[7]), now, random.random()
        )
        uncounted = outcome.kind == j.STOPPED and turn.state != j.CANCELLED
        self._end_claim(job_id, row, turn, run, outcome, uncounted=uncounted)
        self._end_attempt(job_id, run, row, outcome, now)
        return Settled(job_id, turn.state, turn.next_run_at)

    def _end_claim(
        self,
        job_id: int,
        row: Sequence[Any],
        turn: Turn,
        run: int | None,
        outcome: Outcome | None,
        *,
        uncounted: bool,
    ) -> None:
        exit_code = outcome.code if outcome is not None and outcome.kind == j.EXIT else None
        self.writer.execute(
            SQL["end_claim"],
            (
                turn.state,
                turn.lane,
                turn.due_at,
                turn.next_run_at,
                turn.attempts,
                turn.finished_at,
                turn.reason,
                exit_code,
                row[11] if run is None else run,
                None if outcome is None else outcome.started_at,
                int(uncounted),
                job_id,
            ),
        )
        self.moved(row[0], row[1], turn.state)
        if turn.lane == rules.READY:
            self.became_ready(row[0], row[13], turn.due_at, job_id)
        elif row[0] in self._limited:
            self.work_made = True

    def _end_attempt(
        self, job_id: int, run: int, row: Sequence[Any], outcome: Outcome, now: int
    ) -> None:
        output = outcome.output
        finished = outcome.finished_at or now
        self.writer.execute(
            SQL["end_attempt"],
            (
                job_id,
                run,
                row[12],
                row[8],
                outcome.started_at or finished,
                finished,
                outcome.kind,
                outcome.code,
                outcome.reason,
                outcome.user_ms,
                outcome.system_ms,
                outcome.max_rss_kib,
                output.stdout_bytes if output else 0,
                output.stderr_bytes if output else 0,
                outcome.message,
            ),
        )
        if output and (output.stdout_bytes or output.stderr_bytes or not output.complete):
            path = None if output.path is None else os.fsencode(output.path)
            self.writer.execute(
                SQL["keep_output"], (job_id, run, output.data, output.marks, path, *output[3:])
            )

    # ---- giving back --------------------------------------------------------------------------

    def release(self, claims: Sequence[tuple[int, str]]) -> int:
        """Give claims back as if they had never been made."""
        released = 0
        with self.transaction():
            for job_id, token in claims:
                row = self.writer.execute(SQL["facts"], (job_id,)).fetchone()
                if row is None or row[3] != token:
                    continue
                now = self.now()
                if row[1] == j.PROCESSING:
                    stopped = j.Outcome(j.STOPPED, finished_at=now)
                    self._end_attempt(job_id, row[11], row, stopped, now)
                turn = rules.give_back(_facts(row), now)
                self._end_claim(job_id, row, turn, None, None, uncounted=True)
                released += 1
        return released

    def lose(self, claims: Sequence[tuple[int, str]]) -> list[Settled]:
        """Take back claims of which no start is known; their delivery stays counted."""
        settled = []
        with self.transaction():
            for job_id, token in claims:
                row = self.writer.execute(SQL["facts"], (job_id,)).fetchone()
                if row is None or row[3] != token:
                    settled.append(Settled(job_id, None))
                    continue
                turn = rules.lose(_facts(row), self.now())
                self._end_claim(job_id, row, turn, None, None, uncounted=False)
                settled.append(Settled(job_id, turn.state))
        return settled

    def held_by(self, host_id: str) -> list[Held]:
        """Return every claim that a host holds."""
        return [Held(*row) for row in self.rows(SQL["held_by"], (host_id,))]

    @property
    def _limited(self) -> frozenset[str]:
        """Return the queues whose room grows when a job ends."""
        if self._limited_queues is None:
            rows = self.rows("SELECT name FROM queue WHERE job_limit IS NOT NULL")
            self._limited_queues = frozenset(row[0] for row in rows)
        return self._limited_queues

    _limited_queues: frozenset[str] | None = None


def _facts(row: Sequence[Any]) -> Facts:
    return rules.Facts(
        state=row[1],
        attempts=row[4],
        deliveries=row[5],
        max_retries=row[6],
        due_at=row[8],
        cancel_requested=row[9],
        paused=bool(row[10]),
        started=row[1] == j.PROCESSING,
    )
