"""The shell: its first prompt, and a key with a million jobs in the store.

`first prompt` is from the start of the process to the prompt on the screen, against `python -c
'import prompt_toolkit'`. `key` is from a key written to the terminal to the line that shows it,
completion menus and all, with 1,000,000 jobs pending. Goals: <= 1.3 x; <= 10 ms for the median key.
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.filling import fill
from tests.benchmarks.report import Line, at_most, percentile, ratio
from tests.benchmarks.run import in_turn, python, run
from tests.shell.screen import CTRL_C, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.bench import Bench

#: what is typed, a key at a time: commands, ids, states and names are completed on the way
TYPED = ("status 123456 ", "list --state pen", "output 99", "cancel 5", "enqueue --queue d")


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    place = bench.place()
    fill(place, pending=bench.pick(quick=1000, normal=1_000_000))
    floor = python("-c", "import prompt_toolkit")
    bare, prompts = in_turn(
        bench.pick(quick=1, normal=11),
        lambda: run(floor).seconds,
        lambda: _prompt(place.directory, place.url),
    )
    figures = f"{1000 * median(prompts):.0f} ms beside {1000 * median(bare):.0f} ms"
    yield Line("shell first prompt", figures, ratio(prompts, bare), at_most(1.3))
    keys = _keys(place.directory, place.url)
    worst = percentile(keys, 0.99)
    figures = f"p50 {1000 * median(keys):.1f} ms, p99 {1000 * worst:.1f} ms of {len(keys)} keys"
    yield Line("shell key", figures, 1000 * median(keys), at_most(10, "ms"))
    place.delete()


def _shell(directory: Path, url: str) -> Shell:
    return Shell(directory, "--store", url, environ={"PYTHONDONTWRITEBYTECODE": ""})


def _prompt(directory: Path, url: str) -> float:
    """Return the seconds from the start to the first prompt."""
    began = time.perf_counter()
    with _shell(directory, url) as shell:
        return time.perf_counter() - began if shell else 0.0


def _keys(directory: Path, url: str) -> list[float]:
    """Return the seconds that each key took to be seen."""
    seconds = []
    with _shell(directory, url) as shell:
        for text in TYPED:
            for end in range(1, len(text) + 1):
                began = time.perf_counter()
                shell.type(text[end - 1])
                shell.see_line(f"queuectl> {text[:end]}".rstrip())
                seconds.append(time.perf_counter() - began)
            shell.type(CTRL_C)
            shell.see_line("queuectl>")
    return seconds
