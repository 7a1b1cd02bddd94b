"""The life of a claim in the SQLite store: claimed, started, settled, released, lost."""

from __future__ import annotations

import os

from queuectl import job as j
from queuectl.job import Claim
from queuectl.store import hooks, rules
from queuectl.store.base import Filter, Held, Settled, Settlement
from queuectl.store.sqlite_base import SQL, from_any, readable
from queuectl.store.sqlite_read import SqliteReads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from queuectl.job import Outcome
    from queuectl.store.base import Start
    from queuectl.store.heads import Head, Key
    from queuectl.store.rules import Facts, Turn


#: due jobs that a claim makes ready before it chooses, in steps of 1,000 (6 ms each)
PROMOTED_AT_ONCE = 20_000


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
            more_due = self._promote(PROMOTED_AT_ONCE)
            claims = self._claim_ready(host_id, want, queues, ahead)
            while more_due and len(claims) < want + ahead:
                more_due = self._promote(PROMOTED_AT_ONCE)
                missing = max(0, want - len(claims))
                spare = want + ahead - len(claims) - missing
                claims += self._claim_ready(host_id, missing, queues, spare)
            return claims

    def _claim_ready(
        self, host_id: str, want: int, queues: Sequence[str], ahead: int
    ) -> list[Claim]:
        """Claim as `claim` does from what is ready already."""
        from queuectl.store.heads import Heads, key_of

        claims: list[Claim] = []
        cursor = self.writer.execute(SQL["queue_heads"])
        heads = Heads(cursor, queues)
        while len(claims) < want + ahead and (best := heads.pop()) is not None:
            room = self._room(best, want - len(claims), ahead)
            if room <= 0:
                continue
            claims += self._claim_from(host_id, best.queue, room, heads.next_key())
            head = self.writer.execute(SQL["head_of"], (best.queue,)).fetchone()
            self.writer.execute(SQL["set_head"], (*(head or (None, None, None)), best.queue))
            if head is not None:
                heads.put_back(best._replace(key=key_of(*head)))
        cursor.close()
        return claims

    def _promote(self, most: int) -> bool:
        """Make up to `most` jobs ready that have become due; True: there may be more."""
        for _ in range(0, most, 1000):
            promoted = self.writer.execute(SQL["promote"], (self.now(),)).fetchall()
            for queue, priority, due_at, job_id in promoted:
                self.became_ready(queue, priority, due_at, job_id)
            self.flush_heads()
            if len(promoted) < 1000:
                return False
        return True

    def _room(self, head: Head, want: int, ahead: int) -> int:
        """Return how many jobs a queue may give: below its limit, and never ahead if it has one."""
        if head.limit is None:
            return want + ahead
        running: int = self.writer.execute(SQL["running_in_queue"], (head.queue,)).fetchone()[0]
        return min(want, head.limit - running)

    def _claim_from(self, host_id: str, queue: str, most: int, bound: Key | None) -> list[Claim]:
        """Claim the best jobs of a queue, up to the one that another queue's head precedes."""
        now = self.now()
        claims = [self._claimed(row, now) for row in self._claimable(queue, most, bound)]
        self.writer.executemany(
            SQL["claim"], [(claim.token, host_id, now, claim.job_id) for claim in claims]
        )
        return claims

    def _claimable(self, queue: str, most: int, bound: Key | None) -> list[Any]:
        """Return the best ready rows of a queue that do not come behind the bound."""
        rows = []
        cursor = self.writer.execute(SQL["claimable"], (queue, most))
        for row in cursor:
            if bound is not None and (-row[3], row[13], row[0]) > bound:
                break
            rows.append(row)
        cursor.close()
        return rows

    def _claimed(self, row: Sequence[Any], now: int) -> Claim:
        payload = None
        if row[10]:
            found = self.writer.execute("SELECT data FROM payload WHERE job_id = ?", (row[0],))
            payload = found.fetchone()[0]
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
            stdin=payload if row[10] == rules.BYTES else None,
            attempts=row[11],
            max_retries=row[12],
            due_at=row[13],
            claimed_at=now,
            name=row[14],
            stdin_path=os.fsdecode(payload or b"") if row[10] == rules.PATH else None,
        )

    # ---- start and end ------------------------------------------------------------------------

    def start(self, starts: Sequence[Start]) -> list[bool]:
        """Record that claimed jobs run."""
        with self.transaction():
            return [self._start(start) for start in starts]

    def _start(self, start: Start) -> bool:
        row = self._facts_of(start.job_id)
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
            ended: set[str] = set()
            settled = [self._settle(settlement, ended) for settlement in settlements]
            if ended - {hooks.QUEUE}:
                self._enqueue_idle_hook()
            return settled

    def _enqueue_idle_hook(self) -> None:
        """Add the job that `on-idle` asks for when these settlements left nothing to run."""
        line = self.settings().get("on-idle") or self.local_settings.get("on-idle")
        if line:
            self.flush_counters()
            states = (j.PENDING, j.PROCESSING, j.FAILED)
            queues = tuple(queue.name for queue in self.queues() if queue.name != hooks.QUEUE)
            if not self.count(Filter(states=states, queues=queues)):
                self.add([hooks.hook("on-idle", line, {}, os.path.expanduser("~"), {})])

    def _settle(self, settlement: Settlement, ended: set[str]) -> Settled:
        """Settle one; add its queue to `ended` if that ended a job for good."""
        job_id, token, run, outcome = settlement
        row = self._facts_of(job_id)
        if row is None or row[3] != token:
            return Settled(job_id, None)
        now = self.now()
        if outcome.kind == j.STOPPED and outcome.started_at is None and row[1] != j.PROCESSING:
            turn = rules.give_back(_facts(row), now)
            self._end_claim(job_id, row, turn, None, None, uncounted=True)
            return Settled(job_id, turn.state)
        policy = self.pairs("policy", row[7])
        turn = rules.settle(_facts(row), outcome, policy, now, _random())
        uncounted = outcome.kind == j.STOPPED and turn.state != j.CANCELLED
        self._end_claim(job_id, row, turn, run, outcome, uncounted=uncounted)
        self._end_attempt(job_id, run, row, outcome, now)
        if turn.lane == rules.DONE:
            ended.add(row[0])
        if row[0] != hooks.QUEUE:
            self._enqueue_hooks(job_id, turn, policy, outcome)
        return Settled(job_id, turn.state, turn.next_run_at)

    def _enqueue_hooks(
        self, job_id: int, turn: Turn, policy: Mapping[str, str], outcome: Outcome
    ) -> None:
        """Add the jobs that follow from an end, in the same transaction."""
        if not any(policy.get(event) for event in hooks.events(turn.state, outcome)):
            return
        job = self.get(job_id)
        if job is not None:
            facts = hooks.facts_of(job, turn.state, outcome)
            self.add(list(hooks.jobs_after(policy, turn.state, outcome, facts, job.cwd, job.env)))

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
                None if turn.reason is None else readable(turn.reason),
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
                readable(outcome.reason),
                outcome.user_ms,
                outcome.system_ms,
                outcome.max_rss_kib,
                output.stdout_bytes if output else 0,
                output.stderr_bytes if output else 0,
                None if outcome.message is None else readable(outcome.message),
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
                row = self._facts_of(job_id)
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
        """Take back claims of which no start is known; their delivery stays counted.

        Where a start arrived after all, the attempt ends as lost.
        """
        settled = []
        with self.transaction():
            for job_id, token in claims:
                row = self._facts_of(job_id)
                if row is None or row[3] != token:
                    settled.append(Settled(job_id, None))
                    continue
                if row[1] == j.PROCESSING:
                    lost = Settlement(job_id, token, row[11], j.Outcome(j.LOST))
                    settled.append(self._settle(lost, set()))
                    continue
                turn = rules.lose(_facts(row), self.now())
                self._end_claim(job_id, row, turn, None, None, uncounted=False)
                settled.append(Settled(job_id, turn.state))
        return settled

    def held_by(self, host_id: str) -> list[Held]:
        """Return every claim that a host holds."""
        return [Held(*row) for row in self.rows(SQL["held_by"], (host_id,))]

    def _facts_of(self, job_id: int) -> Sequence[Any] | None:
        if not 0 < job_id < 2**63:
            return None
        row: Sequence[Any] | None = self.writer.execute(SQL["facts"], (job_id,)).fetchone()
        return row

    @property
    def _limited(self) -> frozenset[str]:
        """Return the queues whose room grows when a job ends."""
        if self._limited_queues is None:
            rows = self.rows("SELECT name FROM queue WHERE job_limit IS NOT NULL")
            self._limited_queues = frozenset(row[0] for row in rows)
        return self._limited_queues

    _limited_queues: frozenset[str] | None = None


def _random() -> float:
    """Return a random number in [0, 1), without the import of `random`."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


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
