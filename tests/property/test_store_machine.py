"""Any sequence of what hosts and people do to a store leaves it as the model says."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.property.asking import Asking, Changing
from tests.property.governing import Queues, Schedules
from tests.property.hosting import Claiming, Hosting
from tests.property.machine import Machine
from tests.support.stores import ENGINES


class Everything(Hosting, Asking, Queues, Schedules):
    """All parts at once."""


class Bounds(Claiming, Changing, Queues):
    """Who gets what when queues, hosts and jobs change: more of it than Everything comes to."""


class Times(Claiming, Schedules):
    """The same for schedules."""


@pytest.mark.parametrize("engine_name", list(ENGINES))
@pytest.mark.parametrize(("parts", "share"), [(Everything, 1), (Bounds, 4), (Times, 10)])
def test_a_store_does_what_the_model_does(
    engine_name: str, parts: type[Machine], share: int
) -> None:
    """Claims, states, counts, queues, schedules and history, after every step."""
    machine = type("Machine", (parts,), {"engine_name": engine_name})
    # over HTTP each call is a request, and beneath is a store that has been through all of it
    share *= 6 if engine_name == "remote" else 1
    most = max(1, settings().max_examples // share)
    run_state_machine_as_test(machine, settings=settings(max_examples=most))
