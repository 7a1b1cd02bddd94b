"""Errors: one line each, an exit status each, and the nearest right word."""

from __future__ import annotations

import string
from typing import Any

import pytest

from queuectl import errors
from queuectl.commands import GRAMMAR
from queuectl.errors import BadValue, QueuectlError, UsageError, did_you_mean, nearest
from queuectl.otherwords import OTHER_WORDS


def kinds(base: type[QueuectlError] = QueuectlError) -> list[type[QueuectlError]]:
    """Return an error class and all below it that this package has."""
    found = [base]
    for child in base.__subclasses__():
        if child.__module__ == errors.__name__:
            found += kinds(child)
    return found


EVERY_KIND = kinds()


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: kind.__name__)
def test_a_docstring_is_the_message(kind: type[QueuectlError]) -> None:
    """On one line, with the facts in their places."""
    template = kind.__doc__ or ""
    names = [name for _, name, _, _ in string.Formatter().parse(template) if name]
    facts: dict[str, Any] = {name: 7 if name == "seconds" else f"<{name}>" for name in names}
    error = kind(**facts)
    assert error.message
    assert "\n" not in error.message
    assert "{" not in error.message
    for name in names:
        assert (f"<{name}>" in error.message) or name == "seconds"
    assert set(error.facts) == set(names)


@pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: kind.__name__)
def test_an_exit_status_is_one_of_those_documented(kind: type[QueuectlError]) -> None:
    """None of them is success."""
    assert kind.exit_status in (1, 2, 3, 4, 75, 130)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("QueuectlError", 1), ("Refused", 1), ("NameTaken", 1), ("UsageError", 2), ("BadValue", 2),
        ("NotFound", 3), ("NoSuchJob", 3), ("NoSuchQueue", 3),
        ("StoreUnavailable", 75), ("StoreBusy", 75), ("StoreFull", 75), ("StoreCorrupt", 75),
        ("StoreTooNew", 75), ("Interrupted", 130),
    ],
)  # fmt: skip
def test_the_exit_statuses_never_change(name: str, status: int) -> None:
    """Scripts go by them."""
    assert getattr(errors, name).exit_status == status


def test_a_message_of_ones_own_is_taken_as_it_is() -> None:
    """Braces in it mean nothing."""
    assert QueuectlError("a {b} %s").message == "a {b} %s"
    assert BadValue(what="{x}", value="{y}", expected="z").message == "{x}: '{y}' is not z"


@pytest.mark.parametrize(
    ("word", "close"),
    [
        ("pendign", "pending"), ("complete", "completed"), ("pending", "pending"), ("xyz", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_nearest_word_is_found_or_none(word: str, close: str | None) -> None:
    """Only if it is near."""
    known = ("pending", "processing", "completed", "failed")
    assert nearest(word, known) == close
    assert did_you_mean(word, known) == (f"; did you mean {close}?" if close else "")


def test_nothing_is_near_to_nothing() -> None:
    """No words, no suggestion."""
    assert did_you_mean("x", []) == ""


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("sbatch run.sh", "enqueue"), ("squeue", "list"), ("scancel 3", "cancel"), ("srun ls", "enqueue"),
        ("sinfo", "worker list"), ("group", "queue"), ("parallel 4", "worker start"), ("stash 3", "pause"),
        ("switch 1 2", "move"), ("start", "worker start"), ("tree", "list --tree"), ("cron", "schedule add"),
        ("queues", "queue list"), ("show 3", "status"), ("queue add gpu", "create"), ("queue rm gpu", "remove"),
        ("queue show gpu", "set"), ("schedule delete x", "remove"), ("schedule edit x", "add --replace"),
        ("enqueue --group gpu ls", "--queue"), ("enqueue -g gpu ls", "--queue"), ("enqueue --label x ls", "--name"),
        ("enqueue --dependency=afterok:3 ls", "--after"), ("enqueue --gres=gpu:1 ls", "--need"),
        ("enqueue --mem 8G ls", "--need"), ("enqueue --cpus-per-task 4 ls", "--slots"),
        ("enqueue --begin 18:30 ls", "--at"), ("enqueue --hold ls", "--paused"),
        ("worker start --gpus 2", "--resource"), ("queue create x --parallel 2", "--limit"),
        ("schedule add x @daily --timezone UTC -- ls", "--tz"),
        ("enqueue --stash ls", "--paused"), ("enqueue --escape ls", "--no-shell"), ("enqueue -l a ls", "--name"),
        ("enqueue --immediate ls", "`move last --first` afterwards"), ("kill -s USR1 trap", "`signal NAME JOB`"),
        ("tail -n 2", "--tail"), ("log -n 2 trap", "--tail"), ("list -n 2", "--limit"),
        ("status --state pending", "`list --state`"),
        ("edit --state pending --priority 4", "the ids that `list --state` shows"),
    ],
)  # fmt: skip
def test_the_words_of_other_queues_lead_to_ours(line: str, meant: str) -> None:
    """Those of pueue, task-spooler, GNU parallel and Slurm: spelling alone leads astray."""
    with pytest.raises(UsageError) as caught:
        GRAMMAR.parse_line(line)
    assert f"did you mean {meant}?" in str(caught.value)


def test_what_they_lead_to_is_there() -> None:
    """Every target is a command or a flag of one."""
    words = {word for command in GRAMMAR.table for word in (*command.path, *command.aliases)}
    flags = {param.flag for command in GRAMMAR.table for param in command.flags}
    for targets in OTHER_WORDS.values():
        for target in targets:
            needed, colon, _ = target.partition(": ")
            known = words | flags
            assert all(word in known for word in (needed if colon else target).split()), target


def test_our_own_words_stay() -> None:
    """A word that is known is not replaced by another."""
    assert nearest("show", ["show", "status"]) == "show"


@pytest.mark.parametrize(
    ("line", "said"),
    [("ps -a", "ps: no flag -a"), ("kill -s 3", "kill: no flag -s"), ("worker start -x", "worker start: no flag -x"), ("ps --tree=1", "ps: --tree takes no value")],
)  # fmt: skip
def test_an_alias_is_named_as_it_was_typed(line: str, said: str) -> None:
    """Nobody has typed the other word."""
    with pytest.raises(UsageError) as caught:
        GRAMMAR.parse_line(line)
    assert str(caught.value).startswith(said)
