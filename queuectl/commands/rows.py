"""Rows of `list` and `status`: a job each, or jobs of an array that look the same; where they ran."""

from __future__ import annotations

from queuectl.commands import views
from queuectl.commands.result import short_id
from queuectl.job import FAILED, PENDING
from queuectl.store.base import Alike

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from queuectl.commands.reasons import Surroundings
    from queuectl.job import Job
    from queuectl.store.base import HostInfo, Store

    Cells = Sequence[str | None]

#: jobs of which is asked at once where they ran
_PIECE = 500
_ID, _NAME, _ARRAY, _TIME, _COMMAND = (
    [column.name for column in views.JOB_COLUMNS].index(name)
    for name in ("ID", "NAME", "ARRAY", "TIME", "COMMAND")
)


def alone(jobs: Iterable[Job]) -> list[Alike]:
    """Return jobs as rows of one each."""
    return [Alike(job, job) for job in jobs]


def row_cells(row: Alike, around: Surroundings, host: str | None = None) -> Cells:
    """Return the cells of JOB_COLUMNS for one job, or for several that look the same."""
    cells = list(views.job_cells(row.first, around, host))
    if row.jobs > 1:
        cells[_ID] = f"{row.first.id}-{row.last.id}"
        cells[_ARRAY] = f"{row.first.array_id}[{_indices(row)}]"
        if row.first.name is not None:
            # each has its index at the end
            cells[_NAME] = f"{row.first.name.removesuffix(str(row.first.array_index))}*"
        # each took a time of its own
        cells[_TIME] = None
        if row.first.words != row.last.words:
            cells[_COMMAND] = f"{row.first.words} …"
    return cells


def _indices(row: Alike) -> str:
    """Return the indices as `enqueue --array` takes them; between the ends of others is a `…`."""
    first, last = row.first.array_index or 0, row.last.array_index or 0
    between = "-" if last - first == row.jobs - 1 else "…"
    limit = row.first.array_limit
    most = f"%{limit}" if limit is not None and not row.first.is_final else ""
    return f"{first}{between}{last}{most}"


class Places:
    """Which host runs a job or ran it last, and what people call that host."""

    def __init__(self, store: Store, hosts: Sequence[HostInfo] | None = None) -> None:
        """Read which hosts there are, if nobody did."""
        hosts = store.hosts() if hosts is None else hosts
        machines = [host.hostname for host in hosts]
        self._store = store
        self._working = {host.id for host in hosts if host.workers}
        self._names = {
            host.id: host.hostname if machines.count(host.hostname) == 1 else short_id(host.id)
            for host in hosts
        }

    def of(self, jobs: Iterable[Job]) -> dict[int, str]:
        """Return by job the id of its host; of those that wait there is none."""
        found, asked = {}, []
        for job in jobs:
            if job.host is not None:
                found[job.id] = job.host
            elif job.runs and job.state not in (PENDING, FAILED):
                asked.append(job.id)
        return {**found, **self._store.ran_on(asked)} if asked else found

    def along(self, jobs: Iterator[Job]) -> Iterator[tuple[Job, str | None]]:
        """Yield each job with the id of its host, as they are read."""
        from itertools import islice

        while piece := list(islice(jobs, _PIECE)):
            found = self.of(piece)
            for job in piece:
                yield job, found.get(job.id)

    def name(self, host: str | None) -> str | None:
        """Return the machine, or the host's id where that does not tell it from others."""
        return None if host is None else self._names.get(host, short_id(host))

    def worth_telling(self, found: Mapping[int, str]) -> bool:
        """Whether there is more than one host: working now, or that jobs to be shown ran on.

        Hosts that have ended count only where they may have been on other machines.
        """
        told = set(found.values())
        if self._store.lease is None:
            told &= self._names.keys()
        return len(told | self._working) > 1

    def cells(self, rows: Sequence[Alike], around: Surroundings) -> list[Cells]:
        """Return the cells of rows for a terminal: with hosts where that is worth telling."""
        found = self.of(row.first for row in rows if row.jobs == 1)
        told = found if self.worth_telling(found) else {}
        return [row_cells(row, around, self.name(told.get(row.first.id))) for row in rows]


def job_data(job: Job, host: str | None) -> dict[str, object]:
    """Return a job as --json shows it in lists, with its host."""
    return {**views.job_data(job), "host": host}
