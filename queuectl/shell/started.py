"""How a line for `/bin/sh` starts this program: by its name, or as this process was started."""

from __future__ import annotations

import os
import shlex
import shutil

from queuectl.grammar import Grammar
from queuectl.grammar.reading import PROGRAM, LineSource, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.grammar.reading import Reading
    from queuectl.grammar.table import Command


def program(started_as: str, python: str, path: str | None) -> str:
    """Return the words that start this program.

    `started_as` is argv's first word, `python` the interpreter's file, `path` what PATH says.
    """
    if shutil.which(PROGRAM, path=path):
        return PROGRAM
    if os.path.basename(started_as) == PROGRAM:
        return shlex.quote(os.path.abspath(started_as))
    name = os.path.basename(python)
    found = shutil.which(name, path=path)
    return f"{name if found == python else shlex.quote(python)} -m {PROGRAM}"


class GrammarHere(Grammar):
    """A grammar whose hints say how this program is started here."""

    def __init__(self, table: tuple[Command, ...], start: str) -> None:
        """`start` is what `program` returned."""
        super().__init__(table)
        self._program = start

    def read(self, text: str) -> Reading:
        """Return what a line says word by word, faults included; raises nothing."""
        return read(self.index, LineSource(text, self._program))
