"""Every row of the table, in the order they run. A row is a module whose text says what it measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.benchmarks import (
    bulk,
    clients,
    drain_argv,
    drain_large,
    drain_shell,
    idle,
    latency,
    limits,
    listing,
    mass,
    memory,
    oneshot,
    postgres,
    script,
    shell,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from tests.benchmarks.bench import Bench
    from tests.benchmarks.report import Line


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its name on the command line, what it says about itself, and what measures it."""

    name: str
    text: str
    measure: Callable[[Bench], Iterator[Line]]

    @property
    def title(self) -> str:
        """The first line of its text."""
        return self.text.partition("\n")[0].rstrip(".")


def _row(module: ModuleType) -> Row:
    name = module.__name__.rpartition(".")[2].replace("_", "-")
    return Row(name, module.__doc__ or "", module.measure)


ROWS: dict[str, Row] = {
    row.name: row
    for row in map(
        _row,
        (
            drain_argv,
            drain_shell,
            drain_large,
            limits,
            bulk,
            mass,
            script,
            oneshot,
            latency,
            idle,
            memory,
            clients,
            listing,
            postgres,
            shell,
        ),
    )
}
