"""Many jobs from one line: `:::`, arrays, lines of a file. Real processes, a real terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pexpect
import pytest

from queuectl.commands import GRAMMAR

if TYPE_CHECKING:
    from tests.support.cli import Cli

NAMES = [
    "a.jpg",
    "b c.jpg",
    "it's.jpg",
    'q"$(x)`y`.jpg',
    "new\nline.jpg",
    "-n.jpg",
    "*.jpg",
    "ü.jpg",
]


@pytest.fixture
def pictures(cli: Cli) -> Cli:
    """Return a directory with files of unhappy names."""
    for name in NAMES:
        (cli.directory / name).write_text(name)
    return cli


def outputs(cli: Cli) -> set[str]:
    """Return what each job wrote, all of them having completed."""
    jobs = cli.json("list")
    assert {job["state"] for job in jobs} == {"completed"}, jobs
    return {cli.ok("output", str(job["id"])) for job in jobs}


def test_a_session_finds_the_files_itself(pictures: Cli) -> None:
    """There is no shell around it; each job gets its file whatever its name is."""
    done = pictures.script("enqueue cat ./{} && printf %s {.} ::: *.jpg")
    assert done.stdout == f"jobs 1-{len(NAMES)} enqueued: cat ./{{}} && printf %s {{.}}\n"
    pictures.ok("worker", "start", "2", "--until-empty")
    assert outputs(pictures) == {name + name.removesuffix(".jpg") for name in NAMES}


def test_a_shell_in_front_finds_them(pictures: Cli) -> None:
    """Its words are filled in plainly: no second shell reads them."""
    pictures.ok("enqueue", "printf", "%s|%s", "{}", "x{/.}", ":::", *NAMES)
    pictures.ok("worker", "start", "2", "--until-empty")
    assert outputs(pictures) == {f"{name}|x{name.removesuffix('.jpg')}" for name in NAMES}


def test_quotes_around_the_place_hold(pictures: Cli) -> None:
    """In a line for a shell, also where commands stand in quotes."""
    line = 'printf %s "<{}>$(printf %s "{.}")"\'{}\''
    pictures.ok("enqueue", line, ":::", *NAMES)
    pictures.ok("worker", "start", "2", "--until-empty")
    stems = {name: name.removesuffix(".jpg") for name in NAMES}
    assert outputs(pictures) == {f"<{name}>{stem}{name}" for name, stem in stems.items()}


@pytest.mark.parametrize(
    "words",
    [
        ("echo {}", ":::", "a", "b c"),
        ("echo {1} {2}", ":::", "a", "b", ":::", "1", "2", "3"),
        ("echo {2.} {1/} {//}", ":::", "x/a.b", ":::", "1.2"),
        ("echo {#} {/.}", ":::", "d/a.tar.gz", ".x", "a."),
        ("echo", ":::", "a", ":::", "b"),
        ("echo {1}-{2}", ":::", "a", "b", "c", ":::+", "1", "2", "3"),
        (":::", "echo a", "echo b"),
    ],
)
def test_gnu_parallel_says_the_same(cli: Cli, words: tuple[str, ...]) -> None:
    """Where it is installed: what the commands print, in order."""
    parallel = shutil.which("parallel")
    if parallel is None:
        pytest.skip("GNU parallel is not installed")
    theirs = subprocess.run(
        [parallel, "-k", "-j1", *words], capture_output=True, text=True, check=True
    )
    cli.ok("enqueue", *words)
    cli.ok("worker", "start", "--until-empty")
    ours = "".join(cli.ok("output", str(job["id"])) for job in cli.json("list"))
    assert ours == theirs.stdout


def test_a_dry_run_can_be_fed_to_a_shell(pictures: Cli) -> None:
    """It is exactly what would be run, and nothing is enqueued."""
    commands = pictures.ok("enqueue", "--dry-run", "printf", "%s|", "{.}", ":::", *NAMES)
    ran = subprocess.run(
        ["/bin/sh"],
        input=commands,
        capture_output=True,
        text=True,
        check=True,
        cwd=pictures.directory,
    )
    assert ran.stdout == "".join(f"{name.removesuffix('.jpg')}|" for name in NAMES)
    assert pictures.json("list") == []


def test_an_array_knows_its_index(cli: Cli) -> None:
    """And the id of the first job; no more at once than it may."""
    said = cli.script(
        "enqueue --array 0-9:3,20%2 -- echo $QUEUECTL_INDEX of $QUEUECTL_ARRAY_ID"
    ).stdout
    assert said.startswith("array 1: jobs 1-5, at most 2 at once: echo")
    cli.ok("worker", "start", "4", "--until-empty")
    assert outputs(cli) == {f"{index} of 1\n" for index in (0, 3, 6, 9, 20)}
    assert cli.json("status", "--array", "1")["counts"] == {"completed": 5}
    assert len(cli.json("list", "--array", "1")) == 5


def test_the_words_of_an_argv_get_the_index(cli: Cli) -> None:
    """There is no shell to put it in; with --no-shell they stay as they are, and that is said."""
    words = ("echo", "a${QUEUECTL_INDEX}b", "$QUEUECTL_INDEX", "$QUEUECTL_INDEXED")
    assert cli.ok("enqueue", "--array", "1-2", "--dry-run", *words) == (
        "echo a1b 1 '$QUEUECTL_INDEXED'  # index 1\necho a2b 2 '$QUEUECTL_INDEXED'  # index 2\n"
    )
    said = cli.ok("enqueue", "--array", "1-2", "--", *words[:3:2])
    assert said == "array 1: jobs 1-2: echo $QUEUECTL_INDEX  (no shell)\n"
    done = cli.run("enqueue", "--array", "1-2", "--dry-run", "--no-shell", "--", *words[:3:2])
    assert "put the command in one word" in done.stderr
    done = cli.run("enqueue", "--array", "1-2", "--dry-run", "./sim")
    assert "quote the whole command, './sim $QUEUECTL_INDEX'" in done.stderr
    cli.ok("worker", "start", "2", "--until-empty")
    assert outputs(cli) == {"1\n", "2\n"}


def test_the_array_of_the_help_works_in_every_shell(cli: Cli) -> None:
    """As it is pasted."""
    (example,) = [one for one in GRAMMAR.find(["enqueue"])[0].examples if "--array" in one]
    sim = cli.directory / "sim"
    sim.write_text('#!/bin/sh\necho "$1"\n')
    sim.chmod(0o755)
    cli.script(example)
    queuectl = shlex.join(cli.command())
    subprocess.run(
        ["/bin/sh", "-c", f"{queuectl} {example}"], env=cli.env, cwd=cli.directory, check=True
    )
    found = cli.json("list", "7,107")
    assert {job["command"] for job in found} == {"./sim $QUEUECTL_INDEX"}


def test_jobs_wait_for_others(cli: Cli) -> None:
    """By id, range and name; the answer says for what."""
    cli.ok("enqueue", "--name", "one", "true")
    cli.ok("enqueue", "true")
    said = cli.ok("enqueue", "--after", "one,2", "--", "echo", "done")
    assert said == "job 3 enqueued: echo done  (no shell, waits until 1, 2 have completed)\n"
    cli.ok("enqueue", "--unique", "k", "true")
    assert (
        cli.ok("enqueue", "--unique", "k", "true")
        == "job 4 is the same and not finished: nothing enqueued\n"
    )
    assert cli.json("enqueue", "--unique", "k", "--json", "true")["existing"]
    cli.ok("worker", "start", "2", "--until-empty")
    assert cli.ok("output", "3") == "done\n"


def at_terminal(cli: Cli, *words: str) -> pexpect.spawn[str]:
    """Run queuectl with a terminal on all its streams."""
    environ = {**cli.env, "TERM": "xterm"}
    program, *rest = cli.command(*words)
    return pexpect.spawn(
        program,
        rest,
        env=environ,
        cwd=str(cli.directory),
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 100),
    )


def test_a_terminal_sees_a_bar(cli: Cli) -> None:
    """While many lines of a file are enqueued; it is gone at the end."""
    (cli.directory / "lines").write_text("true\n" * 200_000)
    seen = at_terminal(cli, "enqueue", "--from", "lines")
    seen.expect(r"\[#+-+\] [0-9,]+ of about [0-9,]+ jobs")
    seen.expect_exact("200000 jobs enqueued: 1-200000")
    seen.expect(pexpect.EOF)
    assert seen.wait() == 0


def test_a_terminal_sees_a_bar_for_a_pattern(cli: Cli) -> None:
    """Whose size is known."""
    seen = at_terminal(cli, "-c", "enqueue echo {1} {2} ::: {1..300} ::: {1..300}")
    seen.expect(r"\[#*-+\] [0-9,]+ of about 90,000 jobs")
    seen.expect_exact("jobs 1-90000 enqueued")
    seen.expect(pexpect.EOF)
    assert seen.wait() == 0


def test_the_interactive_shell_sees_it_too(cli: Cli) -> None:
    """And finds files where `cd` has gone."""
    place = cli.directory / "sub"
    place.mkdir()
    (place / "a b.txt").write_text("")
    (cli.directory / "lines").write_text("true\n" * 200_000)
    seen = at_terminal(cli)
    seen.expect_exact("queuectl> ")
    seen.send("enqueue --from lines\r")
    seen.expect(r"\[#+-+\] [0-9,]+ of about [0-9,]+ jobs")
    seen.expect_exact("200000 jobs enqueued: 1-200000")
    seen.send("cd sub\r")
    seen.send("enqueue wc {} ::: *.txt\r")
    seen.expect_exact("job 200001 enqueued: wc {}")
    seen.send("exit\r")
    seen.expect(pexpect.EOF)
    (job,) = cli.json("list", "200001")
    assert job["command"] == "wc 'a b.txt'"
    assert job["cwd"] == os.path.realpath(place)
