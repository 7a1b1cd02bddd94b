"""From a claim to a plan: argv, environment, policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queuectl.job import Claim
from queuectl.process.attempt import account_env, plan_for, way_back
from tests.unit.attempts import TOKEN, attempt, wrote

if TYPE_CHECKING:
    from pathlib import Path

    from queuectl.process.attempt import Plan
    from queuectl.resources import Share

CLAIM = Claim(
    job_id=7, token=TOKEN, run=3, queue="q", priority=0, command="echo", args=("a b",), shell=False,
    cwd="/", env={"LANG": "C"}, policy={}, stdin=None, attempts=0, max_retries=3, due_at=0,
    claimed_at=0,
)  # fmt: skip
BASE = {"HOME": "/h", "USER": "u", "LOGNAME": "u", "SHELL": "/bin/sh", "TMPDIR": "/t"}


def plan(**changes: object) -> Plan:
    """Return the plan for a claim with some fields changed."""
    return plan_for(CLAIM._replace(**changes), base_env=BASE, slot=1, output_path="/o/7.3")  # type: ignore[arg-type]


def test_plan_has_the_defaults() -> None:
    """What no policy says comes from the settings."""
    made = plan()
    assert made.cwd == "/"
    assert (made.timeout, made.idle_timeout, made.kill_grace) == (0, 0, 10_000)
    assert made.output_limit == 256 * 1024 * 1024
    assert (made.interactive, made.merge, made.leave_children) == (False, False, False)
    assert (made.output_path, made.error_file) == ("/o/7.3", "/o/7.3.error")


def test_plan_follows_the_policy() -> None:
    """A policy of the job wins."""
    made = plan(
        policy={"timeout": "30s", "idle-timeout": "5s", "kill-grace": "1s", "output-limit": "1k",
                "merge": "true", "interactive": "yes", "leave-children": "1"}
    )  # fmt: skip
    assert (made.timeout, made.idle_timeout, made.kill_grace) == (30_000, 5_000, 1_000)
    assert (made.output_limit, made.merge, made.interactive) == (1024, True, True)
    assert made.leave_children


@pytest.mark.parametrize(
    ("changes", "argv"),
    [
        ({}, ("echo", "a b")),
        ({"args": None}, ("echo",)),
        ({"args": None, "shell": True}, ("/bin/sh", "-c", "echo")),
        (
            {"args": (), "shell": True, "policy": {"shell": "/bin/bash"}},
            ("/bin/bash", "-c", "echo"),
        ),
        ({"shell": True}, ("/bin/sh", "-c", "echo", "/bin/sh", "a b")),
    ],
)
def test_argv(changes: dict[str, object], argv: tuple[str, ...]) -> None:
    """Rule 10: words are an argv, a line goes to the shell."""
    assert plan(**changes).argv == argv


def test_environment_is_exactly_rule_12(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the host's environment reaches a job."""
    monkeypatch.setenv("SECRET", "x")
    made = plan(command="/usr/bin/env", args=None)._replace(
        cwd=str(tmp_path), error_file=str(tmp_path / "e")
    )
    found = dict(entry.split("=", 1) for entry in wrote(attempt(made)).decode().splitlines())
    assert found == {
        **BASE, "LANG": "C", "QUEUECTL_JOB_ID": "7", "QUEUECTL_ATTEMPT": "3", "QUEUECTL_QUEUE": "q",
        "QUEUECTL_TOKEN": TOKEN, "QUEUECTL_SLOT": "1", "QUEUECTL_ERROR_FILE": str(tmp_path / "e"),
    }  # fmt: skip


def test_a_job_cannot_forge_its_token() -> None:
    """What identifies an attempt wins over what the job brings."""
    assert plan(env={"QUEUECTL_TOKEN": "forged"}).env["QUEUECTL_TOKEN"] == TOKEN


def test_a_job_can_find_its_store() -> None:
    """Whatever it brings; of a store that nobody else can open it is told nothing."""
    back = way_back("sqlite:///x/queue.db", {"QUEUECTL_STATE_DIR": "/x", "SECRET": "s"})
    assert back == {"QUEUECTL_STORE": "sqlite:///x/queue.db", "QUEUECTL_STATE_DIR": "/x"}
    claim = CLAIM._replace(env={"QUEUECTL_STORE": "forged"})
    env = plan_for(claim, base_env=BASE, slot=1, output_path="/o", way_back=back).env
    assert {name: env[name] for name in back} == back
    assert way_back("", {}) == {}


def test_account_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account's variables come from the account, not from who started the host."""
    monkeypatch.setenv("HOME", "/forged")
    monkeypatch.setenv("TMPDIR", "/scratch")
    found = account_env()
    assert set(found) == {"HOME", "USER", "LOGNAME", "SHELL", "TMPDIR"}
    assert found["HOME"] != "/forged"
    assert found["TMPDIR"] == "/scratch"


def test_a_job_of_an_array_knows_its_place() -> None:
    """Its number, and the id that all of them share."""
    env = plan(array_id=5, array_index=0).env
    assert (env["QUEUECTL_INDEX"], env["QUEUECTL_ARRAY_ID"]) == ("0", "5")
    assert "QUEUECTL_INDEX" not in plan().env


def test_what_a_job_got_is_in_its_environment() -> None:
    """Its own word about the GPUs wins; about what is queuectl's it does not."""
    needs = {"gpu": 1, "mem": 1024, "slots": 2}
    share: Share = {"gpu": (3,), "mem": 1024}
    claim = CLAIM._replace(needs=needs)
    env = plan_for(claim, base_env=BASE, slot=1, output_path="/o", share=share).env
    names = ("QUEUECTL_GPU", "QUEUECTL_MEM", "QUEUECTL_SLOTS", "CUDA_VISIBLE_DEVICES")
    assert [env[name] for name in names] == ["3", "1024", "2", "3"]
    claim = claim._replace(env={"CUDA_VISIBLE_DEVICES": "9", "QUEUECTL_GPU": "9"})
    env = plan_for(claim, base_env=BASE, slot=1, output_path="/o", share=share).env
    assert (env["CUDA_VISIBLE_DEVICES"], env["QUEUECTL_GPU"]) == ("9", "3")
