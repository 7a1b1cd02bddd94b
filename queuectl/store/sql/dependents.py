"""What follows in a SQL store when a job ends: jobs that wait for it, deaths that halt its queue."""

from __future__ import annotations

from queuectl import job as j
from queuectl.errors import DependencyCycle, NoSuchJob
from queuectl.record import Record
from queuectl.store import rules
from queuectl.store.sql.reads import Reads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from queuectl.job import After, State
    from queuectl.store.rules import Facts

#: what is written of a job that a turn moves
TURN = (
    "state", "lane", "due_at", "next_run_at", "finished_at", "reason", "attempts", "deliveries",
    "cancel_requested",
)  # fmt: skip
_KINDS = (j.WHEN_COMPLETED, j.WHEN_ENDED, j.WHEN_FAILED)
#: jobs of a cycle that are shown
_LONG = 10
#: in `dependency`: a row that is not met
_OPEN = "(met IS NULL OR met = 0)"


def is_met(kind: str, state: State | None) -> bool:
    """Whether a job that ended in a state (None: was removed) is what a dependency waits for."""
    if kind == j.WHEN_ENDED:
        return state is not None
    return state == (j.COMPLETED if kind == j.WHEN_COMPLETED else j.DEAD)


def has_met(kind: str, on: int, ended: Mapping[int, State]) -> bool:
    """Whether a job is among those that have ended, and did so as a dependency on it wants."""
    return on in ended and is_met(kind, ended[on])


def cycle_in(waits: Mapping[int, Sequence[int]]) -> list[int] | None:
    """Return a cycle among jobs and those each waits for, its first job repeated; None: no cycle."""
    done: set[int] = set()
    for root in waits:
        path: list[int] = []
        on_path: set[int] = set()
        todo = [(root, False)]
        while todo:
            node, is_left = todo.pop()
            if is_left:
                on_path.discard(path.pop())
                done.add(node)
            elif node in on_path:
                return [*path[path.index(node) :], node]
            elif node not in done:
                path.append(node)
                on_path.add(node)
                todo.append((node, True))
                todo += [(following, False) for following in waits.get(node, ())]
    return None


def shown_cycle(words: Sequence[str]) -> str:
    """Return a cycle for reading: of a long one both ends."""
    if len(words) > _LONG:
        words = [*words[: _LONG // 2], f"… {len(words) - _LONG} more …", *words[-_LONG // 2 :]]
    return " → ".join(words)


class Put(Record):
    """An unclaimed job, and where it is put."""

    job_id: int
    #: as it stands before
    facts: Facts
    turn: rules.Turn
    #: no delivery is held against it
    afresh: bool

    @property
    def row(self) -> tuple[object, ...]:
        """What is written of it, in the order of TURN, and its id."""
        job_id, facts, turn, afresh = self
        deliveries = facts.deliveries if turn.attempts and not afresh else 0
        return (turn.state, turn.lane, turn.due_at, turn.next_run_at, turn.finished_at, turn.reason,
                turn.attempts, deliveries, 0, job_id)  # fmt: skip


class Dependents(Reads):
    """Decides dependencies, each in the transaction in which the job it is on ends."""

    # ---- placing ------------------------------------------------------------------------------

    def place(self, job_id: int, facts: Facts, now: int) -> None:
        """Put a waiting job into the lane it belongs in by its due time and what holds it."""
        self._place([(job_id, facts)], now)

    def _place(self, jobs: Sequence[tuple[int, Facts]], now: int) -> None:
        rows = []
        for job_id, facts in jobs:
            lane = rules.lane_of(facts.due_at, now, paused=facts.held)
            next_run_at = facts.due_at if facts.due_at > now else None
            rows.append((lane, facts.due_at, next_run_at, job_id))
        self.write_jobs(("lane", "due_at", "next_run_at"), rows)
        for (lane, *_), (job_id, facts) in zip(rows, jobs, strict=True):
            if lane == rules.READY:
                self.became_ready(facts.track, facts.priority, facts.due_at, job_id)
        self.work_made = True

    def put_all(self, puts: Sequence[Put]) -> None:
        """Put unclaimed jobs, each once, where their turns say."""
        for final in (False, True):
            rows = [one.row for one in puts if (one.facts.lane == rules.DONE) is final]
            self.write_jobs(TURN, rows, final=final)
        self.note_put(puts)

    def note_put(self, puts: Sequence[Put]) -> None:
        """Count jobs that have been put, and hear of those that are ready."""
        for job_id, facts, turn, _ in puts:
            self.moved(facts.queue, facts.state, turn.state)
            if turn.lane == rules.READY:
                self.became_ready(facts.track, facts.priority, turn.due_at, job_id)

    # ---- ends ---------------------------------------------------------------------------------

    def ended(self, job_id: int, facts: Facts, state: State) -> None:
        """Let follow what follows from a claimed job's end for good. Engines call it for each."""
        if facts.awaited:
            self.follow(job_id, state)
        if state == j.DEAD:
            self._died(facts.queue)

    def follow(self, job_id: int, state: State | None) -> set[int]:
        """Decide what waits for a job that ended so (None: was removed), and what waits for that.

        Returns the jobs that may have changed by it.
        """
        looked_at: set[int] = set()
        ends: list[tuple[int, State | None]] = [(job_id, state)]
        while ends:
            on, how = ends.pop()
            waiting = self.rows(
                "SELECT job_id, kind FROM dependency WHERE on_id = ? AND met = 0 ORDER BY job_id",
                (on,),
            )
            if not waiting:
                continue
            known = self.facts_of([row[0] for row in waiting])
            looked_at.update(known)
            met: list[int] = []
            left: list[int] = []
            for kind in {kind for _, kind in waiting}:
                is_so = is_met(kind, how)
                # now that they are locked: what they wait for may have been changed meanwhile
                decided = self.run(
                    "UPDATE dependency SET met = ? WHERE on_id = ? AND met = 0 AND kind = ?"
                    " RETURNING job_id",
                    (1 if is_so else None, on, kind),
                ).fetchall()
                (met if is_so else left).extend(row[0] for row in decided if row[0] in known)
            self._meet(met, known)
            why = f"dependency {on} " + ("was removed" if how is None else f"is {how}")
            given_up = self._give_up(sorted(set(left)), known, why)
            ends += [(one, j.CANCELLED) for one in given_up if known[one].awaited]
        return looked_at

    def _meet(self, ids: Sequence[int], known: dict[int, Facts]) -> None:
        """Count a dependency of each as met; those that wait for nothing else go on."""
        for job_id in ids:
            known[job_id] = known[job_id]._replace(unmet=known[job_id].unmet - 1)
        met = sorted(set(ids))
        self.run_many(
            "UPDATE job SET unmet = ? WHERE id = ?", [(known[one].unmet, one) for one in met]
        )
        free = [(one, known[one]) for one in met if known[one].lane == rules.HELD]
        free = [(one, facts) for one, facts in free if not facts.held]
        if free:
            self._place(free, self.now())

    def _give_up(self, ids: Sequence[int], known: Mapping[int, Facts], why: str) -> list[int]:
        """Cancel jobs whose dependency can never be met, unless they are to be kept; return which."""
        now = self.now()
        puts = []
        for job_id in ids:
            facts = known[job_id]
            if facts.state in j.FINAL or facts.lane == rules.RUNNING:
                continue
            if self.pairs("policy", facts.policy).get("unmet") == "keep":
                continue
            turn = rules.cancelled(facts, now, why)
            puts.append(Put(job_id, facts, turn, False))
        self.put_all(puts)
        return [one.job_id for one in puts]

    def _died(self, queue: str) -> None:
        """Count a death; a queue with enough of them pauses itself."""
        self.run("UPDATE queue SET deaths = deaths + 1 WHERE name = ?", (queue,))
        most = int(self.settings(queue).get("halt-on", "0"))
        if not most:
            return
        ((deaths, paused),) = self.rows("SELECT deaths, paused FROM queue WHERE name = ?", (queue,))
        if deaths >= most and not paused:
            died = "1 job died" if deaths == 1 else f"{deaths} jobs died"
            self.set_paused(queue, paused=True, why=f"{died} (halt-on {most})")

    def set_paused(self, queue: str, *, paused: bool, why: str | None) -> None:
        """Pause a queue and its tracks, or let them go on."""
        self.run(
            "UPDATE queue SET paused = ?, paused_why = ? WHERE name = ?", (int(paused), why, queue)
        )
        self.run("UPDATE track SET paused = ? WHERE queue = ?", (int(paused), queue))
        self.work_made = True

    def settings(self, queue: str | None = None) -> dict[str, str]:
        """Return the settings made for the store or one queue."""
        return dict(self.rows("SELECT name, value FROM setting WHERE queue = ?", (queue or "",)))

    # ---- making and unmaking ------------------------------------------------------------------

    def resolved(self, after: Iterable[After], names: Mapping[str, int]) -> list[tuple[int, str]]:
        """Return (id, when) of dependencies; names are of the same batch, else of the store.

        Each pair once. Raises NoSuchJob.
        """
        found: dict[tuple[int, str], None] = {}
        for one in after:
            if one.when not in _KINDS:
                raise ValueError(f"no dependency on {one.when!r}")
            on = one.on
            if isinstance(on, str):
                known = names.get(on)
                on_id = self.id_of_name(on) if known is None else known
                if on_id is None:
                    raise NoSuchJob(job=on)
                on = on_id
            found[on, one.when] = None
        return list(found)

    def ended_of(self, ids: Iterable[int]) -> dict[int, State]:
        """Return how those of these jobs ended that have; all are locked. Raises NoSuchJob."""
        wanted = sorted(ids)
        self.lock(wanted)
        ended: dict[int, State] = {}
        for on in wanted:
            facts = self.facts(on)
            if facts is None:
                raise NoSuchJob(job=on)
            if facts.state in j.FINAL:
                ended[on] = facts.state
        return ended

    def link(
        self,
        waits: Mapping[int, Sequence[tuple[int, str]]],
        ended: Mapping[int, State] | None = None,
    ) -> None:
        """Make jobs wait for others; what has ended already is decided at once.

        They must be there, not claimed and HELD if not final, with `unmet` set to the number of
        their dependencies; where `ended` is given, from `ended_of`, to those that it does not meet
        already. So only what can never be met is written more than once, which a role that may
        only enqueue may not. Raises NoSuchJob.
        """
        on_ids = sorted({on for pairs in waits.values() for on, _ in pairs})
        is_counted = ended is not None
        if ended is None:
            ended = self.ended_of(on_ids)
        self.run_many(
            "UPDATE job SET awaited = 1 WHERE id = ? AND awaited = 0", [(on,) for on in on_ids]
        )
        rows = [
            (job_id, on, kind, int(is_counted and has_met(kind, on, ended)))
            for job_id, pairs in waits.items()
            for on, kind in pairs
        ]
        self.run_many("INSERT INTO dependency (job_id, on_id, kind, met) VALUES (?, ?, ?, ?)", rows)
        for on in sorted({on for _, on, _, met in rows if on in ended and not met}):
            self.follow(on, ended[on])

    def refuse_cycle(self, job_id: int, on_ids: Sequence[int]) -> None:
        """Raise DependencyCycle if one of these jobs waits, over others too, for this one."""
        waits: dict[int, list[int]] = {job_id: list(on_ids)}
        todo = list(on_ids)
        while todo:
            node = todo.pop()
            if node not in waits:
                read = f"SELECT on_id FROM dependency WHERE job_id = ? AND {_OPEN} ORDER BY on_id"
                waits[node] = [row[0] for row in self.rows(read, (node,))]
                todo += waits[node]
        cycle = cycle_in(waits)
        if cycle is not None:
            raise DependencyCycle(cycle=shown_cycle([str(node) for node in cycle]))

    def unlink(self, job_id: int) -> None:
        """Forget what a job waits for, or waited for."""
        self.run("DELETE FROM dependency WHERE job_id = ?", (job_id,))

    def reopen(self, job_id: int, facts: Facts) -> tuple[int, str, int | None]:
        """Look anew at what a final job that is to run again waits for, and who waits for it.

        Returns how many dependencies are not met, and why it cannot run and for which, if it cannot.
        """
        keep = self.pairs("policy", facts.policy).get("unmet") == "keep"
        looked: list[tuple[int | None, int, int, str]] = []
        read = f"SELECT on_id, kind FROM dependency WHERE job_id = ? AND {_OPEN} ORDER BY on_id"
        for on, kind in self.rows(read, (job_id,)) if facts.unmet else ():
            other = self.facts(on)
            state = None if other is None else other.state
            met: int | None = 0
            if state is None or state in j.FINAL:
                met = 1 if is_met(kind, state) else None
            if met is None and not keep:
                how = "is gone" if state is None else f"is {state}"
                return 0, f"waits for job {on}, which {how}", on
            looked.append((met, job_id, on, kind))
        self.run_many(
            "UPDATE dependency SET met = ? WHERE job_id = ? AND on_id = ? AND kind = ?", looked
        )
        if facts.awaited:
            self.run("UPDATE dependency SET met = 0 WHERE on_id = ? AND met IS NULL", (job_id,))
        return sum(not met for met, *_ in looked), "", None
