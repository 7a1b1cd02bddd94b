"""Failpoints: nothing without the variable, an end at the named place with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from queuectl import failpoint

REACH = """
from queuectl.failpoint import reach
for number in range(3):
    reach("elsewhere")
    reach("here")
    print(number, flush=True)
"""


def run(text: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", REACH],
        env={**os.environ, failpoint.VARIABLE: text},
        stdout=subprocess.PIPE,
    )


def test_without_the_variable_nothing_happens() -> None:
    assert failpoint.reach is failpoint._nothing
    failpoint.reach("anything")


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("here:kill", -signal.SIGKILL, b""),
        ("here:kill:3", -signal.SIGKILL, b"0\n1\n"),
        ("here:exit:2", 1, b"0\n"),
        ("nowhere:kill", 0, b"0\n1\n2\n"),
    ],
)
def test_the_process_ends_where_it_should(text: str, status: int, said: bytes) -> None:
    with run(text) as process:
        assert process.communicate()[0] == said
        assert process.returncode == status


def test_a_process_can_be_stopped_and_goes_on() -> None:
    with run("here:stop:2") as process:
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        process.send_signal(signal.SIGCONT)
        assert process.communicate()[0] == b"0\n1\n2\n"
        assert process.returncode == 0
