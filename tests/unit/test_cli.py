"""The command line: global flags, modes, exit status, and that nothing escapes it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from queuectl import cli
from queuectl.cli import run
from queuectl.commands import GRAMMAR, TABLE
from queuectl.errors import UsageError
from queuectl.grammar.table import SESSION
from queuectl.options import USAGE, Options, read_options
from queuectl.store import open_store
from queuectl.store.base import Filter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the store that `run` uses, empty."""
    url = f"sqlite://{tmp_path}/queue.db"
    open_store(url).close()
    monkeypatch.setenv("QUEUECTL_STORE", url)
    return url


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        ([], Options()),
        (["list", "--json"], Options(("list", "--json"))),
        (["--json", "list", "-c"], Options(("list", "-c"), json=True)),
        (["--store", "/x", "list"], Options(("list",), "/x")),
        (["--store=/x"], Options((), "/x")),
        (["-c", "a", "-c", "b"], Options(lines=("a", "b"))),
        (["--keep-going", "-c", "a\nb"], Options(lines=("a\nb",), keep_going=True)),
        (["--version"], Options(wants="version")),
        (["-h"], Options(wants="help")),
        (["-"], Options(("-",))),
    ],
)
def test_global_flags_stand_in_front(argv: list[str], options: Options) -> None:
    """What follows the command is the command's."""
    assert read_options(argv) == options


@pytest.mark.parametrize("flag", [param.flag for param in SESSION])
def test_flags_of_the_session_are_known_in_both_places(flag: str) -> None:
    """In front of the command and behind it; a flag of the command's own comes first."""
    name = flag[2:].replace("-", "_")
    wanted: dict[str, Any] = {name: "X"}
    assert flag in USAGE
    assert read_options([flag, "X", "list"]) == Options(("list",), **wanted)
    for words in ([flag, "X"], [f"{flag}=X"]):
        for command in TABLE:
            if command.flag(flag) or command.path == ("!",):
                continue
            places = ["1" for param in command.positionals if param.required]
            given = GRAMMAR.parse_argv([*command.path, *words, *places])
            assert given.session == {name: "X"}, command.name
    assert GRAMMAR.parse_argv(["serve", "--token-file", "X"]).session == {}


def test_flags_of_the_session_behind_a_command(store: str, tmp_path: Path) -> None:
    """The last one counts; what stands in a tail is the job's."""
    other = str(tmp_path / "other.db")
    assert run(["enqueue", "--store", other, "echo", "--store", "x"]) == 0
    assert run(["--store", "/nonexistent/x.db", "list", f"--store={other}"]) == 0
    (job,) = list(open_store(f"sqlite://{other}").jobs(Filter()))
    assert (job.command, job.args) == ("echo", ("--store", "x"))
    assert run(["worker", "start", "1", "--until-empty", "--quiet", "--store", other]) == 0
    (job,) = list(open_store(f"sqlite://{other}").jobs(Filter()))
    assert job.state == "completed"
    assert not list(open_store(store).jobs(Filter()))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["list", "--store"], "--store needs a value"),
        (["list", "--store", ""], "--store is empty"),
        (["list", "--store", "x.db", "--schema", "q"], "only a postgresql:// store"),
        (["list", "--stor", "x"], "did you mean --store?"),
        (["-c", "list --store x"], "--store is for the command line: queuectl --store URL"),
        (["-c", "enqueue --schema=x ls"], "--schema is for the command line"),
    ],
)
def test_wrong_flags_of_the_session_are_refused(
    argv: list[str], said: str, store: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """In one line; at a prompt and in a script the store is the one it has."""
    assert store
    assert run(argv) == 2
    told = capfd.readouterr()
    assert said in told.err
    assert told.err.count("\n") == 1
    assert not told.out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--stor", "x"], "did you mean --store?"),
        (["--state", "x", "list"], "flags of a command follow it"),
        (["--store"], "needs a value"),
        (["-c"], "needs a value"),
        (["-c", "list", "status"], "a -c of its own"),
    ],
)
def test_wrong_global_flags_are_refused(
    argv: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """In one line, exit status 2."""
    with pytest.raises(UsageError, match=said):
        read_options(argv)
    assert run(argv) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("argv", "code", "out", "err"),
    [
        (["version"], 0, "queuectl ", ""),
        (["--version"], 0, "queuectl ", ""),
        (["enqueue", "--quiet", "true"], 0, "1\n", ""),
        (["list"], 0, "", "No jobs yet"),
        (["list", "--json"], 0, "[]\n", '{"note"'),
        (["-c", "enqueue --quiet true\nenqueue --quiet true", "-c", "exit"], 0, "1\n2\n", ""),
        (["-c", "list", "-c", "bogus"], 2, "", "-c:2: no command 'bogus'"),
        (["status", "9"], 3, "", "queuectl: no job 9"),
        (["--json", "status", "9"], 3, "", '{"error": "no job 9", "exit_code": 3}'),
        (["status", "9", "--json"], 3, "", '{"error": "no job 9", "exit_code": 3}'),
        (["list", "--state", "x", "--json"], 2, "", '{"error": "list: --state'),
        (["--json", "bogus"], 2, "", '{"error": "no command'),
        (["--store", "gopher://x", "list"], 2, "", "queuectl: no store"),
        (["--store", "/dev/null/x", "list"], 75, "", "queuectl: the store"),
    ],
)
@pytest.mark.usefixtures("store")
def test_exit_status_and_streams(
    argv: list[str], code: int, out: str, err: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Answers to stdout, errors to stderr."""
    assert run(argv) == code
    captured = capfd.readouterr()
    assert captured.out.startswith(out)
    assert err in captured.err
    assert "Traceback" not in captured.err


def raising(error: BaseException) -> Any:
    """Return a function that raises."""

    def function(*_: object, **__: object) -> None:
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "code", "err"),
    [
        (RuntimeError("a\nb"), 1, "queuectl: internal error: RuntimeError: a b\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
    ],
)
@pytest.mark.usefixtures("store")
def test_nothing_escapes(
    error: BaseException,
    code: int,
    err: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One line at the most, never a traceback."""
    monkeypatch.setattr(cli, "_forget_stdout", lambda: None)
    monkeypatch.setattr("queuectl.commands.help.version", raising(error))
    assert run(["version"]) == code
    assert capfd.readouterr().err == err


@pytest.mark.usefixtures("store")
def test_debugging_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With QUEUECTL_DEBUG."""
    monkeypatch.setenv("QUEUECTL_DEBUG", "1")
    monkeypatch.setattr("queuectl.commands.help.version", raising(RuntimeError("x")))
    assert run(["version"]) == 1
    assert "Traceback" in capfd.readouterr().err


def process(*words: str, store: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run queuectl as a process."""
    return subprocess.run(
        [sys.executable, "-m", "queuectl", *words], input=stdin, capture_output=True, text=True, check=False,
        env={**os.environ, "QUEUECTL_STORE": store},
    )  # fmt: skip


def test_a_script_comes_from_standard_input(store: str) -> None:
    """Every line is answered, and the number of a bad one stands in front."""
    done = process(store=store, stdin="enqueue --quiet true\n# c\nbogus\nenqueue true\n")
    assert (done.returncode, done.stdout) == (2, "1\n")
    assert done.stderr.startswith("script:3: ")


def test_a_reader_who_leaves_is_no_error(store: str) -> None:
    """`queuectl list | head -1`."""
    process("enqueue", "-", store=store, stdin="true\n" * 20_000)
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m queuectl list | head -1"],
        capture_output=True, text=True, check=False, env={**os.environ, "QUEUECTL_STORE": store},
    )  # fmt: skip
    assert done.stdout.split()[:2] == ["ID", "STATE"]
    assert done.stderr == ""


FORBIDDEN = (
    "argparse", "json", "re", "typing", "dataclasses", "enum", "shlex", "subprocess", "pathlib",
    "tabulate", "prompt_toolkit", "psycopg", "logging", "inspect", "wcwidth",
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "forbidden"),
    [
        (("enqueue", "true"), FORBIDDEN),
        (("enqueue", "--", "echo"), FORBIDDEN),
        (("status",), ("tabulate", "prompt_toolkit", "psycopg", "subprocess", "asyncio")),
        (
            ("list", "--state", "failed"),
            ("tabulate", "prompt_toolkit", "psycopg", "subprocess", "asyncio"),
        ),
    ],
)
def test_a_one_shot_command_imports_little(
    store: str, words: tuple[str, ...], forbidden: tuple[str, ...]
) -> None:
    """Its time is mostly that of its imports."""
    program = (
        "import sys; before = set(sys.modules)\n"
        "from queuectl.cli import run; status = run(sys.argv[1:])\n"
        "print(*set(sys.modules) - before, file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True,
        env={**os.environ, "QUEUECTL_STORE": store},
    )  # fmt: skip
    imported = set(done.stderr.splitlines()[-1].split())
    assert not imported & set(forbidden)
