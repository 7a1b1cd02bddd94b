"""Queues, their messages, and arrays: the commands, on a store in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from queuectl.commands.arrays import MOST, Indices, parse_array
from queuectl.commands.context import Screen
from queuectl.commands.queues import format_rate, parse_rate
from queuectl.errors import BadValue, UsageError
from queuectl.store.base import Rate
from tests.support.session import Session

if TYPE_CHECKING:
    from pathlib import Path

CREATE = (
    "queue create thumbs --command './thumb.sh {}' --limit 4 --max-retries 2 --timeout 1m --priority 5"
    " --rate 10/m --halt-on 3"
)


@pytest.fixture
def thumbs(session: Session) -> Session:
    """Return a session with a queue that has a command."""
    session.result(CREATE)
    return session


def test_a_queue_is_created_with_all_it_says(thumbs: Session) -> None:
    """Columns and settings."""
    (info,) = [queue for queue in thumbs.store.queues() if queue.name == "thumbs"]
    assert (info.limit, info.rate, info.pull) == (4, Rate(10, 60_000), False)
    assert thumbs.store.settings("thumbs") == {
        "command": "./thumb.sh {}", "max-retries": "2", "timeout": "1m", "priority": "5", "halt-on": "3",
    }  # fmt: skip
    (data,) = [queue for queue in thumbs.json("queue list") if queue["queue"] == "thumbs"]
    assert data["limit"] == 4
    assert data["rate"] == "10/m"
    assert data["command"] == "./thumb.sh {}"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("queue create q --command 'echo \"x'", 2, "no closing quotation"),
        ("queue create q --command ''", 2, "--command"),
        ("queue create q --limit 0", 2, "--limit: '0' is not a whole number from 1 up"),
        ("queue create q --limit x", 2, "--limit"),
        ("queue create q --rate 10", 2, "a rate such as 10/m"),
        ("queue create q --rate 0/m", 2, "a rate"),
        ("queue create q --rate 10/0s", 2, "a rate"),
        ("queue create q --timeout soon", 2, "timeout"),
        ("queue create q --max-retries -1", 2, "max-retries"),
        ("queue create q --priority high", 2, "priority"),
        ("queue create q --halt-on x", 2, "halt-on"),
        ("queue create q --shell", 2, "give --command too"),
        ("queue create q --accept-messages", 2, "give --command too"),
        ("queue create q --cwd /tmp", 2, "give --command too"),
        ("queue create thumbs --limit 2", 1, "`queue set thumbs …` changes it"),
        ("queue set thumb --limit 2", 3, "did you mean thumbs?"),
        ("queue set thumbs --limit 2 --rate x", 2, "a rate"),
        ("queue set thumbs --command 'a \"'", 2, "no closing quotation"),
        ("queue set thumbs --shell --no-shell", 2, "exclude each other"),
        ("queue remove default", 1, "default"),
        ("queue remove nope", 3, "no queue"),
        ("queue resume nope", 3, "no queue"),
        ("queue peek nope", 3, "no queue"),
        ("submit nope x", 3, "no queue"),
        ("submit default x", 1, "queue set default --command"),
        ("submit thumbs", 2, "submit what?"),
        ("submit thumbs a & b", 2, "put it in quotes"),
        ("submit thumbs a 'b", 2, "is not closed"),
        ("submit --from x thumbs y", 2, "not both"),
        ("submit --name n thumbs a b", 2, "--name is for one message"),
        ("submit thumbs c --priority 5", 2, "--priority behind a message would be one, too: flags come before the messages"),
        ("submit thumbs c --priority=5", 2, "--priority=5 behind a message"),
        ("submit thumbs c -p 5", 2, "put -- in front of them"),
        ("submit thumbs c --json", 2, "--json behind a message"),
        ("submit thumbs c --store x", 2, "--store behind a message"),
        ("submit --unique k thumbs a b", 2, "for one message"),
        ("set command x", 2, "add --queue NAME"),
        ("set priority 3", 2, "add --queue NAME"),
        ("set limit 3", 2, "queue set NAME --limit"),
        ("set command 'a \"' --queue thumbs", 2, "no closing quotation"),
        ("set on-idle x --queue thumbs", 2, "cannot be set for a queue"),
        ("worker start --queue thumbs,nope", 3, "no queue 'nope'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(thumbs: Session, line: str, code: int, said: str) -> None:
    """With one line that says why; nothing changes."""
    before = thumbs.json("queue list")
    status, message = thumbs.refused(line)
    assert (status, said in message) == (code, True), message
    assert thumbs.json("queue list") == before
    assert thumbs.json("list") == []


def test_a_queue_is_changed(thumbs: Session) -> None:
    """`none` takes back; what is not named stays."""
    said = thumbs.text(
        "queue set thumbs --limit none --timeout none --rate 2/10s --pull --priority -1"
    )
    assert said == (
        "queue thumbs: no limit, rate 2/10s, only for whoever asks for it by name, priority -1, timeout 0s\n"
    )
    (info,) = [queue for queue in thumbs.store.queues() if queue.name == "thumbs"]
    assert (info.limit, info.rate, info.pull) == (None, Rate(2, 10_000), True)
    assert thumbs.store.settings("thumbs") == {
        "command": "./thumb.sh {}", "max-retries": "2", "priority": "-1", "halt-on": "3",
    }  # fmt: skip
    thumbs.result("queue set thumbs --no-pull --command 'x \"$1\"' --shell")
    assert thumbs.store.settings("thumbs")["command-shell"] == "on"
    thumbs.result("queue set thumbs --no-shell")
    assert "command-shell" not in thumbs.store.settings("thumbs")
    assert 'command  x "$1"' in thumbs.text("queue set thumbs")


def test_settings_of_a_queue_are_made_with_set_too(thumbs: Session) -> None:
    """With --queue, and shown there only."""
    thumbs.result("set priority 9 --queue thumbs")
    assert thumbs.store.settings("thumbs")["priority"] == "9"
    assert "accept-messages" not in thumbs.text("set")
    assert "./thumb.sh {}" in thumbs.text("set --queue thumbs")


def test_messages_are_jobs_of_the_queue(thumbs: Session) -> None:
    """Each one argument, whatever is in it; the queue says the rest."""
    assert thumbs.text("submit thumbs a.jpg 'b c.jpg' '*' \"it's\" '$x' #5 -x") == (
        "jobs 1-7 enqueued in queue thumbs\n"
    )
    messages = ["a.jpg", "b c.jpg", "*", "it's", "$x", "#5", "-x"]
    jobs = [thumbs.job(number) for number in range(1, 8)]
    assert [job.message for job in jobs] == messages
    assert [(job.command, job.args, job.shell) for job in jobs] == [
        ("./thumb.sh", (message,), False) for message in messages
    ]
    assert {(job.queue, job.priority, job.max_retries, job.policy["timeout"]) for job in jobs} == {
        ("thumbs", 5, 2, "1m")
    }
    assert jobs[0].cwd == thumbs.ctx.cwd
    assert jobs[0].env["PATH"]


def test_what_looks_like_a_flag_can_be_a_message(thumbs: Session) -> None:
    """Behind --, or from a file; what is no flag of submit is one anyway."""
    thumbs.result("submit thumbs -- a --priority 5")
    thumbs.result("submit thumbs c --quality")
    assert [thumbs.job(number).message for number in range(1, 6)] == [
        "a", "--priority", "5", "c", "--quality",
    ]  # fmt: skip


def test_one_message_is_answered_like_one_job(thumbs: Session) -> None:
    """And may have a name, a key and a time."""
    said = thumbs.text("submit --name one --priority 1 --delay 1h --unique k thumbs 'b c'")
    assert said.startswith(
        "job 1 enqueued: ./thumb.sh 'b c'  (no shell, name one, queue thumbs, priority 1"
    )
    assert thumbs.text("submit --unique k thumbs x") == (
        "job 1 is the same and not finished: nothing enqueued\n"
    )
    assert thumbs.text("submit --quiet thumbs x") == "2\n"
    assert thumbs.text("submit --quiet --unique auto thumbs x y x") == "3\n4\n"
    assert thumbs.result("submit --unique auto thumbs x y z").data == {
        "queue": "thumbs", "enqueued": 1, "ids": [5], "existing": 2, "existing_ids": [3, 4],
    }  # fmt: skip
    assert thumbs.ctx.last_id == 5


def test_a_queue_with_a_directory_runs_there(session: Session, tmp_path: Path) -> None:
    """Wherever its messages come from."""
    session.result("queue create q --command 'ls' --cwd sub/../there")
    session.result("submit q x")
    assert session.job(1).cwd == str(tmp_path / "there")


def test_messages_come_in_lines(thumbs: Session, tmp_path: Path) -> None:
    """Byte for byte; a line without anything is none."""
    data = b"a b\n\n#x\n  y \n\xff'\"\n*\r\nlast"
    (tmp_path / "lines").write_bytes(data)
    assert thumbs.text("submit thumbs --from lines") == "jobs 1-6 enqueued in queue thumbs\n"
    found = [os.fsencode(thumbs.job(number).message or "") for number in range(1, 7)]
    assert found == [b"a b", b"#x", b"  y ", b"\xff'\"", b"*\r", b"last"]


def test_messages_come_on_standard_input(tmp_path: Path) -> None:
    """Many, in a pipe; all of them or none."""
    out, into = os.pipe()
    with os.fdopen(out, "rb") as pipe:
        session = Session(tmp_path, stdin=pipe)
        session.result("queue create q --command ls")
        os.write(into, b"".join(b"m %d\n" % number for number in range(5000)))
        os.close(into)
        assert session.text("submit q -") == "jobs 1-5000 enqueued in queue q\n"
        assert session.job(5000).args == ("m 4999",)
    (tmp_path / "bad").write_bytes(b"good\nba\0d\n")
    code, said = session.refused("submit q --from bad")
    assert code == 2
    assert said.startswith("line 2: message: ")
    assert session.store.counts()["pending"] == 5000
    session.ctx.close()


def test_peek_shows_a_line_for_each(thumbs: Session, tmp_path: Path) -> None:
    """Of what waits; a newline in it does not make two."""
    (tmp_path / "lines").write_bytes(b"\xffa  b\tc\n")
    thumbs.result("submit thumbs --from lines")
    thumbs.result("submit thumbs 'x\ny'")
    thumbs.result("enqueue --queue thumbs echo hello && true")
    thumbs.result("enqueue --queue thumbs --no-shell printf 'a b'")
    thumbs.result("enqueue true")
    (block,) = thumbs.result("queue peek thumbs").blocks
    data = b"".join(piece for _, piece in block.pieces)  # type: ignore[union-attr]
    assert data == b"\xffa  b\tc\nx\\ny\necho hello && true\nprintf 'a b'\n"
    assert thumbs.json("queue peek thumbs --limit 1") == [
        {
            "id": 1,
            "state": "pending",
            "message": "\udcffa  b\tc",
            "command": "./thumb.sh '\udcffa  b\tc'",
        }
    ]


def test_a_terminal_is_shown_no_control_characters(tmp_path: Path) -> None:
    """And a page of what waits, not all."""
    session = Session(tmp_path, screen=Screen(terminal=True, width=80, height=24))
    session.result("queue create q --command ls")
    session.result("submit q 'a\x1b[31m'")
    assert session.text("queue peek q") == "a\\x1b[31m\n"
    session.result("submit q " + " ".join(f"m{number}" for number in range(60)))
    result = session.result("queue peek q")
    assert len(session.text("queue peek q").splitlines()) == 50
    assert list(result.notes) == ["11 more wait: queue peek q --limit N shows them"]
    session.ctx.close()


def test_a_paused_queue_says_so_once(thumbs: Session) -> None:
    """In place of any other remark about who would run it."""
    thumbs.result("queue pause thumbs")
    assert thumbs.notes("submit thumbs x")[-1] == (
        "queue thumbs is paused: it waits until `queue resume thumbs`"
    )
    assert thumbs.notes("submit thumbs x y") == []
    thumbs.result("queue resume thumbs")
    assert thumbs.text("queue list").splitlines()[-1].split()[:4] == ["thumbs", "open", "3", "0/4"]


def test_a_queue_that_paused_itself_says_why(session: Session) -> None:
    """After as many deaths as it was told."""
    session.result("queue create q --halt-on 2 --max-retries 0")
    for _ in range(3):
        session.result("enqueue --queue q false")
    session.ends(1)
    session.ends(1)
    assert session.store.claim("host0", 1) == []
    assert "halt-on 2" in session.text("queue list").splitlines()[-1]
    assert "halt-on 2" in session.text("queue set q").splitlines()[0]
    session.result("queue resume q")
    assert "halt-on" not in session.text("queue list").splitlines()[-1]


def test_peek_says_when_nothing_waits(tmp_path: Path) -> None:
    """To people; a program reads no lines."""
    session = Session(tmp_path, screen=Screen(terminal=True, width=80, height=24))
    session.result("queue create q")
    result = session.result("queue peek q")
    assert (list(result.blocks), list(result.notes)) == ([], ["nothing waits in queue q"])
    session.ctx.screen = Screen()
    assert (session.text("queue peek q"), session.notes("queue peek q")) == ("", [])
    assert session.json("queue peek q") == []


def test_an_empty_queue_is_removed(thumbs: Session) -> None:
    """One with jobs is not."""
    thumbs.result("submit thumbs x")
    assert thumbs.refused("queue remove thumbs")[0] == 1
    thumbs.result("remove 1")
    assert thumbs.text("queue remove thumbs") == "queue thumbs removed\n"
    thumbs.result("queue create thumbs")
    assert thumbs.store.settings("thumbs") == {}


def test_the_list_shows_how_long_the_oldest_waits(thumbs: Session) -> None:
    """Of what could run: what is not due, on hold or waits for another job does not count."""
    thumbs.result("submit thumbs --delay 1h x")
    thumbs.result("enqueue -q thumbs --paused true")
    thumbs.result("enqueue -q thumbs --after 1 true")
    rows = {queue["queue"]: queue for queue in thumbs.json("queue list")}
    assert rows["thumbs"]["waiting"] == 3
    assert rows["thumbs"]["oldest_wait_ms"] is None
    assert rows["default"]["oldest_wait_ms"] is None
    thumbs.result("submit thumbs x")
    (row,) = [row for row in thumbs.json("queue list") if row["queue"] == "thumbs"]
    assert 0 <= row["oldest_wait_ms"] < 60_000


@pytest.mark.parametrize(
    ("text", "rate", "shown"),
    [
        ("10/m", Rate(10, 60_000), "10/m"), ("5/s", Rate(5, 1000), "5/s"), ("3/10s", Rate(3, 10_000), "3/10s"),
        ("1/1h30m", Rate(1, 5_400_000), "1/1h30m"), ("100 / d", Rate(100, 86_400_000), "100/d"),
        ("2/500ms", Rate(2, 500), "2/500ms"), ("1/15s", Rate(1, 15_000), "1/15s"),
    ],
)  # fmt: skip
def test_rates_are_read_and_shown(text: str, rate: Rate, shown: str) -> None:
    """And read again."""
    assert parse_rate(text) == rate
    assert format_rate(rate) == shown
    assert parse_rate(shown) == rate


@pytest.mark.parametrize(
    "text", ["", "/", "10", "/m", "-1/m", "1.5/m", "1/x", "1e3/m", "²/m", "1/m/s"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(BadValue, match="a rate such as"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "numbers", "limit"),
    [
        ("0-3", (0, 1, 2, 3), None), ("1,3,7-9", (1, 3, 7, 8, 9), None), ("0-20:5", (0, 5, 10, 15, 20), None),
        ("0-9:3%2", (0, 3, 6, 9), 2), ("5", (5,), None), ("2,1%1", (2, 1), 1),
    ],
)  # fmt: skip
def test_indices_are_read(text: str, numbers: tuple[int, ...], limit: int | None) -> None:
    """Ranges, lists, steps and how many at once."""
    assert parse_array(text) == Indices(numbers, limit)


@pytest.mark.parametrize(
    "text", ["", "a", "3-", "-3", "5-3", "1,", "1:2", "1-9:0", "1-9:x", "1-9%0", "1-9%", "1-9%x", "1,1", "1-5,5", f"0-{MOST}", "0-99999999999"]
)  # fmt: skip
def test_what_are_no_indices_is_refused(text: str) -> None:
    """Also what is there twice, and too many."""
    with pytest.raises(UsageError):
        parse_array(text)


def test_an_array_is_enqueued(session: Session) -> None:
    """One job for each index, all with the id of the first."""
    session.result("enqueue true")
    said = session.text("enqueue --array 0-9:3%2 --priority 2 -- ./sim $QUEUECTL_INDEX")
    assert said == "array 2: jobs 2-5, at most 2 at once: ./sim $QUEUECTL_INDEX  (priority 2)\n"
    jobs = [session.job(number) for number in range(2, 6)]
    assert [(job.array_id, job.array_index) for job in jobs] == [(2, 0), (2, 3), (2, 6), (2, 9)]
    assert session.ctx.last_id == 5
    assert len(session.store.claim(session.with_host(9), 9)) == 3
    assert [job["id"] for job in session.json("list --array 2")] == [2, 3, 4, 5]
    assert session.text("status --array 2").splitlines()[0] == "array 2: 4 jobs, 4 pending"
    assert session.refused("status --array 1")[0] == 3
    session.result("cancel all --array 2 --yes")
    assert session.json("status --array 2")["counts"]["cancelled"] >= 2
    assert session.job(1).state == "pending"


def test_arrays_of_one_argv_and_of_json(session: Session) -> None:
    """Anything one job can be."""
    assert session.result('enqueue --array 1-2 {"command": "a", "args": ["b"]}').data == {
        "array": 1, "limit": None, "queue": "default", "enqueued": 2, "ids": [1, 2],
    }  # fmt: skip
    assert session.text("enqueue --quiet --array 3 a") == "3\n"
    assert session.refused("enqueue --array 1-2 --name 3 a")[0] == 2
    assert session.refused("enqueue --array 1-2")[0] == 2
    assert session.refused("enqueue --array 1-2 --from x")[0] == 2


def test_a_second_array_of_the_same_key_is_none(session: Session) -> None:
    """While the first is not finished."""
    session.result("enqueue --array 1-3 --unique k a")
    assert session.text("enqueue --array 1-3 --unique k a") == "nothing enqueued\n"
    assert session.text("enqueue --quiet --array 2-4 --unique k a") == "4\n"
