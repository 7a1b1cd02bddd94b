"""`enqueue … ::: …`, other jobs before it, and dry runs: the commands, on a store in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from queuectl.commands import GRAMMAR
from queuectl.commands.progress import Progress
from queuectl.render import Look, render
from tests.support.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from queuectl.commands.result import Result


def argv(session: Session, *words: str) -> Result:
    """Run what a command line says whose words a shell has taken apart."""
    invocation = GRAMMAR.parse_argv(words)
    answer: Result = invocation.command.load()(session.ctx, invocation.args)
    return answer


def shown(result: Result) -> bytes:
    """Return what goes to standard output."""
    return b"".join(data for to, data in render(result, Look()) if to == 1)


def commands(session: Session) -> list[str]:
    """Return the command lines of all jobs."""
    return [job["command"] for job in session.json("list")]


@pytest.fixture
def files(session: Session, tmp_path: Path) -> Session:
    """Return a session in a directory with some names in it."""
    for name in ("a.jpg", "b c.jpg", "it's.jpg", "new\nline.jpg", ".hidden.jpg", "x.txt"):
        (tmp_path / name).write_text("1\n2 3\n")
    return session


def test_files_are_found_where_the_session_is(files: Session) -> None:
    """In order of name, quoted for the shell that will read them; hidden ones are not taken."""
    assert (
        files.text("enqueue convert {} {.}.png ::: *.jpg")
        == "jobs 1-4 enqueued: convert {} {.}.png\n"
    )
    assert commands(files) == [
        "convert a.jpg a.png",
        "convert 'b c.jpg' 'b c'.png",
        "convert 'it'\"'\"'s.jpg' 'it'\"'\"'s'.png",
        "convert 'new\nline.jpg' 'new\nline'.png",
    ]
    assert files.ctx.last_id == 4


def test_what_is_quoted_is_no_pattern_of_files(files: Session) -> None:
    """And braces count."""
    files.result("enqueue echo {} ::: '*.jpg' {1..2} a{x,y}")
    assert commands(files) == ["echo '*.jpg'", "echo 1", "echo 2", "echo ax", "echo ay"]


def test_a_command_line_has_expanded_them_already(files: Session) -> None:
    """One word is a line for a shell, several are an argv, filled in plainly."""
    argv(files, "enqueue", "cp", "{}", "d/{/.}.bak", ":::", "b c.jpg", "*")
    argv(files, "enqueue", "cp {} x", ":::", "b c.jpg")
    argv(files, "enqueue", "--no-shell", "cp {} x", ":::", "b c.jpg")
    assert [(files.job(number).command, files.job(number).args, files.job(number).shell) for number in (1, 2, 3, 4)] == [
        ("cp", ("b c.jpg", "d/b c.bak"), False), ("cp", ("*", "d/*.bak"), False),
        ("cp 'b c.jpg' x", None, True), ("cp", ("b c.jpg", "x"), False),
    ]  # fmt: skip


def test_arguments_come_from_files(files: Session) -> None:
    """A line each; several files are several sources."""
    files.result("enqueue echo {} :::: x.txt")
    files.result("enqueue echo {1}-{2} :::: x.txt a.jpg")
    files.result("enqueue echo {} ::: a b ::::+ x.txt")
    assert commands(files) == [
        "echo 1", "echo '2 3'", "echo 1-1", "echo 1-'2 3'", "echo '2 3'-1", "echo '2 3'-'2 3'", "echo a 1", "echo b '2 3'",
    ]  # fmt: skip


def test_arguments_come_on_standard_input(tmp_path: Path) -> None:
    """Where it is free."""
    out, into = os.pipe()
    with os.fdopen(out, "rb") as pipe:
        session = Session(tmp_path, stdin=pipe)
        os.write(into, b"a b\n\xff\n")
        os.close(into)
        session.result("enqueue echo :::: -")
        assert session.job(1).command == "echo 'a b'"
        assert os.fsencode(session.job(2).command) == b"echo '\xff'"
    session.ctx.close()


def test_flags_are_those_of_every_job(files: Session) -> None:
    """Queue, policy and all; the answer says so."""
    said = files.text("enqueue --priority 3 --timeout 1m --quiet echo ::: a b")
    assert said == "1\n2\n"
    assert files.job(2).priority == 3
    assert files.job(2).policy["timeout"] == "1m"
    said = files.text("enqueue --priority 3 --unique auto echo ::: a b a")
    assert said == "jobs 3-4 enqueued: echo  (priority 3)\n"
    result = files.result("enqueue --unique auto echo ::: a c")
    assert result.data == {"enqueued": 1, "ids": [5], "existing": 1, "existing_ids": [3]}
    assert "1 job is the same as one that is not finished (job 3): not enqueued" in result.notes
    assert files.text("enqueue --unique auto echo ::: a c") == "nothing enqueued\n"


def test_jobs_of_a_pattern_have_names(files: Session) -> None:
    """With places in them, or by their numbers; all or none, where one is taken."""
    said = files.text("enqueue --name 'sw-{1}' echo {} ::: a b")
    assert said == "jobs 1-2 enqueued: echo {}  (name sw-{1})\n"
    assert "name n-{#}" in files.text("enqueue --name n echo {} ::: a b")
    assert "name {1}_{2}" in files.text("enqueue --name {1}_{2} ./sim {1} ::: c d ::: e")
    names = [files.job(number).name for number in range(1, 7)]
    assert names == ["sw-a", "sw-b", "n-1", "n-2", "c_e", "d_e"]
    code, said = files.refused("enqueue --name sw-{} echo {} ::: c b d")
    assert (code, said) == (1, "the name 'sw-b' is taken by job 2, which is not finished")
    assert files.store.id_of_name("sw-c") is None
    (dry,) = list(files.result("enqueue --dry-run --name sw-{.} echo {} ::: b.txt").data)  # type: ignore[call-overload]
    assert dry["name"] == "sw-b"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("enqueue echo ::: *.nope", 1, "no file matches *.nope"),
        ("enqueue echo :::: nope", 2, ":::: nope: No such file"),
        ("enqueue echo :::: -", 2, "standard input is not free"),
        (
            "enqueue --name n-{1} echo ::: a b a",
            2,
            "two jobs would have the name n-a: add another place, --name 'n-{1}-{#}'",
        ),
        ("enqueue --name n-{2} echo ::: a", 2, "only one source"),
        ("enqueue --name n-{} echo ::: 'a b'", 2, "'n-a b' is not a name"),
        ("enqueue --array 1-2 echo ::: a", 2, "exclude each other"),
        ("enqueue --keep-going echo ::: a", 2, "--keep-going is for many lines"),
        ("enqueue echo {2} ::: a", 2, "only one source"),
        ("enqueue echo :::", 2, "nothing stands behind `:::`: it takes"),
        ("enqueue --queue nope echo ::: a", 3, "no queue"),
        ("enqueue echo ::: {1..4000} ::: {1..4000}", 2, "16,000,000 jobs"),
        ("enqueue --no-shell 'echo ::: a", 2, ""),
        ("enqueue --after 9 echo", 3, "no job 9"),
        ("enqueue --after all echo", 2, "give ids, ranges, names or `last`"),
        ("enqueue --after last echo", 3, "there is no last job"),
        ("enqueue --after 3- echo", 2, "give both ends"),
        ("enqueue --after 3-5 echo", 3, "there are no jobs 3-5"),
        ("enqueue --after nope echo", 3, "nope"),
        ("enqueue --unique '' echo", 2, "--unique"),
        ("enqueue --slots 0 echo", 2, "slots"),
        ("enqueue --need gpu echo", 2, "gpu"),
        ("enqueue --need gpu=1 --need gpu=2 echo", 2, "twice"),
    ],
)
def test_what_cannot_be_is_refused(files: Session, line: str, code: int, said: str) -> None:
    """With one line; nothing is enqueued."""
    status, message = files.refused(line)
    assert (status, said in message) == (code, True), message
    assert files.json("list") == []


def test_json_is_no_pattern(files: Session) -> None:
    """Whatever its strings hold; behind -- nothing is."""
    files.result('enqueue {"command": "echo ::: a"}')
    notes = files.notes("enqueue -- echo {} ::: a")
    files.result("enqueue 'echo ::: a'")
    assert commands(files) == ["echo ::: a", "echo {} ::: a", "echo ::: a"]
    assert any("behind -- ::: is the job's" in note for note in notes)
    files.result("enqueue {} ::: 'echo a' 'echo b'")
    assert commands(files)[3:] == ["echo a", "echo b"]


def test_a_dry_run_enqueues_nothing(files: Session, tmp_path: Path) -> None:
    """It prints each command as it would be run."""
    assert shown(files.result("enqueue --dry-run convert {} {.}.png ::: a.jpg 'b c.jpg'")) == (
        b"convert a.jpg a.png\nconvert 'b c.jpg' 'b c'.png\n"
    )
    assert shown(
        argv(files, "enqueue", "--dry-run", "cp", "{}", "x", ":::", "b c.jpg", "\udcff")
    ) == (b"cp 'b c.jpg' x\ncp '\xff' x\n")
    assert shown(files.result("enqueue --dry-run make && true")) == b"make && true\n"
    assert (
        shown(files.result("enqueue --dry-run --array 1-2 ./sim $QUEUECTL_INDEX"))
        == b"./sim $QUEUECTL_INDEX  # index 1\n./sim $QUEUECTL_INDEX  # index 2\n"
    )
    (tmp_path / "lines").write_text('echo 1\n{"command": "a", "args": ["b c"]}\n')
    assert shown(files.result("enqueue --dry-run --from lines")) == b"echo 1\na 'b c'\n"
    assert files.result("enqueue --dry-run true").data is not None
    assert files.json("list") == []


def test_what_a_job_waits_for_is_said(files: Session) -> None:
    """Ids, ranges, names and the last job; each once."""
    files.result("enqueue true")
    files.result("enqueue --name train true")
    files.result("enqueue true")
    said = files.text("enqueue --after 1,train,last --after 1-3 echo done")
    assert said == "job 4 enqueued: echo done  (waits until 1, 2, 3 have completed)\n"
    assert files.job(4).unmet == 3
    said = files.text("enqueue --after 1 --after-any 2 --after-failed 3 --keep-waiting echo")
    assert "waits until 1 has completed and 2 has ended and 3 is dead" in said
    assert files.job(5).policy["unmet"] == "keep"
    files.ends(0)
    assert files.text("enqueue --after 1 echo") == "job 6 enqueued: echo\n"


def test_a_job_that_can_never_run_says_so(files: Session) -> None:
    """It is cancelled as soon as it is there."""
    files.result("enqueue --max-retries 0 false")
    files.ends(1)
    result = files.result("enqueue --after 1 echo")
    assert files.job(2).state == "cancelled"
    assert any(note.startswith("job 2 is cancelled: ") for note in result.notes)


def test_the_same_job_is_not_enqueued_twice(files: Session) -> None:
    """By a key, or by what it is."""
    assert files.text("enqueue --unique k sleep 1").startswith("job 1 enqueued")
    assert (
        files.text("enqueue --unique k sleep 2")
        == "job 1 is the same and not finished: nothing enqueued\n"
    )
    assert files.text("enqueue --unique k --quiet sleep 2") == "1\n"
    assert files.result("enqueue --unique k sleep 2").data == {
        "id": 1, "name": None, "queue": "default", "existing": True,
    }  # fmt: skip
    assert files.text("enqueue --quiet --unique auto a b") == "2\n"
    assert files.text("enqueue --quiet --unique auto a b") == "2\n"
    assert files.text("enqueue --quiet --unique auto --no-shell a b") == "3\n"
    assert files.text("enqueue --quiet --unique auto a 'b'") == "4\n"
    files.result("cancel 1")
    assert files.text("enqueue --unique k --quiet sleep 2") == "5\n"


def test_many_lines_may_each_be_unique(files: Session, tmp_path: Path) -> None:
    """What is there already is counted apart."""
    (tmp_path / "lines").write_text("a\nb\na\nc\n")
    result = files.result("enqueue --unique auto --from lines")
    assert result.data == {
        "enqueued": 3,
        "ids": [1, 2, 3],
        "existing": 1,
        "existing_ids": [1],
        "problems": [],
        "bad_lines": 0,
    }
    assert files.text("enqueue --quiet --unique auto --from lines") == ""


def test_needs_are_said(files: Session) -> None:
    """Slots and amounts."""
    said = files.text("enqueue --slots 2 --need gpu=1,mem=8G --need disk=1 ./train")
    assert said == "job 1 enqueued: ./train  (needs disk=1,gpu=1,mem=8G,slots=2)\n"
    assert files.job(1).needs == {"gpu": 1, "mem": 8 * 1024**3, "disk": 1, "slots": 2}
    files.result("edit 1 --need gpu=2")
    assert files.job(1).needs == {"gpu": 2, "mem": 8 * 1024**3, "disk": 1, "slots": 2}


def test_what_a_job_asks_can_be_edited(files: Session) -> None:
    """While it waits."""
    files.result("enqueue a")
    files.result("enqueue b")
    files.result("edit 2 --after 1 --unique k")
    assert [one.on for one in files.store.dependencies(2)] == [1]
    assert files.job(2).unique == "k"
    assert files.refused("edit 2 --unique auto")[0] == 2
    assert files.refused("edit 1 --after 2")[0] == 2
    assert files.refused("edit 1 --unique k")[0] == 1


def test_a_script_sees_the_jobs_of_its_own_lines(tmp_path: Path) -> None:
    """Though lines are added in groups."""
    from queuectl.script import Line, Script

    session = Session(tmp_path)
    lines = [
        "enqueue a",
        "enqueue --after last b",
        "enqueue --after 2 c",
        'enqueue {"command": "d", "after": ["last"]}',
    ]
    errors: list[object] = []
    script = Script(session.ctx, lambda *_: None, lambda error, *_: errors.append(error))
    code = script.run(
        Line(number, line, number < len(lines)) for number, line in enumerate(lines, 1)
    )
    assert (code, errors) == (0, [])
    assert [[d.on for d in session.store.dependencies(number)] for number in (2, 3, 4)] == [
        [1],
        [2],
        [3],
    ]
    session.ctx.close()


def test_progress_tells_how_much_is_left() -> None:
    """When it has seen enough to guess; nothing when all is done."""
    now = [10.0]
    progress = Progress(lambda: now[0])
    assert progress.line(0, 1000) == "[--------------------] 0 of about 1,000 jobs"
    assert progress.line(10, 1000) is None
    now[0] += 2
    assert progress.line(250, 1000) == "[#####---------------] 250 of about 1,000 jobs, 6.0s left"
    now[0] += 1
    assert progress.line(300, 0) == "300 jobs"
    assert progress.line(1000, 1000) == ""
    assert progress.line(5, 10) == "[##########----------] 5 of about 10 jobs"
