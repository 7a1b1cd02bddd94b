"""Results as bytes."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from queuectl.commands.result import Column, Result, Stream, Table, Text
from queuectl.commands.views import JOB_COLUMNS
from queuectl.errors import NoSuchJob, QueuectlError
from queuectl.render import Look, cut, look_for, render, render_error, visible, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator

TERMINAL = Look(terminal=True, width=40)
COLUMNS = (
    Column("ID", right=True), Column("NAME", optional=True), Column("STATE", styles={"dead": "red"}),
    Column("COMMAND", elastic=True),
)  # fmt: skip
ROWS = [("1", None, "dead", "true"), ("20", "", "failed", "echo \x1b[31m" + "x" * 60)]


def shown(result: Result, look: Look, fd: int = 1) -> str:
    """Return what is written to stdout, or stderr."""
    return b"".join(data for to, data in render(result, look) if to == fd).decode()


def test_a_table_fits_the_terminal() -> None:
    """Empty columns are left out, long cells are cut, control characters are written out."""
    lines = shown(Result(None, (Table(COLUMNS, ROWS),)), TERMINAL).splitlines()
    assert lines == [
        "ID  STATE   COMMAND",
        " 1  dead    true",
        "20  failed  echo \\x1b[31mxxxxxxxxxxxxxx…",
    ]
    assert max(map(len, lines)) == TERMINAL.width


def test_blanks_in_front_of_a_cell_stay() -> None:
    """They hold the branches of a tree in their places."""
    columns = (Column("JOB"), Column("COMMAND", elastic=True))
    rows = [("1", "a"), ("└─ 2", "b"), ("   └─ 3", "c")]
    lines = shown(Result(None, (Table(columns, rows),)), TERMINAL).splitlines()
    assert lines == ["JOB      COMMAND", "1        a", "└─ 2     b", "   └─ 3  c"]


def test_what_a_job_waits_for_is_left_out_late() -> None:
    """A reason that stands in a column of its own is worth more than a number."""
    cells = {
        "ID": "1",
        "STATE": "processing",
        "QUEUE": "q",
        "TIME": "1.0s",
        "WAITS FOR": "7",
        "COMMAND": "true",
    }
    rows = [[cells.get(column.name) for column in JOB_COLUMNS]] + [
        [
            cells[column.name] if column.name in ("ID", "STATE", "QUEUE", "TIME") else None
            for column in JOB_COLUMNS
        ]
    ]
    text = shown(Result(None, (Table(JOB_COLUMNS, rows),)), Look(terminal=True, width=40))
    assert "WAITS FOR" in text
    assert "TIME" not in text


def test_two_long_columns_share_what_there_is() -> None:
    """Neither is cut to the least while the other stands whole."""
    columns = (Column("ID"), Column("REASON", elastic=True), Column("COMMAND", elastic=True))
    rows = [("1", "r" * 50, "c" * 50)]
    _, line = shown(Result(None, (Table(columns, rows),)), TERMINAL).splitlines()
    _, reason, command = line.split()
    assert (len(reason), len(command)) == (17, 17)


def test_a_narrow_terminal_loses_columns_before_its_lines_break() -> None:
    """Those that say least; then even the elastic ones are cut further."""
    columns = (
        Column("ID"), Column("STATE"), Column("QUEUE", optional=True), Column("WAITS FOR", optional=True),
        Column("REASON", optional=True, elastic=True), Column("COMMAND", elastic=True),
    )  # fmt: skip
    rows: list[tuple[str | None, ...]] = [
        ("1", "completed", "thumbs", None, "r" * 30, "c" * 30),
        ("2", "completed", "thumbs", "1", "r" * 30, "c" * 30),
    ]
    for width in range(20, 80):
        lines = shown(Result(None, (Table(columns, rows),)), Look(terminal=True, width=width))
        assert max(map(len, lines.splitlines())) <= width, width
    narrow = shown(Result(None, (Table(columns, rows),)), Look(terminal=True, width=50))
    assert "QUEUE" in narrow
    assert "WAITS FOR" not in narrow


def test_on_a_pipe_every_column_is_there_and_nothing_is_cut() -> None:
    """So that a script finds them."""
    lines = shown(Result(None, (Table(COLUMNS, ROWS),)), Look()).splitlines()
    assert lines[0].split() == ["ID", "NAME", "STATE", "COMMAND"]
    assert lines[1].split() == ["1", "-", "dead", "true"]
    assert lines[2].endswith("x" * 60)
    assert "\x1b" not in "".join(lines)


def test_a_pipe_gets_rows_before_the_last_is_known() -> None:
    """Rows without an end still come out."""

    def endless() -> Iterator[tuple[str, ...]]:
        while True:
            yield ("1", "a", "dead", "true")

    pieces = list(islice(render(Result(None, (Table(COLUMNS, endless()),)), Look()), 500))
    assert len(pieces) == 500


def test_a_number_keeps_its_digits() -> None:
    """Tabulate is kept from reading numbers."""
    table = Table((Column("A"), Column("B")), [("1e5", "007"), ("0x1F", "1.500")])
    assert shown(Result(None, (table,)), TERMINAL).split() == [
        "A",
        "B",
        "1e5",
        "007",
        "0x1F",
        "1.500",
    ]


def test_wide_characters_are_counted() -> None:
    """A table with them still fits."""
    table = Table(COLUMNS, [("1", "日本", "dead", "日本語" * 20)])
    (_, row) = shown(Result(None, (table,)), TERMINAL).splitlines()
    assert TERMINAL.width - 1 <= width_of(row) <= TERMINAL.width
    assert cut("日本語", 4) == "日…"


def test_colour_is_only_for_terminals() -> None:
    """And not against NO_COLOR."""
    table = Result(None, (Table(COLUMNS, ROWS),))
    colours = {
        "terminal": look_for(json=False, terminal=True, width=40, environ={}),
        "no colour": look_for(json=False, terminal=True, width=40, environ={"NO_COLOR": "1"}),
        "dumb": look_for(json=False, terminal=True, width=40, environ={"TERM": "dumb"}),
        "pipe": look_for(json=False, terminal=False, width=40, environ={}),
    }
    assert {name: "\x1b[31mdead\x1b[0m" in shown(table, look) for name, look in colours.items()} == {
        "terminal": True, "no colour": False, "dumb": False, "pipe": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, ""),
        ({"id": 3}, '{"id": 3}\n'),
        ([], "[]\n"),
        (iter(()), "[]\n"),
        (iter(({"id": 1}, {"id": 2})), '[{"id": 1},\n {"id": 2}]\n'),
    ],
)
def test_json_is_one_document(data: object, text: str) -> None:
    """And text and tables are not shown."""
    assert shown(Result(data, (Text("for people"),)), Look(json=True)) == text


def test_bytes_that_are_not_utf_8_survive_as_escapes() -> None:
    """In tables and in JSON."""
    command = b"echo \xff".decode("utf-8", "surrogateescape")
    assert visible(command) == "echo \\xff"
    assert json.loads(shown(Result({"command": command}), Look(json=True))) == {"command": command}


def test_a_text_keeps_its_lines_and_nothing_else() -> None:
    """Names in messages cannot move the cursor."""
    assert shown(Result(None, (Text("a\nb\x1b[2J\r"),)), TERMINAL) == "a\nb\\x1b[2J\\r\n"


def test_streams_pass_untouched_each_to_its_own() -> None:
    """`output` is byte for byte."""
    result = Result(None, (Stream([(1, b"\x1b[31m\xff"), (2, b"err")]),))
    assert list(render(result, TERMINAL)) == [(1, b"\x1b[31m\xff"), (2, b"err")]


def test_notes_go_to_stderr() -> None:
    """As objects under --json; as the error when the command failed."""
    result = Result([], notes=("none dead",))
    assert shown(result, TERMINAL, fd=2) == "none dead\n"
    assert json.loads(shown(result, Look(json=True), fd=2)) == {"note": "none dead"}
    failed = json.loads(shown(result._replace(exit_code=1), Look(json=True), fd=2))
    assert failed == {"error": "none dead", "exit_code": 1}


def test_errors_are_one_line_or_one_object() -> None:
    """On stderr."""
    error = NoSuchJob(job=9)
    assert list(render_error(error, Look())) == [(2, b"queuectl: no job 9\n")]
    ((fd, data),) = render_error(error, Look(json=True), "script:3: ")
    assert (fd, json.loads(data)) == (2, {"error": "script:3: no job 9", "exit_code": 3})


def test_long_remarks_and_errors_are_broken_between_words() -> None:
    """On a terminal; what is longer than a line stays whole."""
    long = "x" * 50
    note = f"the words of a remark, {long} among them, stay whole at --no-retry-on"
    folded = [
        "the words of a remark,",
        f"  {long}",
        "  among them, stay whole at",
        "  --no-retry-on",
    ]
    assert shown(Result(None, notes=(note,)), TERMINAL, fd=2).splitlines() == folded
    assert shown(Result(None, notes=(note,)), Look(), fd=2) == f"{note}\n"
    ((_, data),) = render_error(QueuectlError(note), TERMINAL, "")
    assert data.decode().splitlines() == folded
    ((_, data),) = render_error(QueuectlError(note), Look(), "")
    assert data.decode() == f"{note}\n"
