"""Claims in the PostgreSQL store: tracks merged by their best job, limits and rates exact.

Rows that another host is just claiming are skipped, not waited for. What must be exact between
hosts (a limit, a rate) is decided under a lock of the queue's row, in two statements: what the
second one counts includes all that was committed before the lock was had (READ COMMITTED).
"""

from __future__ import annotations

import heapq
import os

from queuectl.job import Claim
from queuectl.store import rules
from queuectl.store.heads import Head, key_of
from queuectl.store.postgres.connections import SQL
from queuectl.store.postgres.primitives import PostgresPrimitives
from queuectl.store.room import Budget, Lane
from queuectl.store.sql.restoring import Restoring
from queuectl.store.sql.sqlstore import unpack_needs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from queuectl.store.base import Room
    from queuectl.store.heads import Key

#: due jobs that one claim makes ready before it chooses, in steps of 1,000
PROMOTED_AT_ONCE = 20_000
_LEAST: Key = (-(2**62), -(2**62), -(2**62))
_MOST: Key = (2**62, 2**62, 2**62)
#: limited queues that are locked together
_LOCKED_AT_ONCE = 64
#: ms after which is looked again where another host kept a queue locked
_SOON = 20


class PostgresClaims(PostgresPrimitives, Restoring):
    """Hands jobs out. Writing methods: one thread at a time."""

    #: when it is worth looking again at what others kept locked, ms
    _again_at: int | None = None

    def claim(
        self,
        host_id: str,
        want: int,
        queues: Sequence[str] = (),
        ahead: int = 0,
        room: Room | None = None,
    ) -> list[Claim]:
        """Claim up to `want` eligible jobs, best first, and `ahead` more, see Store."""
        with self.joined():
            self._again_at = None
            budget = Budget(
                want, ahead, queues, room, self.now(), self._running, self._running_in_array
            )
            claims: list[Claim] = []
            more_due = True
            while more_due and not budget.is_spent:
                more_due, rows = self._promote_and_look()
                found = _Merge(rows, queues)
                while not budget.is_spent and (head := found.pop()) is not None:
                    claims += self._claim_from(host_id, head, found, budget)
            if claims:
                self.just_claimed += [(claim.job_id, claim.token) for claim in claims]
                # of two rounds each is in order; all of them are handed out in order
                claims.sort(key=lambda claim: key_of(claim.priority, claim.due_at, claim.job_id))
            return claims

    def _promote_and_look(self) -> tuple[bool, list[Any]]:
        """Make due jobs ready; return whether there may be more, and the heads of the tracks."""
        for _ in range(0, PROMOTED_AT_ONCE, 1000):
            wrote = self.wrote
            now = self.now()
            promoted, heads = self.run_all((SQL["promote"], (now,)), (SQL["heads"], (now,)))
            self.wrote = wrote or promoted.rowcount > 0
            if promoted.rowcount < 1000:
                return False, heads.fetchall()
        return True, heads.fetchall()

    def _claim_from(self, host_id: str, head: Head, found: _Merge, budget: Budget) -> list[Claim]:
        """Claim the best jobs of a track, up to the one that another track's head precedes."""
        lane = head.lane
        if not _is_free(lane):
            if lane.track not in found.locked:
                self._lock(lane, found)
            locked = found.locked[lane.track]
            if locked is None:
                return []
            lane = locked
        most = budget.most(lane)
        if most <= 0:
            return []
        bound = found.next_key() or _MOST
        now = self.now()
        values = (lane.track, *found.after.get(lane.track, _LEAST), *bound, most, host_id, now)
        wrote = self.wrote
        rows = self.run(SQL["claim"], values).fetchall()
        self.wrote = wrote or bool(rows)
        rows.sort(key=lambda row: key_of(row[3], row[13], row[0]))
        opens = budget.took(lane, len(rows))
        if opens is not None:
            self.later(SQL["close_rate"], (opens, lane.queue))
        self._put_back(lane, rows, most, bound, found, budget)
        return self._claims(rows, now)

    def _put_back(
        self, lane: Lane, rows: list[Any], most: int, bound: Key, found: _Merge, budget: Budget
    ) -> None:
        """Let a track have another turn, where it stands now; what others have locked is behind it."""
        if budget.is_spent or (len(rows) < most and bound == _MOST):
            return
        stands = bound
        if len(rows) == most:
            last = rows[-1]
            stands = key_of(last[3], last[13], last[0])
        found.after[lane.track] = stands
        row = self.run(SQL["head_after"], (lane.track, *stands)).fetchone()
        if row is not None:
            found.push(Head(key_of(*row), lane))

    def _claims(self, rows: list[Any], now: int) -> list[Claim]:
        payloads = {}
        with_stdin = [row[0] for row in rows if row[10]]
        if with_stdin:
            payloads = dict(self.rows(SQL["payloads"], (with_stdin,)))
        return [self._claimed(row, payloads.get(row[0]), now) for row in rows]

    def _claimed(self, row: Sequence[Any], payload: bytes | None, now: int) -> Claim:
        # by position: forty names a batch are a tenth of what a claim costs here
        return Claim(
            row[0],
            row[18],
            row[1],
            row[2],
            row[3],
            os.fsdecode(row[4]),
            rules.unpack_words(row[5]),
            bool(row[6]),
            os.fsdecode(row[7]),
            self.pairs("environment", row[8]),
            self.pairs("policy", row[9]),
            payload if row[10] == rules.BYTES else None,
            row[11],
            row[12],
            row[13],
            now,
            row[14],
            os.fsdecode(payload or b"") if row[10] == rules.PATH else None,
            self.track(row[19]).needs,
            row[15],
            row[16],
            None if row[17] is None else os.fsdecode(row[17]),
        )

    # ---- limits -------------------------------------------------------------------------------

    def _running(self, queue: str) -> int:
        return int(self.rows(SQL["running_in_queue"], (queue,))[0][0])

    def _running_in_array(self, array_id: int) -> int:
        return int(self.rows(SQL["running_in_array"], (array_id,))[0][0])

    def _lock(self, lane: Lane, found: _Merge) -> None:
        """Lock the queue of a limited track, with those that come next; read its limits anew.

        The first of a claim are waited for, in order of name; after that none is, as that could
        close a circle of hosts: what is locked is left to who has it, and looked at again soon.
        """
        lanes = [lane, *found.next_limited(_LOCKED_AT_ONCE - 1)]
        names = sorted({one.queue for one in lanes})
        block = "try_queues" if found.locked else "lock_queues"
        rows = {row[0]: row[1:] for row in self.run(SQL[block], (names,))}
        arrays = sorted({one.array_id for one in lanes if one.array_limit is not None})
        if arrays:
            self.run(SQL["lock_arrays"], (arrays,))
        for one in lanes:
            row = rows.get(one.queue)
            if row is None:
                self._again_at = self.now() + _SOON
            if row is None or row[0]:
                found.locked[one.track] = None
            else:
                limit, starts, period, opens = row[1:]
                found.locked[one.track] = one._replace(
                    limit=limit, rate_starts=starts, rate_period=period, rate_next=opens
                )

    def next_due(self, since: int | None = None) -> int | None:
        """Return when there may be something new to claim by itself, see Store."""
        due = super().next_due(since)
        if self._again_at is not None:
            return self._again_at if due is None else min(due, self._again_at)
        return due


class _Merge:
    """The tracks with ready jobs, best first. A few dozen as a rule, a thousand are no matter."""

    def __init__(self, rows: list[Any], queues: Sequence[str]) -> None:
        self._heap: list[Head] = []
        asked = frozenset(queues)
        for row in rows:
            if not asked or row[4] in asked:
                lane = Lane._make((*row[3:12], unpack_needs(row[12])))
                self._heap.append(Head(key_of(*row[:3]), lane))
        heapq.heapify(self._heap)
        #: where to go on in a track
        self.after: dict[int, Key] = {}
        #: tracks whose limits were read under a lock; None: not to be had
        self.locked: dict[int, Lane | None] = {}

    def pop(self) -> Head | None:
        """Return the best head and take it out."""
        return heapq.heappop(self._heap) if self._heap else None

    def push(self, head: Head) -> None:
        """Put a head back."""
        heapq.heappush(self._heap, head)

    def next_key(self) -> Key | None:
        """Return the key of the head that `pop` would return."""
        return self._heap[0].key if self._heap else None

    def next_limited(self, most: int) -> list[Lane]:
        """Return the limited tracks that come next and are not locked."""
        lanes = [
            head.lane
            for head in heapq.nsmallest(most, self._heap)
            if not _is_free(head.lane) and head.lane.track not in self.locked
        ]
        return lanes[:most]


def _is_free(lane: Lane) -> bool:
    """Whether no other host has a say in how many jobs a track gives."""
    return lane.limit is None and lane.rate_starts is None and lane.array_limit is None
