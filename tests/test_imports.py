"""What a command imports is most of what it costs; and imports only go down."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("prompt_toolkit", "tabulate", "psycopg", "pygments", "psutil", "asyncio", "subprocess")
#: what the way of a plain `enqueue` must not touch either (docs/adr/0002)
COSTLY = ("argparse", "json", "re", "typing", "dataclasses", "enum", "shlex", "pathlib", "logging")


def imported(directory: Path, *words: str, stdin: str | None = None) -> set[str]:
    """Return the modules that a queuectl process with these words imported."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "PYTHONPATH": os.getcwd(),
        "QUEUECTL_STATE_DIR": str(directory / "state"),
    }
    done = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", "-c",
         f"import sys; sys.path.insert(0, {os.getcwd()!r}); from queuectl.cli import main; main()", *words],
        env=env, capture_output=True, text=True, check=False, timeout=60, input=stdin,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return what the interpreter and `site` import by themselves, coverage and the like included."""
    done = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", "-c", "pass"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize("words", [("enqueue", "true"), ("enqueue", "--", "rsync", "-a", "b")])
def test_a_one_shot_enqueue_imports_next_to_nothing(
    tmp_path: Path, bare: set[str], words: tuple[str, ...]
) -> None:
    """Neither what the shell and tables need, nor the standard library's heavier parts."""
    found = imported(tmp_path, *words) - bare
    assert not found.intersection(HEAVY)
    if "--" not in words:
        assert not found.intersection(COSTLY)


@pytest.mark.parametrize(
    "words", [("list",), ("status",), ("set",), ("worker", "list"), ("dlq", "list")]
)
def test_no_one_shot_command_imports_what_the_shell_needs(
    tmp_path: Path, bare: set[str], words: tuple[str, ...]
) -> None:
    """On a pipe tables are drawn without tabulate, too."""
    assert not (imported(tmp_path, *words) - bare).intersection(HEAVY)


def test_a_script_does_not_import_prompt_toolkit(tmp_path: Path, bare: set[str]) -> None:
    """Without a terminal there is no prompt."""
    found = imported(tmp_path, stdin="enqueue true\nstatus\nlist\n") - bare
    assert not found.intersection({"prompt_toolkit", "tabulate", "pygments", "asyncio"})


def test_a_table_on_a_terminal_does_without_the_metadata_of_packages() -> None:
    """And leaves that module as it is for whoever needs it afterwards (docs/adr/0007)."""
    program = (
        "import sys; from queuectl.render import _tabulate; tabulate = _tabulate();"
        " assert not {'email', 'zipfile'} & set(sys.modules), sorted(sys.modules);"
        " print(tabulate([['a']], tablefmt='plain'));"
        " from importlib.metadata import version; print(bool(version('tabulate')))"
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "a\nTrue\n"
