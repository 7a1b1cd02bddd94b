"""Many jobs at once."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from tests.support.session import Session

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_enqueued_line_by_line(session: Session, tmp_path: Path) -> None:
    """Command lines and JSON; empty lines and comments are left out."""
    (tmp_path / "jobs").write_text(
        'echo 1\n\n# no\n  {"command": "echo", "args": ["2"], "priority": 9}\r\necho 日本'
    )
    assert session.json("enqueue --from jobs --priority 1")["ids"] == [1, 2, 3]
    assert [(job["command"], job["priority"]) for job in session.json("list")] == [
        ("echo 1", 1), ("echo", 9), ("echo 日本", 1),
    ]  # fmt: skip
    assert session.ctx.last_id == 3


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("true\n3\ntrue", "line 2: '3' selects jobs"),
        ('true\n{"command": 1}', "line 2: command: 1 is not a string"),
        (
            '{"command": "a", "name": "n"}\n{"command": "a", "name": "n"}\n',
            "line 2: the name 'n' is given in line 1",
        ),
        ('\n{"command": "a", "queue": "nope"}\n', "line 2: no queue 'nope'"),
        ("true\nfalse\0x\n", "line 2: the command"),
    ],
)
def test_a_bad_line_names_its_number_and_nothing_is_enqueued(
    session: Session, tmp_path: Path, lines: str, said: str
) -> None:
    """Unless --keep-going: then the good ones are."""
    (tmp_path / "jobs").write_text(lines)
    code, message = session.refused("enqueue --from jobs")
    assert said in message
    assert code in (1, 2, 3)
    assert session.json("list") == []
    result = session.result("enqueue --from jobs --keep-going")
    assert result.exit_code == code
    good = len([line for line in lines.split("\n") if line]) - 1
    assert len(session.json("list")) == good


def test_lines_come_from_standard_input(tmp_path: Path) -> None:
    """Also from a pipe, and more than one read's worth."""
    out, into = os.pipe()
    with os.fdopen(out, "rb") as pipe:
        session = Session(tmp_path, stdin=pipe)
        os.write(into, b"".join(b"echo %d\n" % number for number in range(5000)))
        os.close(into)
        assert session.text("enqueue -") == "5000 jobs enqueued: 1-5000\n"
        assert [session.job(number).command for number in (1, 2501, 5000)] == [
            "echo 0",
            "echo 2500",
            "echo 4999",
        ]
    session.ctx.close()


def testchunks_may_end_within_a_character() -> None:
    """Lines are put together again whatever the reads return."""
    from queuectl.commands.bulk import chunks

    data = "eins\nz日本\n\ndrei".encode()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:  # noqa: ARG002
            return super().read(3)

    lines: dict[int, str] = {}
    for start, found, _ in chunks(Slow(data)):
        lines.update(enumerate(found, start))
    assert lines == {1: "eins", 2: "z日本", 3: "", 4: "drei"}
