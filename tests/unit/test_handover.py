"""What a host makes of the signals that it and its front are sent."""

from __future__ import annotations

import signal

import pytest

from queuectl.host import handover


@pytest.mark.parametrize("has_front", [False, True])
def test_a_signal_of_job_control_asks_for_nothing(
    has_front: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a handler, so that the host does not stand still: it must not end it either."""
    monkeypatch.setattr(handover, "_link", handover.Link(-1, -1) if has_front else None)
    monkeypatch.setattr(handover, "_had", {})
    told = bytes((signal.SIGTSTP, signal.SIGTERM, signal.SIGTTOU, signal.SIGCONT))
    assert handover.once(told) == bytes((signal.SIGTERM,))


def test_a_signal_that_comes_a_second_time_through_the_front_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handover, "_link", handover.Link(-1, -1))
    monkeypatch.setattr(handover, "_had", {})
    told = bytes((signal.SIGINT,))
    assert handover.once(told) == told
    assert handover.once(told) == b""
