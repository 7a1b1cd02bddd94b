"""What is offered where."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from queuectl.commands import GRAMMAR
from queuectl.shell.bindings import complete
from queuectl.shell.completer import ShellCompleter
from tests.shell.known import something_known

if TYPE_CHECKING:
    from pathlib import Path

    from prompt_toolkit.completion import Completion

TYPED, ASKED = CompleteEvent(text_inserted=True), CompleteEvent(completion_requested=True)


def completions(line: str, event: CompleteEvent = TYPED, directory: str = "/") -> list[Completion]:
    completer = ShellCompleter(GRAMMAR, something_known(), lambda: directory)
    return list(completer.get_completions(Document(line), event))


def offered(line: str, event: CompleteEvent = TYPED, directory: str = "/") -> list[str]:
    """Return the words in the menu at the end of a line."""
    return [completion.text for completion in completions(line, event, directory)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("statu", ["status"]),
        ("schedule pause ", ["nightly", "beat"]),
        ("schedule add n @daily --tz UT", ["UTC"]),
        ("schedule add n @daily --overlap ", ["skip", "queue"]),
        ("schedule add n @h", ["@hourly"]),
        ("schedule add n e", ["every"]),
        ("schedule add n every ", ["10m", "1h", "1d"]),
        ("schedule add n @daily ", []),
        ("enqueue --unique a", ["auto"]),
        ("enqueue --need ", ["gpu=", "mem="]),
        ("enqueue --need gpu=1,m", ["mem="]),
        ("status", []),
        ("wor", ["worker"]),
        ("worker ", ["start", "stop", "list"]),
        ("worker st", ["start", "stop"]),
        ("dlq r", ["retry"]),
        ("ki", ["kill"]),
        ("nonsense ", []),
        ("list --state ", ["pending", "processing", "completed", "failed", "dead", "cancelled"]),
        ("list --state fa", ["failed"]),
        ("list --state=fa", ["failed"]),
        ("list --state failed,de", ["dead"]),
        ("enqueue --queue g", ["gpu"]),
        ("queue pause ", ["default", "gpu"]),
        ("set max-", ["max-retries"]),
        ("set max-retries ", ["7", "3"]),
        ("set shell /bin/b", ["/bin/bash"]),
        ("worker stop --host ", ["0123abcd", "all"]),
        ("help wo", ["worker"]),
        ("help worker sto", ["stop"]),
        ("signal US", ["USR1", "USR2"]),
        ("enqueue ", []),
        ("enqueue echo ", []),
        ("enqueue {", []),
        ("# comm", []),
    ],
)
def test_words_that_fit(line: str, words: list[str]) -> None:
    assert offered(line) == words


@pytest.mark.parametrize(
    ("line", "ids"),
    [
        ("cancel ", ["3", "5", "12", "11"]),
        ("cancel 1", ["12", "11"]),
        ("cancel 12 1", ["11"]),
        ("cancel 12,1", ["11"]),
        ("retry ", ["5", "4", "1"]),
        ("dlq retry ", ["4"]),
        ("output ", ["3", "5", "4", "1"]),
        ("remove ", ["5", "12", "11", "4", "1"]),
        ("status ", ["3", "5", "12", "11", "4", "1"]),
        ("kill ", ["3", "5", "12", "11"]),
        ("cancel ni", ["nightly"]),
        ("retry la", ["last"]),
        ("retry de", ["dead"]),
        ("output al", []),
    ],
)
def test_jobs_that_the_verb_can_act_on(line: str, ids: list[str]) -> None:
    assert offered(line) == ids


def test_flags_come_with_a_hyphen_and_not_twice() -> None:
    flags = offered("enqueue --")
    assert "--priority" in flags
    assert "--json" in flags
    assert "--priority" not in offered("enqueue --priority 2 --")
    # one that may be repeated is offered again
    assert "--env" in offered("enqueue --env A=1 --")
    assert offered("cancel --n") == ["--now", "--name"]


def test_flags_are_also_shown_when_somebody_asks() -> None:
    assert "--timeout" in offered("enqueue ", ASKED)
    assert "--timeout" not in offered("enqueue ")


def test_a_remark_shows_state_and_command_without_control_characters() -> None:
    (job,) = [one for one in completions("cancel ") if one.text == "5"]
    assert job.display_text == "5 nightly"
    assert job.display_meta_text == "failed  make\\x1b[2J all"


def test_files(tmp_path: Path) -> None:
    (tmp_path / "input one.wav").touch()
    (tmp_path / "inside").mkdir()
    (tmp_path / ".hidden").touch()
    (tmp_path / "bad\x1b[2J").touch()
    here = str(tmp_path)
    assert offered("enqueue --stdin in", directory=here) == ["input\\ one.wav", "inside/"]
    assert offered("enqueue --cwd in", directory=here) == ["inside/"]
    assert offered("cd ", directory=here) == ["inside/"]
    assert offered("enqueue ffmpeg -i inp", directory=here) == ["input\\ one.wav"]
    assert offered("enqueue ffmpeg -i 'inp", directory=here) == ["'input one.wav"]
    assert offered('enqueue cat "inp', directory=here) == ['"input one.wav']
    assert offered(f"enqueue cat {here}/ins", directory="/") == [f"{here}/inside/"]
    assert offered("!ls .h", directory=here) == [".hidden"]
    assert offered("enqueue cat b", directory=here) == []
    # a program is no file of the directory unless it says so
    assert offered("enqueue in", directory=here) == []
    assert offered("enqueue ./in", directory=here) == ["./input\\ one.wav", "./inside/"]
    assert offered('enqueue {"command": "in', directory=here) == []


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("enq", "enqueue "), ("status", "status "), ("worker sta", "worker start "), ("wor", "worker "),
        ("enqueue --max-r", "enqueue --max-retries "), ("set max-r", "set max-retries "),
        ("retry la", "retry last "), ("cancel 12,1", "cancel 12,11"), ("cancel ni", "cancel nightly "),
        ("list --state fa", "list --state failed"), ("list --state=fa", "list --state=failed"),
        ("enqueue --queue g", "enqueue --queue gpu "), ("enqueue --queue=g", "enqueue --queue=gpu "),
        ("enqueue --need gpu=1,m", "enqueue --need gpu=1,mem="), ("schedule add n @h", "schedule add n @hourly "),
        ("cd ins", "cd inside/"), ("cd 'ins", "cd 'inside/"), ("enqueue cat inp", "enqueue cat input\\ one.wav "),
        ("enqueue cat 'inp", "enqueue cat 'input one.wav' "), ("worker st", "worker st"), ("nonsense", "nonsense"),
        ("enqueue --queue gpu", "enqueue --queue gpu "), ("retry 7", "retry 7"), ("queue", "queue "),
    ],
)  # fmt: skip
def test_what_is_complete_has_a_blank_behind_it(tmp_path: Path, line: str, after: str) -> None:
    """Where no more can follow; typed whole as well."""
    (tmp_path / "input one.wav").touch()
    (tmp_path / "inside").mkdir()
    completer = ShellCompleter(GRAMMAR, something_known(), lambda: str(tmp_path))
    buffer = Buffer(document=Document(line), completer=completer)

    async def press() -> str:
        complete(buffer, completer)
        return buffer.text

    assert asyncio.run(press()) == after


def test_within_a_line_no_blank_is_put_in(tmp_path: Path) -> None:
    """There is one already, or the word is not at its end."""
    completer = ShellCompleter(GRAMMAR, something_known(), lambda: str(tmp_path))
    buffer = Buffer(document=Document("enq sleep 3", 3), completer=completer)
    complete(buffer, completer)
    assert buffer.text == "enqueue sleep 3"


def test_a_directory_that_cannot_be_read_offers_nothing(tmp_path: Path) -> None:
    assert offered("cd ", directory=str(tmp_path / "none")) == []
    assert offered("enqueue cat a\0b/", directory=str(tmp_path)) == []


def test_while_typing_files_are_looked_up_off_the_loop(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    completer = ShellCompleter(GRAMMAR, something_known(), lambda: str(tmp_path))

    async def collect(line: str) -> list[str]:
        return [one.text async for one in completer.get_completions_async(Document(line), TYPED)]

    assert asyncio.run(collect("cd f")) == ["folder/"]
    assert asyncio.run(collect("cancel 3")) == []
    assert asyncio.run(collect("dlq ")) == ["list", "retry", "purge"]


def test_only_the_word_under_the_cursor_is_replaced() -> None:
    (only,) = completions("list --state failed,de")
    assert only.start_position == -len("de")
