"""The benchmarks can be imported, their table is complete, and it is documented. None is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.__main__ import main
from tests.benchmarks.report import Goal, Line, at_least, at_most, percentile, ratio
from tests.benchmarks.rows import ROWS, Row

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "tests" / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_that_measures_is_a_row(path: Path) -> None:
    measures = "\ndef measure(bench: Bench)" in path.read_text(encoding="utf-8")
    assert (path.stem.replace("_", "-") in ROWS) == measures


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_a_row_says_what_it_measures_and_its_goal(row: Row) -> None:
    text = row.text
    assert "Goal" in text
    assert len(text.strip().split("\n\n")) == 2, "a title and one paragraph"


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_documented(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "benchmarks.md").read_text(encoding="utf-8")
    assert f"| `{name}` |" in page


def test_help_lists_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"  {row.name} " in shown and row.title in shown for row in ROWS.values())


def test_an_unknown_row_is_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["drains"])
    assert "drain-argv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (at_least(1.0), 0.99, "UNDER"),
        (at_least(1.0), 1.0, "ok"),
        (at_most(30, "MB"), 30.1, "UNDER"),
        (at_most(30, "MB"), 30, "ok"),
    ],
)
def test_a_line_ends_with_its_verdict(goal: Goal, value: float, verdict: str) -> None:
    line = Line("name", "figures", value, goal)
    assert str(line).endswith(verdict)
    assert line.data()["ok"] == (verdict == "ok")


def test_a_ratio_is_taken_round_by_round() -> None:
    """A round in which the machine was twice as slow for both counts like any other."""
    assert ratio([1.0, 2.0, 1.0], [2.0, 4.0, 2.0]) == 0.5


def test_a_percentile_is_one_of_the_values() -> None:
    values = list(map(float, range(100)))
    assert percentile(values, 0.99) == 99
    assert percentile(values[:1], 0.99) == 0
