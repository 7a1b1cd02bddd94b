"""One command, the whole process.

Against `python -c pass` of the same interpreter, on a store with a few jobs. `enqueue` is `queuectl
enqueue true` by the script that pip installs, and with -m by `python -m queuectl`, as are all
others. Goals: <= 2.5 x for enqueue, <= 3.5 x for every other command.
"""

from __future__ import annotations

from itertools import count
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.report import Line, at_most, ratio
from tests.benchmarks.run import console_script, in_turn, python, queuectl, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.bench import Bench, Place

#: commands that can be run again and again
OTHERS = ("status", "list", "output 1", "set", "worker list", "dlq list")


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    rounds = bench.pick(quick=2, normal=21)
    place = bench.place()
    waiting = _prepare(place, rounds + 1)
    script = console_script(bench.directory)
    commands: dict[str, Callable[[], list[str]]] = {
        "enqueue": lambda: [script, "--store", place.url, "enqueue", "true"],
        "enqueue (-m)": lambda: queuectl(place, "enqueue", "true"),
        **{words: lambda words=words: queuectl(place, *words.split()) for words in OTHERS},  # type: ignore[misc]
        "cancel N": lambda: queuectl(place, "cancel", str(next(waiting))),
    }
    subjects = [lambda make=make: _seconds(make()) for make in commands.values()]
    floor = python("-c", "pass")
    # once for what the first run of a command does for all later ones
    in_turn(1, *subjects)
    bare, *results = in_turn(rounds, lambda: _seconds(floor), *subjects)
    for name, seconds in zip(commands, results, strict=True):
        figures = f"{1000 * median(seconds):.1f} ms beside {1000 * median(bare):.1f} ms"
        goal = at_most(2.5 if name.startswith("enqueue") else 3.5)
        yield Line(f"oneshot {name}", figures, ratio(seconds, bare), goal)


def _prepare(place: Place, waiting: int) -> Iterator[int]:
    """Make a job with output, a dead one, and some that wait; return the ids of the latter."""
    run(queuectl(place, "enqueue", "echo", "hello"))
    run(queuectl(place, "enqueue", "--max-retries", "0", "false"))
    run(queuectl(place, "worker", "start", "1", "--until-empty"))
    for _ in range(waiting):
        run(queuectl(place, "enqueue", "true"))
    return count(3)


def _seconds(argv: list[str]) -> float:
    return run(argv).seconds
