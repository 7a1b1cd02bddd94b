"""The life of a claim in the SQLite store: claimed, started, settled, released, lost."""

from __future__ import annotations

import os

from queuectl import job as j
from queuectl.job import Claim
from queuectl.store import hooks, rules
from queuectl.store.base import Filter, Settled, Settlement
from queuectl.store.sql.restoring import Restoring
from queuectl.store.sql.sqlstore import random_share, readable, unpack_needs
from queuectl.store.sqlite.base import SQL, SqliteBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from queuectl.job import Outcome
    from queuectl.store.base import Room, Start
    from queuectl.store.heads import Head, Heads, Key
    from queuectl.store.room import Budget, Lane
    from queuectl.store.rules import Facts, Turn

#: due jobs that a claim makes ready before it chooses, in steps of 1,000 (6 ms each)
PROMOTED_AT_ONCE = 20_000


class SqliteClaims(SqliteBase, Restoring):
    """Hands jobs out and takes reports back. Writing methods: one thread at a time."""

    # ---- claim --------------------------------------------------------------------------------

    def claim(
        self,
        host_id: str,
        want: int,
        queues: Sequence[str] = (),
        ahead: int = 0,
        room: Room | None = None,
    ) -> list[Claim]:
        """Claim up to `want` eligible jobs, best first, and `ahead` more where nothing bounds them.

        Tracks are merged by their cached heads: the best track gives jobs until the next one's
        head comes before its own, so a thousand queues cost no more than those that give.
        """
        from queuectl.store.room import Budget

        with self.transaction():
            more_due = self._promote(PROMOTED_AT_ONCE)
            budget = Budget(
                want, ahead, queues, room, self.now(), self._running, self._running_in_array
            )
            claims = self._claim_ready(host_id, queues, budget)
            while more_due and not budget.is_spent:
                more_due = self._promote(PROMOTED_AT_ONCE)
                claims += self._claim_ready(host_id, queues, budget)
            return claims

    def _claim_ready(self, host_id: str, queues: Sequence[str], budget: Budget) -> list[Claim]:
        """Claim as `claim` does from what is ready already."""
        from queuectl.store.heads import Heads, key_of

        claims: list[Claim] = []
        cursor = self.writer.execute(SQL["track_heads"], (self.now(),))
        heads = Heads(cursor, queues, unpack_needs)
        #: tracks that gave a job, or were found to stand elsewhere: they stand where they were put back
        sure: set[int] = set()
        while not budget.is_spent and (best := heads.pop()) is not None:
            lane = best.lane
            # nothing is to be kept for a job that does not stand there any more
            if not lane.is_plain and lane.track not in sure and not self._stands(best, heads):
                sure.add(lane.track)
                continue
            most = budget.most(lane)
            if most <= 0:
                continue
            found = self._claim_from(host_id, lane, most, heads.next_key())
            claims += found
            opens_at = budget.took(lane, len(found))
            if opens_at is not None:
                self.writer.execute(SQL["close_rate"], (opens_at, lane.queue))
            head = self.writer.execute(SQL["head_of"], (lane.track,)).fetchone()
            self.writer.execute(SQL["set_head"], (*(head or (None, None, None)), lane.track))
            if head is not None:
                sure.add(lane.track)
                heads.put_back(best._replace(key=key_of(*head)))
        cursor.close()
        return claims

    def _stands(self, head: Head, heads: Heads) -> bool:
        """Whether a cached head is one; else it is set right, and its track has its turn there."""
        from queuectl.store.heads import key_of

        track = head.lane.track
        row = self.writer.execute(SQL["head_of"], (track,)).fetchone()
        if row is not None and key_of(*row) == head.key:
            return True
        self.writer.execute(SQL["set_head"], (*(row or (None, None, None)), track))
        if row is not None:
            heads.put_back(head._replace(key=key_of(*row)))
        return False

    def _promote(self, most: int) -> bool:
        """Make up to `most` jobs ready that have become due; True: there may be more."""
        for _ in range(0, most, 1000):
            promoted = self.writer.execute(SQL["promote"], (self.now(),)).fetchall()
            for track, priority, due_at, job_id in promoted:
                self.became_ready(track, priority, due_at, job_id)
            self.flush_heads()
            if len(promoted) < 1000:
                return False
        return True

    def _running(self, queue: str) -> int:
        found: int = self.writer.execute(SQL["running_in_queue"], (queue,)).fetchone()[0]
        return found

    def _running_in_array(self, array_id: int) -> int:
        found: int = self.writer.execute(SQL["running_in_array"], (array_id,)).fetchone()[0]
        return found

    def _claim_from(self, host_id: str, lane: Lane, most: int, bound: Key | None) -> list[Claim]:
        """Claim the best jobs of a track, up to the one that another track's head precedes."""
        now = self.now()
        claims = [
            self._claimed(row, now, lane.needs) for row in self._claimable(lane.track, most, bound)
        ]
        self.writer.executemany(
            SQL["claim"], [(claim.token, host_id, now, claim.job_id) for claim in claims]
        )
        return claims

    def _claimable(self, track: int, most: int, bound: Key | None) -> list[Any]:
        """Return the best ready rows of a track that do not come behind the bound."""
        rows = []
        cursor = self.writer.execute(SQL["claimable"], (track, most))
        for row in cursor:
            if bound is not None and (-row[3], row[13], row[0]) > bound:
                break
            rows.append(row)
        cursor.close()
        return rows

    def _claimed(self, row: Sequence[Any], now: int, needs: Mapping[str, int]) -> Claim:
        payload = None
        if row[10]:
            found = self.writer.execute("SELECT data FROM payload WHERE job_id = ?", (row[0],))
            payload = found.fetchone()[0]
        return Claim(
            row[0],
            os.urandom(12).hex(),
            row[1],
            row[2],
            row[3],
            self.from_column(row[4]),
            rules.unpack_words(row[5]),
            bool(row[6]),
            self.from_column(row[7]),
            self.pairs("environment", row[8]),
            self.pairs("policy", row[9]),
            payload if row[10] == rules.BYTES else None,
            row[11],
            row[12],
            row[13],
            now,
            row[14],
            os.fsdecode(payload or b"") if row[10] == rules.PATH else None,
            needs,
            row[15],
            row[16],
            None if row[17] is None else self.from_column(row[17]),
        )

    # ---- start and end ------------------------------------------------------------------------

    def start(self, starts: Sequence[Start]) -> list[bool]:
        """Record that claimed jobs run."""
        with self.transaction():
            return [self._start(start) for start in starts]

    def _start(self, start: Start) -> bool:
        facts = self.facts(start.job_id)
        if facts is None or facts.token != start.token:
            return False
        if facts.state == j.PROCESSING:
            return True
        self.writer.execute(SQL["start"], (start.run, start.started_at, start.job_id))
        self.writer.execute(
            SQL["begin_attempt"],
            (start.job_id, start.run, facts.host, facts.due_at, start.started_at),
        )
        self.moved(facts.queue, facts.state, j.PROCESSING)
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
        facts = self.facts(job_id)
        if facts is None or facts.token != token:
            return Settled(job_id, None)
        now = self.now()
        if outcome.kind == j.STOPPED and outcome.started_at is None and not facts.started:
            turn = rules.give_back(facts, now)
            self._end_claim(job_id, facts, turn, None, None, uncounted=True)
            return Settled(job_id, turn.state)
        policy = self.pairs("policy", facts.policy)
        turn = rules.settle(facts, outcome, policy, now, random_share())
        uncounted = outcome.kind == j.STOPPED and turn.state != j.CANCELLED
        self._end_attempt(job_id, run, facts, outcome, now)
        self._end_claim(job_id, facts, turn, run, outcome, uncounted=uncounted)
        if turn.lane == rules.DONE:
            ended.add(facts.queue)
        if facts.queue != hooks.QUEUE:
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
        facts: Facts,
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
                facts.runs if run is None else run,
                None if outcome is None else outcome.started_at,
                int(uncounted),
                job_id,
            ),
        )
        self.moved(facts.queue, facts.state, turn.state)
        if turn.lane == rules.READY:
            self.became_ready(facts.track, facts.priority, turn.due_at, job_id)
        elif self._has_limit(facts) or outcome is None or outcome.kind == j.LOST:
            # also: who would have run its retry is gone, the others do not know when it is due
            self.work_made = True
        if turn.lane == rules.DONE and (facts.awaited or turn.state == j.DEAD):
            self.ended(job_id, facts, turn.state)

    def _end_attempt(self, job_id: int, run: int, facts: Facts, outcome: Outcome, now: int) -> None:
        output = outcome.output
        finished = outcome.finished_at or now
        self.writer.execute(
            SQL["end_attempt"],
            (
                job_id,
                run,
                facts.host,
                facts.due_at,
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
                facts = self.facts(job_id)
                if facts is None or facts.token != token:
                    continue
                now = self.now()
                if facts.started:
                    stopped = j.Outcome(j.STOPPED, finished_at=now)
                    self._end_attempt(job_id, facts.runs, facts, stopped, now)
                turn = rules.give_back(facts, now)
                self._end_claim(job_id, facts, turn, None, None, uncounted=True)
                released += 1
        return released

    def lose(self, claims: Sequence[tuple[int, str]]) -> list[Settled]:
        """Take back claims of which no start is known; their delivery stays counted.

        Where a start arrived after all, the attempt ends as lost.
        """
        settled = []
        with self.transaction():
            for job_id, token in claims:
                facts = self.facts(job_id)
                if facts is None or facts.token != token:
                    settled.append(Settled(job_id, None))
                    continue
                if facts.started:
                    lost = Settlement(job_id, token, facts.runs, j.Outcome(j.LOST))
                    settled.append(self._settle(lost, set()))
                    continue
                turn = rules.lose(facts, self.now())
                self._end_claim(job_id, facts, turn, None, None, uncounted=False)
                settled.append(Settled(job_id, turn.state))
        return settled

    # ---- limits -------------------------------------------------------------------------------

    def _has_limit(self, facts: Facts) -> bool:
        """Whether the end of a claim leaves room that others may have waited for."""
        if not self.looked_at_limits:
            self.looked_at_limits = True
            version = self.writer.execute("PRAGMA data_version").fetchone()[0]
            if version != self._limits_at:
                rows = self.rows("SELECT name FROM queue WHERE job_limit IS NOT NULL")
                self._limited, self._limits_at = frozenset(row[0] for row in rows), version
        return facts.queue in self._limited or self.track(facts.track).array_limit is not None

    def limits_changed(self) -> None:
        """Forget which queues have a limit."""
        self._limits_at, self.looked_at_limits = None, False

    _limited: frozenset[str] = frozenset()
    #: the change counter when they were read; another connection's commit changes it
    _limits_at: int | None = None
