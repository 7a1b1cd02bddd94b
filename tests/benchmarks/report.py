"""What a row reports: figures, the number that is judged, its goal, and how all that is printed."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound that a number is to keep, from below or from above."""

    bound: float
    unit: str
    upper: bool

    def met_by(self, value: float) -> bool:
        """Whether the number keeps the bound."""
        return value <= self.bound if self.upper else value >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.upper else '>='} {number(self.bound)} {self.unit}"


def at_least(bound: float, unit: str = "x") -> Goal:
    """Return a goal that larger numbers meet."""
    return Goal(bound, unit, upper=False)


def at_most(bound: float, unit: str = "x") -> Goal:
    """Return a goal that smaller numbers meet."""
    return Goal(bound, unit, upper=True)


@dataclass(frozen=True, slots=True)
class Line:
    """One result: `value` is what the goal is about, `figures` is what it was made from."""

    name: str
    figures: str
    value: float
    goal: Goal

    @property
    def ok(self) -> bool:
        """Whether the goal is met."""
        return self.goal.met_by(self.value)

    def __str__(self) -> str:
        value = f"{number(self.value)} {self.goal.unit}"
        verdict = "ok" if self.ok else "UNDER"
        return f"{self.name:<24}{self.figures:<62}{value:>14}   {self.goal!s:<18}{verdict}"

    def data(self) -> dict[str, object]:
        """Return it as plain values."""
        return {
            "name": self.name,
            "figures": self.figures,
            "value": self.value,
            "unit": self.goal.unit,
            "goal": str(self.goal),
            "ok": self.ok,
        }


def number(value: float) -> str:
    """Return a number with as many digits as anybody wants to read."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value == int(value) else f"{value:.3g}"


def ratio(these: Sequence[float], those: Sequence[float]) -> float:
    """Return the median of the ratios round by round, which outlives a machine that gets slower."""
    return median(this / that for this, that in zip(these, those, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
