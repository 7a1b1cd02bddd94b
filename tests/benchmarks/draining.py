"""What the rows about drains share: one drain of ours, one of xargs, and both side by side."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.filling import enqueue
from tests.benchmarks.report import Line, at_least, at_most, ratio
from tests.benchmarks.run import Finished, answer, in_turn, python, queuectl, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.bench import Bench, Place

WORKERS = 2


def drained(place: Place, jobs: int, workers: int = WORKERS) -> Finished:
    """Run the first `jobs` jobs of a store in a new host; its start is not counted."""
    words = ("drain", place.url, str(workers), str(jobs))
    return Finished(**answer(python("-m", "tests.benchmarks.hosting", *words)))


def drained_anew(bench: Bench, lines: Path, jobs: int, *flags: str) -> Finished:
    """Run all jobs of a new store into which the lines of a file were enqueued."""
    place = bench.place()
    enqueue(place, lines, *flags)
    finished = drained(place, jobs)
    place.delete()
    return finished


def drained_by_command(bench: Bench, lines: Path, *flags: str) -> Finished:
    """Do the same by `worker start --until-empty`, less what that takes on an empty store."""
    place = bench.place()
    command = queuectl(place, "worker", "start", str(WORKERS), "--until-empty")
    run(command)
    empty = run(command)
    enqueue(place, lines, *flags)
    finished = run(command)
    place.delete()
    return Finished(finished.seconds - empty.seconds, finished.cpu - empty.cpu)


def beside_xargs(bench: Bench, name: str, xargs: list[str], *flags: str) -> Iterator[Line]:
    """Drain jobs `true` enqueued with these flags, and let xargs run as many, in turn."""
    jobs = bench.pick(quick=200, normal=5000)
    lines = bench.file(["true"] * jobs)
    theirs, ours, whole = in_turn(
        bench.pick(quick=1, normal=7),
        lambda: run(xargs, stdin=lines),
        lambda: drained_anew(bench, lines, jobs, *flags),
        lambda: drained_by_command(bench, lines, *flags),
    )
    xargs_seconds = [each.seconds for each in theirs]
    for what, done in (("", ours), (" whole", whole)):
        seconds = [each.seconds for each in done]
        figures = f"{rate(jobs, seconds)} beside xargs {rate(jobs, xargs_seconds)}"
        yield Line(name + what, figures, ratio(xargs_seconds, seconds), at_least(1.0))
    xargs_cpu, cpu = [each.cpu for each in theirs], [each.cpu for each in ours]
    figures = f"{_per_job(cpu, jobs)} beside xargs {_per_job(xargs_cpu, jobs)} of CPU a job"
    yield Line(name + " cpu", figures, ratio(cpu, xargs_cpu), at_most(1.1))


def rate(count: int, seconds: list[float]) -> str:
    """Return the median rate."""
    return f"{count / median(seconds):,.0f}/s"


def _per_job(cpu: list[float], jobs: int) -> str:
    return f"{1000 * median(cpu) / jobs:.2f} ms"
