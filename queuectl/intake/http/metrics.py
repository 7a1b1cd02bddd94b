"""Numbers for Prometheus, and whether the service can do its work.

Everything is read from the store when it is asked for, so the numbers are those of all hosts and
survive a restart of this one. Attempts are counted where jobs are: pruned ones are no longer in it,
so their counter may fall when jobs are pruned; Prometheus takes that for a restart.
"""

from __future__ import annotations

import time

from queuectl import __version__
from queuectl.intake.http.call import Answer, Refusal
from queuectl.job import FAILED, PENDING, PROCESSING, STATES
from queuectl.store.base import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from queuectl.intake.http.call import Call
    from queuectl.store.base import Store

#: waiting jobs that are looked at for the oldest one
_LOOKED_AT = 1000


class _Collector:
    """What prometheus-client asks for its families."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        store = self._store
        yield InfoMetricFamily("queuectl", "The version.", value={"version": __version__})
        jobs = GaugeMetricFamily(
            "queuectl_jobs", "Jobs by state and queue.", labels=["queue", "state"]
        )
        paused = GaugeMetricFamily(
            "queuectl_queue_paused", "Whether a queue is paused.", labels=["queue"]
        )
        for queue in store.queues():
            paused.add_metric([queue.name], float(queue.paused))
            for state in STATES:
                jobs.add_metric([queue.name, state], queue.counts.get(state, 0))
        yield jobs
        yield paused
        running = store.counts()[PROCESSING]
        yield GaugeMetricFamily("queuectl_running", "Jobs that run now.", value=running)
        yield GaugeMetricFamily(
            "queuectl_oldest_wait_seconds",
            "How long the job that became due first has waited.",
            value=_oldest(store),
        )
        yield from _hosts(store)
        yield _outcomes(store)


def _oldest(store: Store) -> float:
    """Return the seconds that the first of the jobs that are due and not held has waited."""
    now = store.now()
    where = Filter((PENDING, FAILED), paused=False)
    due = [job.due_at for job in store.jobs(where, limit=_LOOKED_AT) if not job.unmet]
    return max(0.0, (now - min(due, default=now)) / 1000)


def _hosts(store: Store) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    hosts = store.hosts()
    yield GaugeMetricFamily("queuectl_hosts", "Processes with workers.", value=len(hosts))
    workers = sum(host.workers for host in hosts)
    yield GaugeMetricFamily("queuectl_workers", "Workers on all hosts.", value=workers)


def _outcomes(store: Store) -> Metric:
    """Return attempts by how they ended, as far as the jobs are still there."""
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(
        "queuectl_jobs_ended", "Jobs that came to an end, by outcome.", labels=["outcome"]
    )
    counts = store.counts()
    for state in ("completed", "dead", "cancelled"):
        family.add_metric([state], counts[state])
    return family


def metrics(call: Call) -> Answer:
    """GET /metrics."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(call.store))
    return Answer(None, raw=generate_latest(registry), media=CONTENT_TYPE_LATEST)


def healthz(call: Call) -> Answer:
    """GET /healthz: 200 when the store answers and takes what is written, else 503 with the reason."""
    began = time.monotonic()
    trouble: str | None = getattr(call.api.backend, "store_trouble", None)
    if trouble:
        raise Refusal(503, trouble)
    call.store.counts()
    call.store.version()
    return Answer({
        "ok": True, "version": __version__, "milliseconds": round((time.monotonic() - began) * 1000)
    })  # fmt: skip
