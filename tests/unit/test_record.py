"""Records: what `typing.NamedTuple` promises, without its price."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from queuectl.job import NewJob
from queuectl.record import Record


class Point(Record):
    """A point."""

    x: int
    y: int = 2
    #: where it is drawn
    label: str = "here"

    @property
    def total(self) -> int:
        """The sum."""
        return self.x + self.y

    def moved(self, by: int) -> Point:
        """Return another one."""
        return self._replace(x=self.x + by)


class Nothing(Record):
    """No fields at all."""


def test_fields_are_given_in_order_or_by_name() -> None:
    """With defaults for those at the end."""
    assert Point(1) == Point(x=1) == Point(1, 2, "here") == Point(y=2, x=1, label="here")
    assert (Point(1).x, Point(1).y, Point(1, label="a").label) == (1, 2, "a")


@pytest.mark.parametrize(
    "arguments",
    [((), {}), ((1, 2, "a", 4), {}), ((1,), {"z": 1}), ((1,), {"x": 1}), ((), {"y": 1})],
)
def test_wrong_fields_are_errors(
    arguments: tuple[tuple[object, ...], dict[str, object]],
) -> None:
    """Missing, too many, unknown, given twice."""
    positional, named = arguments
    with pytest.raises(TypeError):
        Point(*positional, **named)  # type: ignore[arg-type]


def test_a_record_cannot_be_changed() -> None:
    """Nor can anything be hung on it."""
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 5  # type: ignore[misc]
    with pytest.raises(AttributeError):
        point.z = 5  # type: ignore[attr-defined]
    assert not hasattr(point, "__dict__")


def test_a_record_is_a_tuple() -> None:
    """It can be unpacked, compared, hashed and sorted."""
    x, *rest = Point(1)
    assert (x, rest) == (1, [2, "here"])
    assert Point(1) == (1, 2, "here")
    assert len({Point(1), Point(1, 2), Point(2)}) == 2
    assert sorted([Point(3), Point(1)])[0].x == 1


def test_replace_gives_another_one() -> None:
    """And refuses a field that there is not."""
    point = Point(1)
    assert point._replace(y=9, x=0) == (0, 9, "here")
    assert point == (1, 2, "here")
    with pytest.raises((TypeError, ValueError)):
        point._replace(z=1)  # type: ignore[call-arg]


def test_methods_and_properties_work() -> None:
    """They are what the class is for."""
    assert Point(1).total == 3
    assert Point(1).moved(2) == Point(3)


def test_the_face_of_a_named_tuple_is_there() -> None:
    """What callers and tools look at."""
    assert Point._fields == ("x", "y", "label")
    assert Point._field_defaults == {"y": 2, "label": "here"}
    assert Point(1)._asdict() == {"x": 1, "y": 2, "label": "here"}
    assert Point._make([1, 2, "z"]) == Point(1, 2, "z")
    assert repr(Point(1)) == "Point(x=1, y=2, label='here')"
    assert (Point.__doc__, Point.__name__, Point.__module__) == ("A point.", "Point", __name__)
    match Point(4):
        case Point(x, y):
            assert (x, y) == (4, 2)


def test_a_record_is_copied_and_pickled_as_itself() -> None:
    """Between processes, too."""
    job = NewJob("true", ("a",))
    for again in (copy.copy(job), copy.deepcopy(job), pickle.loads(pickle.dumps(job))):
        assert again == job
        assert type(again) is NewJob


def test_a_record_may_have_no_fields() -> None:
    """Then there is one value of it."""
    assert Nothing() == Nothing() == ()
    assert repr(Nothing()) == "Nothing()"


def test_records_cost_no_heavy_import() -> None:
    """A one-shot command is made of them."""
    code = (
        "import sys; before = set(sys.modules); import queuectl.job;"
        "print(sorted({'typing', 'dataclasses', 'inspect', 're'} & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout == "[]\n"
