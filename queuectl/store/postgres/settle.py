"""How claims end in the PostgreSQL store: however many in a few statements, in order of id."""

from __future__ import annotations

import os

from queuectl import job as j
from queuectl.store import hooks, rules
from queuectl.store.base import Filter, Settled, Settlement
from queuectl.store.postgres.claims import PostgresClaims
from queuectl.store.postgres.connections import SQL
from queuectl.store.postgres.statements import columns_of
from queuectl.store.rules import Facts
from queuectl.store.sql.sqlstore import random_share, readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from queuectl.job import Outcome
    from queuectl.store.base import Start
    from queuectl.store.rules import Turn
    from queuectl.store.sql.dependents import Put


#: where the lane stands in what is written of an end
_LANE = 2


class _End:
    """What is to be written of claims that end."""

    def __init__(self) -> None:
        self.claims: list[tuple[object, ...]] = []
        self.attempts: dict[tuple[int, int], tuple[object, ...]] = {}
        self.outputs: list[tuple[object, ...]] = []
        #: jobs that ended, how, with what of their policy, for what follows
        self.follow: list[tuple[int, Facts, Turn, Mapping[str, str], Outcome]] = []
        self.queues: set[str] = set()


class PostgresSettle(PostgresClaims):
    """Takes reports back. Writing methods: one thread at a time."""

    # ---- start --------------------------------------------------------------------------------

    def start(self, starts: Sequence[Start]) -> list[bool]:
        """Record that claimed jobs run."""
        with self.joined():
            facts = self._claims_of(start.job_id for start in starts)
            current = []
            new: dict[int, tuple[Start, Facts]] = {}
            for start in starts:
                known = facts.get(start.job_id)
                is_current = known is not None and known.token == start.token
                current.append(is_current)
                if known is not None and is_current and not known.started:
                    new.setdefault(start.job_id, (start, known))
            if new:
                pairs = [new[job_id] for job_id in sorted(new)]
                ids = [start.job_id for start, _ in pairs]
                runs = [start.run for start, _ in pairs]
                times = [start.started_at for start, _ in pairs]
                self.later(SQL["start"], (ids, runs, times))
                hosts = [known.host for _, known in pairs]
                dues = [known.due_at for _, known in pairs]
                self.later(SQL["begin_attempts"], (ids, runs, hosts, dues, times))
                for _, known in pairs:
                    self.moved(known.queue, known.state, j.PROCESSING)
            return current

    # ---- settle -------------------------------------------------------------------------------

    def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Record how attempts ended and decide what follows."""
        with self.joined():
            facts = self._claims_of(one.job_id for one in settlements)
            end = _End()
            settled = [self._settle(one, facts, end) for one in settlements]
            self._write(end)
            self._follow_up(end)
            return settled

    def _claims_of(self, ids: Iterable[int]) -> dict[int, Facts]:
        """Return what is known of claimed jobs, locked in order of id."""
        wanted = sorted({job_id for job_id in ids if 0 < job_id < 2**63})
        if not wanted:
            return {}
        rows, context = self.run_all(
            (SQL["facts_of_claims"], (wanted,)), (SQL["settle_context"], ())
        )
        limited, self._on_idle = context.fetchall()[0]
        self._limited = frozenset(limited)
        return {row[18]: Facts(*row[:18]) for row in rows}

    #: queues whose room grows when a job ends, and the hook for idleness, as a settle found them
    _limited: frozenset[str] = frozenset()
    _on_idle: str | None = None

    def _settle(self, settlement: Settlement, facts: dict[int, Facts], end: _End) -> Settled:
        job_id, token, run, outcome = settlement
        known = facts.get(job_id)
        if known is None or known.token != token:
            return Settled(job_id, None)
        # whoever says it again is refused
        del facts[job_id]
        now = self.now()
        if outcome.kind == j.STOPPED and outcome.started_at is None and not known.started:
            turn = rules.give_back(known, now)
            self._end_claim(job_id, known, turn, None, None, end, uncounted=True)
            self._note_end(job_id, known, turn, {}, outcome, end, hooked=False)
            return Settled(job_id, turn.state)
        policy = self.pairs("policy", known.policy)
        turn = rules.settle(known, outcome, policy, now, random_share())
        uncounted = outcome.kind == j.STOPPED and turn.state != j.CANCELLED
        self._end_claim(job_id, known, turn, run, outcome, end, uncounted=uncounted)
        _end_attempt(job_id, run, known, outcome, now, end)
        self._note_end(job_id, known, turn, policy, outcome, end, hooked=True)
        return Settled(job_id, turn.state, turn.next_run_at)

    def _note_end(
        self, job_id: int, known: Facts, turn: Turn, policy: Mapping[str, str], outcome: Outcome,
        end: _End, *, hooked: bool,
    ) -> None:  # fmt: skip
        """Remember what follows from an end, for when it is written."""
        if turn.lane == rules.DONE and hooked:
            end.queues.add(known.queue)
        has_hook = (
            hooked
            and known.queue != hooks.QUEUE
            and any(policy.get(event) for event in hooks.events(turn.state, outcome))
        )
        is_over = turn.lane == rules.DONE and (known.awaited or turn.state == j.DEAD)
        if has_hook or is_over:
            end.follow.append((job_id, known, turn, policy if has_hook else {}, outcome))

    def _follow_up(self, end: _End) -> None:
        """Let follow what follows from ends that are written: dependents, halts, hooks."""
        for job_id, known, turn, policy, outcome in end.follow:
            if turn.lane == rules.DONE:
                self.ended(job_id, known, turn.state)
            job = self.get(job_id) if policy else None
            if job is not None:
                facts = hooks.facts_of(job, turn.state, outcome)
                self.add(
                    list(hooks.jobs_after(policy, turn.state, outcome, facts, job.cwd, job.env))
                )
        if end.queues - {hooks.QUEUE}:
            self._enqueue_idle_hook()

    def _enqueue_idle_hook(self) -> None:
        """Add the job that `on-idle` asks for when these settlements left nothing to run."""
        line = self._on_idle or self.local_settings.get("on-idle")
        if line:
            states = (j.PENDING, j.PROCESSING, j.FAILED)
            queues = tuple(queue.name for queue in self.queues() if queue.name != hooks.QUEUE)
            if not self.count(Filter(states=states, queues=queues)):
                self.add([hooks.hook("on-idle", line, {}, os.path.expanduser("~"), {})])

    def _end_claim(
        self, job_id: int, known: Facts, turn: Turn, run: int | None, outcome: Outcome | None,
        end: _End, *, uncounted: bool,
    ) -> None:  # fmt: skip
        exit_code = outcome.code if outcome is not None and outcome.kind == j.EXIT else None
        end.claims.append((
            job_id, turn.state, turn.lane, turn.due_at, turn.next_run_at, turn.attempts,
            turn.finished_at, None if turn.reason is None else readable(turn.reason), exit_code,
            known.runs if run is None else run,
            None if outcome is None else outcome.started_at, int(uncounted),
        ))  # fmt: skip
        self.moved(known.queue, known.state, turn.state)
        if turn.lane == rules.READY:
            self.became_ready(known.track, known.priority, turn.due_at, job_id)
        elif self._is_limited(known) or outcome is None or outcome.kind == j.LOST:
            # also: who would have run its retry is gone, the others do not know when it is due
            self.work_made = True

    def _is_limited(self, known: Facts) -> bool:
        """Whether another job may start because this one has ended."""
        return known.queue in self._limited or self.track(known.track).array_limit is not None

    def _write(self, end: _End) -> None:
        """Write all ends, each kind in one statement and in order of id."""
        ends = sorted(end.claims)
        for block, is_over in (("end_claims", False), ("end_for_good", True)):
            rows = [row for row in ends if (row[_LANE] == rules.DONE) is is_over]
            if rows:
                self.later(SQL[block], columns_of(rows))
        if end.attempts:
            rows = [end.attempts[key] for key in sorted(end.attempts)]
            self.later(SQL["end_attempts"], columns_of(rows))
        if end.outputs:
            self.later(SQL["keep_outputs"], columns_of(end.outputs))

    def put_all(self, puts: Sequence[Put]) -> None:
        """Put unclaimed jobs where their turns say, see Dependents.put_all."""
        over = [one for one in puts if one.turn.lane == rules.DONE != one.facts.lane]
        if over:
            self.later(SQL["put_for_good"], columns_of([one.row for one in over]))
            self.note_put(over)
            puts = [
                one for one in puts if one.turn.lane != rules.DONE or one.facts.lane == rules.DONE
            ]
        super().put_all(puts)

    # ---- giving back --------------------------------------------------------------------------

    def release(self, claims: Sequence[tuple[int, str]]) -> int:
        """Give claims back as if they had never been made."""
        with self.joined():
            facts = self._claims_of(job_id for job_id, _ in claims)
            end = _End()
            for job_id, token in claims:
                known = facts.get(job_id)
                if known is None or known.token != token:
                    continue
                del facts[job_id]
                now = self.now()
                if known.started:
                    stopped = j.Outcome(j.STOPPED, finished_at=now)
                    _end_attempt(job_id, known.runs, known, stopped, now, end)
                turn = rules.give_back(known, now)
                self._end_claim(job_id, known, turn, None, None, end, uncounted=True)
                self._note_end(job_id, known, turn, {}, j.Outcome(j.STOPPED), end, hooked=False)
            self._write(end)
            self._follow_up(end)
            return len(end.claims)

    def lose(self, claims: Sequence[tuple[int, str]]) -> list[Settled]:
        """Take back claims of which no start is known; their delivery stays counted.

        Where a start arrived after all, the attempt ends as lost.
        """
        settled = []
        with self.joined():
            facts = self._claims_of(job_id for job_id, _ in claims)
            end = _End()
            for job_id, token in claims:
                known = facts.get(job_id)
                if known is None or known.token != token:
                    settled.append(Settled(job_id, None))
                elif known.started:
                    lost = Settlement(job_id, token, known.runs, j.Outcome(j.LOST))
                    settled.append(self._settle(lost, facts, end))
                else:
                    del facts[job_id]
                    turn = rules.lose(known, self.now())
                    self._end_claim(job_id, known, turn, None, None, end, uncounted=False)
                    self._note_end(job_id, known, turn, {}, j.Outcome(j.LOST), end, hooked=False)
                    settled.append(Settled(job_id, turn.state))
            self._write(end)
            self._follow_up(end)
        return settled


def _end_attempt(
    job_id: int, run: int, known: Facts, outcome: Outcome, now: int, end: _End
) -> None:
    output = outcome.output
    finished = outcome.finished_at or now
    end.attempts[job_id, run] = (
        job_id, run, known.host, known.due_at, outcome.started_at or finished, finished,
        outcome.kind, outcome.code, readable(outcome.reason), outcome.user_ms, outcome.system_ms,
        outcome.max_rss_kib, output.stdout_bytes if output else 0,
        output.stderr_bytes if output else 0,
        None if outcome.message is None else readable(outcome.message),
    )  # fmt: skip
    if output and (output.stdout_bytes or output.stderr_bytes or not output.complete):
        path = None if output.path is None else os.fsencode(output.path)
        end.outputs.append(
            (job_id, run, output.data, output.marks, path, *output[3:5], int(output.complete))
        )
