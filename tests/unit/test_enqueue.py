"""`enqueue`: what a job is, what is refused, what is remarked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.session import ENVIRON, Session

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "command", "args", "shell"),
    [
        ("enqueue sleep 5 && echo done", "sleep 5 && echo done", None, True),
        ("enqueue 'make && make test'", "make && make test", None, True),
        ("enqueue -- 'a' 'b'", "'a' 'b'", None, True),
        ("enqueue -- 3", "3", None, True),
        ('enqueue {"command": "echo", "args": ["a b"]}', "echo", ("a b",), False),
        ('enqueue {"command": "echo a", "args": []}', "echo a", None, True),
        ('enqueue \'{"command": "echo a"}\'', "echo a", None, True),
        ('enqueue {"command": "echo", "args": ["a"], "shell": true}', "echo", ("a",), True),
        ("enqueue --no-shell echo 'a b' $X", "echo", ("a b", "$X"), False),
    ],
)
def test_a_job_is_what_was_typed(
    session: Session, line: str, command: str, args: tuple[str, ...] | None, shell: bool
) -> None:
    """A line for a shell, or an argv without one."""
    session.result(line)
    job = session.job(1)
    assert (job.command, job.args, job.shell) == (command, args, shell)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("enqueue --priority 5 true", "priority", 5),
        ("enqueue --priority -5 true", "priority", -5),
        ("enqueue --max-retries 7 true", "max_retries", 7),
        ("enqueue --timeout 90 true", "policy", {"timeout": "1m30s"}),
        ("enqueue --merge true", "policy", {"merge": "on"}),
        ("enqueue --retry-on 75 true", "policy", {"retry-on": "75"}),
        ("enqueue --name train true", "name", "train"),
        ("enqueue --cwd /tmp/../tmp true", "cwd", "/tmp"),
        ("enqueue --paused true", "paused", True),
        ("enqueue --shell /bin/bash true", "policy", {"shell": "/bin/bash"}),
        ('enqueue {"command": "x", "priority": 5}', "priority", 5),
        ('enqueue {"command": "x", "max_retries": 0}', "max_retries", 0),
        ('enqueue {"command": "x", "timeout": "2m", "backoff_base": 1.5}', "policy",
         {"timeout": "2m", "backoff-base": "1.5"}),
        ('enqueue {"command": "x", "timeout": 0.5}', "policy", {"timeout": "500ms"}),
        ('enqueue {"command": "x", "id": "mine"}', "name", "mine"),
        ('enqueue {"command": "x", "shell": "/bin/bash"}', "policy", {"shell": "/bin/bash"}),
        ('enqueue --priority 1 {"command": "x", "priority": 2}', "priority", 2),
        ('enqueue --timeout 5 {"command": "x", "priority": 2}', "policy", {"timeout": "5s"}),
        ('enqueue {"command": "x", "cwd": "/tmp"}', "cwd", "/tmp"),
        ('enqueue {"command": "x", "merge": true}', "policy", {"merge": "on"}),
    ],
)  # fmt: skip
def test_flags_and_fields(session: Session, line: str, field: str, value: object) -> None:
    """A flag fills what the JSON lacks."""
    session.result(line)
    assert getattr(session.job(1), field) == value


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("", "command: missing"),
        ('"comand": "x"', "did you mean command by 'comand'?"),
        ('"command": ""', 'command: "" is not a command'),
        ('"command": 3', "command: 3 is not a string"),
        ('"command": "x", "args": "y"', 'args: "y" is not a list of strings'),
        ('"command": "x", "args": ["y", 5]', "args[1]: 5 is not a string"),
        ('"command": "x", "priority": "high"', 'priority: "high" is not a whole number'),
        ('"command": "x", "priority": true', "priority: true is not a whole number"),
        ('"command": "x", "priority": 1e3', "priority: 1000.0 is not a whole number"),
        ('"command": "x", "max_retries": 2.5', "max_retries: 2.5 is not a whole number"),
        ('"command": "x", "max_retries": -1', "max_retries: -1 is not a whole number from 0"),
        ('"command": "x", "jitter": 2', "jitter: 2 is not a number from 0 to 1"),
        ('"command": "x", "timeout": "soon"', 'timeout: "soon" is not a duration'),
        ('"command": "x", "timeout": true', "timeout: true is not a number of seconds"),
        ('"command": "x", "merge": "on"', 'merge: "on" is not true or false'),
        ('"command": "x", "unmet": 3', "unmet: 3 is not cancel or keep"),
        ('"command": "x\\ud800"', 'command: "x\\ud800" is not text'),
        ('"command": "x", "args": ["\\udfff"]', "args[0]: "),
        ('"command": "x", "on_dead": "\\ud800"', "on_dead: "),
        ('"command": "' + "é" * 70_000 + '"', "more than 131071 bytes"),
        ('"command": "x", "env": {"A": 1}', "env.A: 1 is not a string"),
        ('"command": "x", "env": {"A B": "1"}', "env: 'A B' is not a variable"),
        ('"command": "x", "env": {"QUEUECTL_X": "1"}', "queuectl's own"),
        ('"command": "x", "env": []', "env: [] is not an object of strings"),
        ('"command": "x", "stdin": 1', "stdin: 1 is not a string"),
        ('"command": "x", "id": 7', "id: 7 is not a string"),
        ('"command": "x", "id": "last"', 'id: "last" is not a name'),
        ('"command": "x", "id": "a", "name": "b"', "give one of them"),
        ('"command": "x", "shell": 1', "shell: 1 is not true, false or the path"),
        ('"command": "x", "priorty": 1', "no field 'priorty'; did you mean priority?"),
        ('"command": "x", "command": "y"', "command: given twice"),
        ('"command": "x", "priority": NaN', "NaN is not a JSON number"),
        ('"command": "x", "delay": 5, "at": "18:30"', "exclude each other"),
        ('"command": "x"', "something follows the object" ),
        ("command: x", "bad JSON at character 2"),
        ('"command": "x",', "bad JSON at character"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(session: Session, fields: str, said: str) -> None:
    """With what it is not, or the nearest right name; and nothing is enqueued."""
    behind = " x" if said.startswith("something") else ""
    code, message = session.refused("enqueue {" + fields + "}" + behind)
    assert code == 2
    assert said in message
    assert session.json("list") == []


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("enqueue", 2, "enqueue what?"),
        ("enqueue 3", 2, "`retry 3` runs them again"),
        ("enqueue failed,dead", 2, "selects jobs"),
        ("enqueue ''", 2, "the command is empty"),
        ("enqueue --queue nope true", 3, "no queue 'nope'"),
        ("enqueue --queue defualt true", 3, "did you mean default?"),
        ("enqueue --name 3 true", 2, "is not a name"),
        ("enqueue --env NOT_SET true", 2, "not set here"),
        ("enqueue --env 'A B=1' true", 2, "is not a variable"),
        ("enqueue --delay 5 --at 18:30 true", 2, "exclude each other"),
        ("enqueue --at teatime true", 2, "is not a time"),
        ("enqueue --at now+1h true", 2, "--delay 1h"),
        ("enqueue --retry-on timeot true", 2, "did you mean timeout?"),
        ("enqueue --retry-on sigtrem true", 2, "did you mean TERM?"),
        ("enqueue --shell bash true", 2, "an absolute path"),
        ("enqueue --shell /bin/sh --no-shell true", 2, "exclude each other"),
        ("enqueue --no-shell 'a", 2, "No closing quotation"),
        ("enqueue --stdin /no/such true", 2, "No such file"),
        ("enqueue --stdin - cat", 2, "name a file"),
        ("enqueue -", 2, "use --from FILE"),
        ("enqueue --from /no/such", 2, "No such file"),
        ("enqueue --from x true", 2, "not both"),
        ("enqueue --keep-going true", 2, "is for many lines"),
        ("enqueue --max-retries -1 true", 2, "max-retries"),
    ],
)
def test_enqueue_refuses(session: Session, line: str, code: int, said: str) -> None:
    """With one line that says why; nothing is enqueued."""
    status, message = session.refused(line)
    assert (status, said in message) == (code, True), message
    assert session.json("list") == []


def test_a_name_is_unique_among_jobs_that_are_not_finished(session: Session) -> None:
    """And free again afterwards."""
    session.result("enqueue --name a true")
    assert session.refused("enqueue --name a true")[0] == 1
    session.result("cancel a")
    session.result("enqueue --name a true")
    assert session.states() == "1:cancelled 2:pending"


def test_a_job_takes_what_env_capture_says_and_no_secret(session: Session) -> None:
    """`--env NAME` copies a value, `--env NAME=VALUE` gives one."""
    session.result("enqueue --env SECRET --env A='b c' true")
    session.result("enqueue true")
    session.result("set env-capture PATH SEC*")
    session.result("enqueue true")
    usual = {"PATH": ENVIRON["PATH"], "LANG": "C.UTF-8", "LC_TIME": "C"}
    assert session.job(1).env == {**usual, "SECRET": "s", "A": "b c"}
    assert session.job(2).env == usual
    assert session.job(3).env == {"PATH": ENVIRON["PATH"], "SECRET": "s"}
    session.result("set env-capture ''")
    session.result("enqueue true")
    assert session.job(4).env == {}


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        ("enqueue no-such-program x", "there is no program no-such-program on PATH now"),
        ("enqueue ./nothing-here", "there is no program ./nothing-here now"),
        ("enqueue sleep 1 &", "the final & is not needed"),
        ("enqueue false --max-retries 0", "--max-retries stands behind the command"),
        ("enqueue --no-shell false --max-retries=0", "--max-retries stands behind the command"),
        ("enqueue echo it's", "a quote in the command is not closed"),
        ("enqueue echo $SECRET", "$SECRET is set here but will not be"),
        ('enqueue echo "${SECRET}"', "add --env SECRET"),
    ],
)
def test_enqueue_remarks(session: Session, line: str, remark: str) -> None:
    """On what will probably not do what was meant."""
    session.with_host()
    (note,) = session.notes(line)
    assert remark in note


@pytest.mark.parametrize(
    "line",
    [
        "enqueue sleep 1 && true", "enqueue cd /tmp; ls", "enqueue echo '$SECRET'", "enqueue echo \\$SECRET",
        "enqueue echo $HOME $PATH $NOT_SET $QUEUECTL_JOB_ID $1 $?", "enqueue SECRET=1; echo $SECRET",
        "enqueue X=1 no-such-program", "enqueue (no-such)", "enqueue for SECRET in a; do echo $SECRET; done",
        "enqueue --env SECRET echo $SECRET", "enqueue --quiet no-such-program",
    ],
)  # fmt: skip
def test_enqueue_has_nothing_to_remark(session: Session, line: str) -> None:
    """On what is fine, or what only a shell can tell."""
    session.with_host()
    assert session.notes(line) == []


def test_a_job_with_gpus_is_told_which(session: Session) -> None:
    """CUDA_VISIBLE_DEVICES is the host's to set then: no remark, but where somebody sets it too."""
    session.ctx.environ = {**ENVIRON, "CUDA_VISIBLE_DEVICES": "0"}
    needs = "enqueue --need gpu=1"
    notes = session.notes(f"{needs} echo $CUDA_VISIBLE_DEVICES")
    assert not [note for note in notes if "CUDA" in note]
    for given in ("CUDA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES=0"):
        notes = session.notes(f"{needs} --env {given} ./train")
        (note,) = [note for note in notes if "CUDA" in note]
        assert note.startswith("CUDA_VISIBLE_DEVICES=0 stays as you give it")


def test_enqueue_says_when_nothing_will_run_it(session: Session) -> None:
    """Once in a script; and when no worker takes from the queue."""
    assert "worker start" in session.notes("enqueue true")[0]
    assert session.notes("enqueue true") == []
    session.result("queue create gpu")
    session.with_host(queues=("default",))
    session.ctx.memo.clear()
    assert session.notes("enqueue true") == []
    assert "worker start --queue gpu" in session.notes("enqueue --queue gpu true")[0]


def test_the_reply_shows_the_job_as_understood(session: Session) -> None:
    """Or only its id."""
    line = "enqueue --priority 2 --name n --timeout 5m --no-shell echo 'a b'"
    assert (
        session.text(line)
        == "job 1 enqueued: echo 'a b'  (no shell, name n, priority 2, timeout 5m)\n"
    )
    assert session.text("enqueue --quiet true") == "2\n"
    assert session.result("enqueue true").data == {"id": 3, "name": None, "queue": "default"}


def test_standard_input_is_kept_with_the_job(session: Session, tmp_path: Path) -> None:
    """From a file, relative to the directory of the session."""
    (tmp_path / "in").write_bytes(b"\x00given")
    session.result("enqueue --stdin in cat")
    session.with_host()
    (claim,) = session.store.claim("host0", 1)
    assert claim.stdin == b"\x00given"


def test_a_list_of_jobs_is_no_command(session: Session) -> None:
    """A graph comes from a file; `[` alone is a program."""
    code, said = session.refused('enqueue [{"command": "x"}]')
    assert code == 2
    assert "enqueue --from FILE" in said
    assert session.text("enqueue [ -f x ] && ls").startswith("job 1 enqueued: [ -f x ] && ls")


def test_a_field_that_is_a_flag_only_says_so(session: Session) -> None:
    """Instead of the list of all fields."""
    said = session.refused('enqueue {"command": "x", "array": "0-3"}')[1]
    assert said == "no field 'array': enqueue --array 0-3 makes one of a job"


@pytest.mark.parametrize(
    "line",
    [
        "enqueue --after 1 --after-failed 1 ls",
        "enqueue --after 1-2 --after-failed 2 ls",
        'enqueue {"command": "x", "after": 1, "after_failed": [1]}',
    ],
)
def test_a_job_cannot_wait_for_both_ends_of_another(session: Session, line: str) -> None:
    """It would wait for ever, or be cancelled at once."""
    session.result("enqueue true")
    session.result("enqueue true")
    code, said = session.refused(line)
    assert code == 2
    assert "both to complete and to die" in said
