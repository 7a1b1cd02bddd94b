"""Hosts that stop living while their process is there: SIGSTOP, also with the store locked."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from queuectl.job import COMPLETED, EXIT, Outcome
from queuectl.store.base import Settlement, Start
from tests.support.hosts import HURRY, SELFISH, eventually

if TYPE_CHECKING:
    from tests.support.fifo import Gate
    from tests.support.hosts import Hosts

#: hosts that soon lose their patience with others
STRICT: dict[str, object] = {
    **HURRY,
    "queuectl.host.recovery.LEASE": 0.4,
    "queuectl.host.recovery.CONFIRM": 0.2,
    "queuectl.store.sqlite.file.BUSY_SECONDS": 0.2,
}


def test_a_stopped_host_is_killed_and_its_late_words_are_refused(hosts: Hosts, gate: Gate) -> None:
    job_id = hosts.put(f"trap '' TERM; {gate.saying('$$')}")
    host = hosts.start(1, SELFISH).ready()
    first = int(gate.arrived())
    job = hosts.processing(job_id)
    token, run = str(job.token), job.runs
    host.signal(signal.SIGSTOP)
    hosts.start(1, STRICT)
    assert host.died() == -9
    gate.arrived()
    assert first not in hosts.survivors()
    late = Settlement(job_id, token, run, Outcome(EXIT, 0))
    assert hosts.store.settle([late])[0].state is None
    assert hosts.store.start([Start(job_id, token, run, 1)]) == [False]
    assert hosts.store.release([(job_id, token)]) == 0
    gate.open()
    job = hosts.ended(job_id)
    assert (job.state, job.attempts) == (COMPLETED, 2)
    reasons = [attempt.reason for attempt in hosts.store.attempts(job_id)]
    assert reasons == ["worker lost", "exit 0"]


def test_a_host_that_is_stopped_for_less_than_its_lease_goes_on(hosts: Hosts, gate: Gate) -> None:
    job_id = hosts.put(gate.command)
    host = hosts.start(1).ready()
    gate.arrived()
    hosts.start(1).ready()
    host.signal(signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(host.pid, os.WUNTRACED)[1])
    gate.open()
    host.signal(signal.SIGCONT)
    job = hosts.ended(job_id)
    assert (job.state, job.attempts, job.deliveries) == (COMPLETED, 1, 1)


def test_a_host_that_stops_with_the_store_locked_is_killed_too(hosts: Hosts, gate: Gate) -> None:
    """Nobody can write meanwhile, so nobody may have to write in order to kill it."""
    waiting = hosts.put(gate.command)
    other = hosts.start(2, STRICT).ready()
    gate.arrived()
    host = hosts.start(1, SELFISH, failpoint="before-claim-commit:stop")
    job_id = hosts.put("true")
    eventually(lambda: host.process.poll() is not None or hosts.get(job_id).state == COMPLETED)
    if host.process.poll() is None:
        # the other one was faster with this job: give it none that it could take
        other.ask("stop", "stopping")
        gate.open()
        hosts.ended(waiting)
        hosts.put("true")
    assert host.died() == -9
    gate.open()
    hosts.start(1, STRICT)
    hosts.all_ended()
    assert hosts.get(waiting).attempts == 1
