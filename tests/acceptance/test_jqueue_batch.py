"""jqueue's README: a folder of files becomes a folder of results, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pexpect

from tests.support.cli import PATIENCE
from tests.support.hosts import eventually
from tests.support.worker import Fifo

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.cli import Cli

UPPER = ("tr", "a-z", "A-Z")


def files(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).write_text(f"in {name}\n")


def results(directory: Path) -> list[str]:
    return sorted(name for name in os.listdir(directory) if name.endswith(".result"))


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return process.returncode, out + err


def test_the_readme(cli: Cli) -> None:
    """A.wav … F.wav, each encoded, each result beside its file."""
    names = [f"{letter}.wav" for letter in "ABCDEF"]
    files(cli.directory, *names)
    said = cli.ok("batch", "-j", "2", *UPPER, ":::", *names)
    assert "6 of 6 files done" in said
    assert results(cli.directory) == [f"{name}.result" for name in names]
    assert (cli.directory / "C.wav.result").read_text() == "IN C.WAV\n"
    # again: there is nothing to do; results are no files to work on
    assert "6 of them before" in cli.ok("batch", *UPPER, ":::", *names, *results(cli.directory))
    assert len(cli.json("list")) == 6
    # unless a file is newer, or it is asked for
    os.utime(cli.directory / "A.wav")
    assert "5 of them before" in cli.ok("batch", *UPPER, ":::", *names)
    cli.ok("batch", "--force", "rev", ":::", "B.wav")
    assert (cli.directory / "B.wav.result").read_text() == "vaw.B ni\n"


def test_each_job_shows_its_file(cli: Cli) -> None:
    """In lists, where the command is the same for all."""
    files(cli.directory, "a.txt", "b c.txt")
    cli.ok("batch", "wc -l", ":::", "a.txt", "b c.txt")
    said = cli.ok("list", "--queue", "batch")
    assert "wc -l < a.txt" in said
    assert "wc -l < 'b c.txt'" in said


def test_the_path_of_the_file_stands_for_braces(cli: Cli) -> None:
    """Quoted for the shell, a word of its own without one; as `enqueue` does with `:::`."""
    name = "it's $(touch evil).txt"
    files(cli.directory, name)
    cli.ok("batch", "cat {}; echo {/.}; cat", ":::", name)
    whole = f"in {name}\nit's $(touch evil)\nin {name}\n"
    assert (cli.directory / f"{name}.result").read_text() == whole
    cli.ok("batch", "--force", "cat", "{}", ":::", name)
    assert (cli.directory / f"{name}.result").read_text() == f"in {name}\n"
    assert not (cli.directory / "evil").exists()
    # braces that stand for nothing are the command's own
    cli.ok("batch", "--force", "awk '{print $1}'", ":::", name)
    assert (cli.directory / f"{name}.result").read_text() == "in\n"


def test_odd_files(cli: Cli) -> None:
    """Empty, with blanks and newlines and bytes that are no text in their names, one megabyte."""
    names = ["empty", "a b", "new\nline", "-n", "caf\udce9", "100%", "big"]
    for name in names:
        (cli.directory / name).write_bytes(b"" if name == "empty" else b"x")
    (cli.directory / "big").write_bytes(b"0123456789abcde\n" * 100_000)
    cli.ok("batch", "-j", "3", "cat", ":::", *names)
    for name in names:
        assert (cli.directory / f"{name}.result").read_bytes() == (
            cli.directory / name
        ).read_bytes()
    assert not [name for name in os.listdir(cli.directory) if name.startswith(".queuectl")]


def test_a_line_for_the_shell_and_another_suffix(cli: Cli) -> None:
    """One word is a shell line, as with `enqueue`."""
    files(cli.directory, "a", "b")
    cli.ok("batch", "--suffix", ".out", "sort | tr a-z A-Z", ":::", "a", "b")
    assert (cli.directory / "a.out").read_text() == "IN A\n"


def test_files_that_cannot_be_done(cli: Cli) -> None:
    """Exit status 4; the others are done, and each failure is named."""
    files(cli.directory, "good", "bad")
    (cli.directory / "directory").mkdir()
    done = cli.run(
        "batch", "--max-retries", "0", "grep good", ":::", "good", "bad", "gone", "directory"
    )  # fmt: skip
    assert done.returncode == 4
    assert "1 of 4 files done; 3 failed" in done.stdout
    assert "bad: job" in done.stderr
    assert "exit 1" in done.stderr
    assert "gone: No such file" in done.stderr
    assert "directory: Is a directory" in done.stderr
    assert results(cli.directory) == ["good.result"]


def test_a_file_that_vanishes(cli: Cli) -> None:
    """After it was enqueued: its job cannot start, and says so."""
    files(cli.directory, "first", "second")
    gate = Fifo(cli, "gate")
    process = cli.start(
        "batch", "-j", "1", "--max-retries", "0", gate.wait, ":::", "first", "second"
    )
    eventually(lambda: "processing" in {job["state"] for job in cli.json("list")})
    (cli.directory / "second").unlink()
    gate.open()
    code, said = ended(process)
    assert code == 4
    assert "second: job 2 dead: cannot start: No such file" in said
    assert results(cli.directory) == ["first.result"]


def test_an_output_that_is_cut_is_no_result(cli: Cli) -> None:
    """A job that writes more than is kept fails."""
    files(cli.directory, "a")
    done = cli.run(
        "batch", "--max-retries", "0", "--output-limit", "1k", "head -c 5000 /dev/zero", ":::", "a"
    )
    assert done.returncode == 4
    assert results(cli.directory) == []


def test_a_result_that_cannot_be_written(cli: Cli) -> None:
    """Something else has its name: it is left alone."""
    files(cli.directory, "a", "b")
    (cli.directory / "a.result").mkdir()
    os.utime(cli.directory / "a.result", (1, 1))
    done = cli.run("batch", "cat", ":::", "a", "b")
    assert done.returncode == 4
    assert "a: a.result: Is a directory" in done.stderr
    assert (cli.directory / "b.result").exists()


def test_interrupted_and_resumed(cli: Cli) -> None:
    """Ctrl-C finishes what runs and takes the rest back; the next time goes on."""
    names = [f"f{number}" for number in range(6)]
    files(cli.directory, *names)
    gate = Fifo(cli, "gate")
    process = cli.start("batch", "-j", "1", f"{gate.wait}; cat", ":::", *names)
    gate.open()
    eventually(lambda: results(cli.directory) == ["f0.result"])
    eventually(lambda: "processing" in {job["state"] for job in cli.json("list")})
    process.send_signal(signal.SIGINT)
    eventually(lambda: "cancelled" in {job["state"] for job in cli.json("list")})
    gate.open()
    code, said = ended(process)
    assert code == 130
    assert "2 of 6 files done; 4 cancelled: run it again to go on" in said
    assert "failed" not in said
    assert results(cli.directory) == ["f0.result", "f1.result"]
    assert "2 of them before" in cli.ok("batch", "cat", ":::", *names)
    assert len(results(cli.directory)) == 6


def test_cancelled_by_somebody(cli: Cli) -> None:
    """Said as it is; and the exit status says that there is no result."""
    files(cli.directory, "a", "b")
    gate = Fifo(cli, "gate")
    process = cli.start("batch", "-j", "1", gate.wait, ":::", "a", "b")
    eventually(lambda: "processing" in {job["state"] for job in cli.json("list")})
    cli.ok("cancel", "2")
    gate.open()
    code, said = ended(process)
    assert code == 4
    assert "b: job 2 was cancelled" in said
    assert "1 of 2 files done; 1 cancelled\n" in said


def test_interrupted_twice(cli: Cli) -> None:
    """What runs is ended; nothing is left that would run by itself."""
    files(cli.directory, "a", "b")
    process = cli.start("batch", "-j", "1", "sleep 1000", ":::", "a", "b")
    eventually(lambda: "processing" in {job["state"] for job in cli.json("list")})
    process.send_signal(signal.SIGINT)
    eventually(lambda: "cancelled" in {job["state"] for job in cli.json("list")})
    process.send_signal(signal.SIGINT)
    code, _ = ended(process)
    assert code == 130
    assert {job["state"] for job in cli.json("list")} == {"cancelled"}
    assert results(cli.directory) == []


def test_killed_and_resumed(cli: Cli) -> None:
    """After kill -9: no half results; the next run does what is left, and that only."""
    names = [f"f{number}" for number in range(8)]
    files(cli.directory, *names)
    gate = Fifo(cli, "gate")
    process = cli.start("batch", "-j", "1", f"{gate.wait}; cat; echo ran >>log", ":::", *names)
    for number in range(3):
        gate.open()
        eventually(lambda: len(results(cli.directory)) == number + 1)  # noqa: B023 (called now)
    process.kill()
    process.communicate()
    again = cli.start("batch", "-j", "1", "cat", ":::", *names)
    # what was enqueued before stays what it was: it waits at the gate
    while again.poll() is None:
        fd = os.open(gate.path, os.O_RDWR | os.O_NONBLOCK)
        os.write(fd, b"\n")
        try:
            again.wait(0.2)
        except Exception:  # noqa: BLE001 (it goes on)
            pass
        os.close(fd)
    code, said = ended(again)
    assert code == 0, said
    for name in names:
        assert (cli.directory / f"{name}.result").read_text() == f"in {name}\n"
    # those that had completed ran once, the one that was killed with its batch perhaps twice
    jobs = cli.json("list")
    assert len(jobs) == len(names)
    assert {job["runs"] for job in jobs if job["id"] <= 3} == {1}
    assert (cli.directory / "log").read_text().count("ran") <= len(names) + 1


def test_half_a_result_of_one_that_was_killed(cli: Cli) -> None:
    """It is no file to work on, whoever lists the directory, and goes when there is work there."""
    files(cli.directory, "a")
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    draft = cli.directory / f".queuectl-{os.uname().nodename}--{child}-1.part"
    draft.write_text("hal")
    said = cli.ok("batch", "cat", ":::", draft.name, str(draft), "a")
    assert "1 of 1 file done" in said
    assert not draft.exists()
    assert results(cli.directory) == ["a.result"]
    draft.write_text("hal")
    assert "0 of 0 files done" in cli.ok("batch", "cat", ":::", draft.name)


def test_other_workers_do_not_take_from_it(cli: Cli) -> None:
    """The queue `batch` is for batches: a worker for all queues has nothing to do there."""
    files(cli.directory, "a")
    process = cli.start("batch", "-j", "1", "sleep 1000", ":::", "a")
    eventually(lambda: "processing" in {job["state"] for job in cli.json("list")})
    process.kill()
    process.communicate()
    cli.ok("cancel", "all")
    cli.ok("worker", "start", "1", "--until-empty")


def test_a_progress_bar_on_a_terminal(cli: Cli) -> None:
    """And the files that failed above it."""
    files(cli.directory, *(f"f{number}" for number in range(4)))
    command = cli.command("batch", "-j", "1", "sleep 0.2; cat", ":::", *(f"f{n}" for n in range(4)))
    cli.env["TERM"] = "xterm"
    child = pexpect.spawn(command[0], command[1:], env=cli.env, cwd=str(cli.directory), timeout=60)
    child.expect_exact("] 2 of 4")
    child.expect_exact("4 of 4 files done")
    child.wait()
    child.close()
    assert child.exitstatus == 0


def test_no_bar_where_nothing_can_be_drawn_again(cli: Cli) -> None:
    """As with `wait`."""
    files(cli.directory, "a")
    cli.env["TERM"] = "dumb"
    command = cli.command("batch", "cat", ":::", "a")
    child = pexpect.spawn(command[0], command[1:], env=cli.env, cwd=str(cli.directory), timeout=60)
    child.expect_exact("1 of 1 file done")
    assert b"[" not in bytes(child.before or b"")  # type: ignore[arg-type]
    child.wait()
    child.close()


def test_the_bar_counts_only_what_is_done(cli: Cli) -> None:
    """What Ctrl-C takes back is no progress, and nothing is foretold then."""
    files(cli.directory, "a", "b")
    gate = Fifo(cli, "gate")
    cli.env["TERM"] = "xterm"
    command = cli.command("batch", "-j", "1", f"{gate.wait}; sleep 2", ":::", "a", "b")
    child = pexpect.spawn(command[0], command[1:], env=cli.env, cwd=str(cli.directory), timeout=60)
    eventually(lambda: "processing" in {job["state"] for job in cli.json("list")})
    child.sendintr()
    eventually(lambda: "cancelled" in {job["state"] for job in cli.json("list")})
    gate.open()
    child.expect_exact("1 of 2 files done; 1 cancelled")
    *before, last = bytes(child.before or b"").split(b"\r\x1b[K")  # type: ignore[arg-type]
    assert not [bar for bar in before if b"1 of 2, about" in bar], before
    assert b"failed" not in last
    child.wait()
    child.close()
    assert child.exitstatus == 130


def test_json(cli: Cli) -> None:
    """One document at the end."""
    files(cli.directory, "a")
    done = cli.run("--json", "batch", "cat", ":::", "a", "gone")
    assert done.returncode == 4
    assert json.loads(done.stdout) == {
        "files": 2, "done": 1, "done_before": 0, "left": 0,
        "failed": [{"file": "gone", "reason": "No such file or directory"}], "cancelled": [],
    }  # fmt: skip


def test_bad_input_gets_one_line(cli: Cli) -> None:
    """And nothing is done."""
    files(cli.directory, "a")
    for words, named in (
        (("cat",), "which files"), (("-j", "2", ":::", "a"), "-j what"), (("--suffix", "", "cat", ":::", "a"), "suffix"),
        (("--suffix", "/x", "cat", ":::", "a"), "suffix"), (("-j", "0", "cat", ":::", "a"), "0"),
        (("--timeout", "soon", "cat", ":::", "a"), "soon"),
    ):  # fmt: skip
        assert named in cli.refused(2, "batch", *words)
    assert results(cli.directory) == []


def test_interrupting_one_batch_leaves_the_jobs_of_another(cli: Cli) -> None:
    """Both are about the same file; it is the first one's job."""
    files(cli.directory, "a")
    gate = Fifo(cli, "gate")
    first = cli.start("batch", "-j", "1", f"{gate.wait}; cat", ":::", "a")
    eventually(lambda: [job["state"] for job in cli.json("list")] == ["processing"])
    second = cli.start("batch", "-j", "1", f"{gate.wait}; cat", ":::", "a")
    eventually(lambda: len(cli.json("worker", "list")) == 2)
    second.send_signal(signal.SIGINT)
    assert second.wait(PATIENCE) == 130
    gate.open()
    out, err = first.communicate(timeout=PATIENCE)
    assert (first.returncode, out) == (0, "1 of 1 file done\n"), err
    second.communicate()
