"""The shell as a person at a terminal meets it: real processes, a real pseudo-terminal."""

from __future__ import annotations

import json
import os
import signal
import stat
import termios
from typing import TYPE_CHECKING

import pytest

from tests.shell.screen import CTRL_C, CTRL_D, CTRL_R, ENTER, TAB, UP, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with Shell(tmp_path) as shell:
        yield shell


def states(shell: Shell) -> dict[int, str]:
    return {job["id"]: job["state"] for job in json.loads(shell.queuectl("list", "--json"))}


def test_first_walk(shell: Shell) -> None:
    """Enqueue, start workers, look, read notices while half a line stands there, leave."""
    shell.run('enqueue {"command": "echo Hello World", "args": []}', "job 1 enqueued")
    shell.run("worker start 2", "2 workers", "job 1 completed (exit 0, ")
    shell.run("status", "1 completed; 2 workers")
    shell.run("enqueue sleep 0.3", "job 2 enqueued")
    shell.type("list --state comp")
    shell.see("job 2 completed (exit 0, ")
    shell.see_line("queuectl> list --state comp")
    shell.type("leted" + ENTER)
    shell.see("echo Hello World")
    shell.see("sleep 0.3")
    shell.run("worker stop", "2 workers stopping")
    shell.type("exit" + ENTER)
    assert shell.exit_status() == 0


def test_notices_say_what_follows_a_failure(shell: Shell) -> None:
    shell.run("set max-retries 1", "max-retries is 1")
    shell.run("set backoff-base 1", "backoff-base is 1")
    shell.run("enqueue --name bad exit 3")
    shell.run("worker start")
    shell.see("job 1 bad failed: exit 3; retry in 1s (1 of 1)")
    shell.see("job 1 bad dead: exit 3 after 2 attempts; dlq retry 1")


def test_many_endings_are_summed_up(shell: Shell) -> None:
    shell.paste("".join(f"enqueue true {number}\n" for number in range(40)) + "worker start 4\n")
    shell.see("jobs completed")
    shell.wait_for(
        lambda: shell.toolbar.startswith("40 completed"), "the toolbar with 40 completed"
    )
    assert shell.text.count(" completed (exit 0") <= 10


def test_a_notice_cannot_send_escape_sequences(shell: Shell) -> None:
    shell.run("worker start")
    shell.run(r"""enqueue --no-shell '/no\x1b]0;owned\x07/such'""")
    shell.run(
        'enqueue {"command": "/no\\u001b]0;owned\\u0007/such", "shell": false, "max_retries": 0}'
    )
    shell.see("job 2 dead: cannot start")
    shell.type("remove ")
    shell.see("dead")
    assert b"\x1b]0;owned" not in shell.written


def test_ctrl_c_clears_the_line_and_says_how_to_leave(shell: Shell) -> None:
    shell.type("enqueue somethi" + CTRL_C)
    shell.wait_for(lambda: shell.line == "queuectl>", "an empty line")
    assert "to leave" not in shell.text
    shell.type(CTRL_C)
    shell.see("to leave: exit, or Ctrl-D")
    assert states(shell) == {}


def test_ctrl_c_interrupts_a_long_command(shell: Shell) -> None:
    shell.run("worker start")
    shell.run("enqueue --output-limit 1GiB yes", "job 1 enqueued")
    shell.wait_for(lambda: shell.toolbar.startswith("1 processing"), "a running job")
    shell.run("!sleep 0.5")
    shell.run("cancel 1 --now", "cancel")
    shell.see("job 1 cancelled")
    shell.type("output 1" + ENTER)
    shell.see("\ny\ny\ny\n")
    shell.type(CTRL_C)
    shell.see("interrupted")
    shell.run("version", "queuectl ")


def test_ctrl_c_goes_to_the_program_that_runs_now(shell: Shell) -> None:
    shell.type("!echo first; exec sleep 60" + ENTER)
    shell.see("\nfirst")
    shell.type(CTRL_C)
    shell.see("exit 130")
    shell.run("!printf 'no newline'", "no newline")
    shell.see_line("queuectl>")


def test_a_program_that_runs_now_reads_the_keyboard(shell: Shell) -> None:
    shell.type("!echo ready; cat" + ENTER)
    shell.see("\nready")
    shell.type("echoed back\r")
    shell.wait_for(lambda: shell.text.count("echoed back") == 2, "the line and its echo")
    shell.type(CTRL_D)
    shell.see_line("queuectl>")
    assert shell.process.poll() is None


def test_what_is_typed_while_a_command_runs_is_for_the_next_prompt(shell: Shell) -> None:
    shell.type(f"!sleep 0.3{ENTER}version{ENTER}pwd{ENTER}")
    shell.see("queuectl 0")
    shell.see(f"\n{shell.directory}")


def test_leaving_waits_for_a_running_job(shell: Shell) -> None:
    shell.run("worker start")
    shell.run("enqueue sleep 0.8")
    shell.wait_for(lambda: shell.toolbar.startswith("1 processing"), "a running job")
    shell.type(CTRL_D)
    shell.see("Job 1 runs here: wait for them (w), ")
    shell.see("stop them and hand them back (s), stay (c)?")
    shell.type("w")
    shell.see("waiting for job 1; Ctrl-C asks again")
    assert shell.exit_status() == 0
    assert states(shell) == {1: "completed"}


def test_the_question_goes_away_with_the_job_it_is_about(shell: Shell) -> None:
    shell.run("worker start")
    shell.run("enqueue sleep 1")
    shell.wait_for(lambda: shell.toolbar.startswith("1 processing"), "a running job")
    shell.type(CTRL_D)
    shell.see("Job 1 runs here")
    assert shell.exit_status() == 0
    assert states(shell) == {1: "completed"}


def test_leaving_stops_a_running_job_and_hands_it_back(shell: Shell) -> None:
    shell.run("worker start")
    shell.run("enqueue sleep 60")
    shell.wait_for(lambda: shell.toolbar.startswith("1 processing"), "a running job")
    shell.type("exit" + ENTER)
    shell.see("Job 1 runs here")
    shell.type("s")
    shell.see("stopping job 1")
    assert shell.exit_status() == 0
    assert states(shell) == {1: "pending"}
    assert '"attempts": 0' in shell.queuectl("list", "--json")


def test_leaving_can_be_taken_back(shell: Shell) -> None:
    shell.run("worker start")
    shell.run("enqueue sleep 60")
    shell.wait_for(lambda: shell.toolbar.startswith("1 processing"), "a running job")
    shell.type(CTRL_D)
    shell.see("stay (c)?")
    shell.type("c")
    shell.see_line("queuectl>")
    shell.run("status", "1 processing; 1 worker")
    shell.type(CTRL_D)
    shell.wait_for(lambda: shell.text.count("stay (c)?") == 2, "the question again")
    shell.type("w")
    shell.see("waiting for job 1")
    shell.type(CTRL_D)
    shell.wait_for(lambda: shell.text.count("stay (c)?") == 3, "the question after Ctrl-D")
    shell.type("w")
    shell.wait_for(lambda: shell.text.count("waiting for job 1") == 2, "waiting again")
    shell.type(CTRL_C)
    shell.wait_for(lambda: shell.text.count("stay (c)?") == 4, "the question after Ctrl-C")
    shell.type("s")
    assert shell.exit_status() == 0


def test_sigterm_hands_jobs_back_and_restores_the_terminal(shell: Shell) -> None:
    shell.run("worker start")
    shell.run("enqueue sleep 60")
    shell.wait_for(lambda: shell.toolbar.startswith("1 processing"), "a running job")
    shell.type("half a line")
    shell.see_line("queuectl> half a line")
    shell.process.send_signal(signal.SIGTERM)
    assert shell.exit_status() == 128 + signal.SIGTERM
    assert states(shell) == {1: "pending"}
    assert shell.modes()[3] & termios.ECHO
    assert shell.modes()[3] & termios.ICANON
    assert shell.modes()[3] & termios.ISIG


def test_sigterm_during_a_command_ends_the_shell(shell: Shell) -> None:
    shell.run("enqueue true")
    shell.type("wait" + ENTER)
    shell.see("no workers anywhere: it waits; start one with `worker start`")
    shell.process.send_signal(signal.SIGTERM)
    assert shell.exit_status() == 128 + signal.SIGTERM


def test_a_closed_window_costs_no_job(shell: Shell) -> None:
    shell.run("worker start")
    shell.run("enqueue sleep 1")
    shell.wait_for(lambda: shell.toolbar.startswith("1 processing"), "a running job")
    shell.hang_up()
    assert shell.exit_status() == 128 + signal.SIGHUP
    shell.queuectl("wait", "1", "--timeout", "10s")
    assert states(shell) == {1: "completed"}


def test_json_goes_on_until_its_braces_close(shell: Shell) -> None:
    shell.type('enqueue {"command": "echo",' + ENTER)
    shell.see_line(".........")
    shell.see("goes on until its braces close")
    shell.type('"args": ["a  b"]' + ENTER)
    shell.run("}", "job 1 enqueued")
    shell.run("status 1", "a  b")


def test_an_unknown_word_gets_a_hint(shell: Shell) -> None:
    shell.run("ls", "Run it now: !ls; queue it: enqueue ls; jobs: list")
    shell.run("lst", "did you mean list?")
    shell.run("list | grep x", "| means nothing here")


def test_twenty_columns(tmp_path: Path) -> None:
    with Shell(tmp_path, columns=20, rows=12, first="> ") as shell:
        shell.type("worker start 2" + ENTER)
        shell.see("2 workers")
        shell.type("enqueue true" + ENTER)
        shell.wait_for(
            lambda: "job1completed(exit0" in shell.text.replace("\n", "").replace(" ", ""),
            "a notice",
        )
        shell.wait_for(lambda: shell.toolbar.endswith("0/2w"), "a toolbar that fits")
        shell.type("list --st")
        shell.see("--state")
        shell.resize(70, 20)
        shell.wait_for(lambda: "workers busy" in shell.toolbar, "a toolbar with more room")
        shell.wait_for(
            lambda: shell.line.endswith("> list --st"), "the line after the window has grown"
        )


def test_the_menu_shows_live_jobs_and_takes_one(shell: Shell) -> None:
    shell.run("enqueue sleep 11", "job 1 enqueued")
    shell.run("enqueue --name late sleep 22", "job 2 enqueued")
    shell.run("cancel 1", "job 1 cancelled")
    shell.type("cancel ")
    shell.see("2 late")
    shell.see("pending  sleep 22")
    assert "sleep 11" not in "\n".join(shell.rows[-10:])
    shell.type(TAB)
    shell.wait_for(lambda: shell.line == "queuectl> cancel 2", "the id in the line")
    shell.run("", "job 2 cancelled")


def test_enter_on_a_chosen_word_closes_the_menu_and_runs_nothing(shell: Shell) -> None:
    shell.type("list --state c")
    shell.see("cancelled")
    shell.type(TAB)
    shell.see_line("queuectl> list --state completed")
    shell.type(ENTER)
    shell.wait_for(lambda: "0 jobs" not in shell.text, "the menu closed")
    shell.see_line("queuectl> list --state completed")
    shell.run("", "No jobs yet")


def test_the_only_completion_is_taken_at_once(shell: Shell) -> None:
    shell.type("wor" + TAB)
    shell.wait_for(lambda: shell.line == "queuectl> worker", "the word")
    shell.type("li" + TAB)
    shell.wait_for(lambda: shell.line == "queuectl> worker list", "both words")
    shell.run("", "no workers are running")


def test_one_types_on_behind_the_only_completion(shell: Shell) -> None:
    shell.type("enq" + TAB)
    shell.wait_for(lambda: shell.line == "queuectl> enqueue", "the word")
    shell.type("--max-r" + TAB + "0 exit 3")
    shell.wait_for(lambda: shell.line == "queuectl> enqueue --max-retries 0 exit 3", "the line")
    shell.run("", "job 1 enqueued: exit 3  (max-retries 0)")


def test_history_lasts_and_keeps_no_line_that_begins_with_a_blank(tmp_path: Path) -> None:
    with Shell(tmp_path) as shell:
        shell.run("version")
        shell.run(" enqueue --env TOKEN=secret true", "job 1 enqueued")
        shell.type("exit" + ENTER)
        assert shell.exit_status() == 0
    file = tmp_path / "state" / "history"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert "secret" not in file.read_text()
    with Shell(tmp_path) as shell:
        shell.type(UP + UP)
        shell.see_line("queuectl> version")
        shell.type(CTRL_C)
        shell.type(CTRL_R + "vers")
        shell.see("version")


def test_pasted_lines_run_in_order(shell: Shell) -> None:
    script = "".join(f"enqueue echo {number}\n" for number in range(200))
    shell.paste(script + 'enqueue {"command":\n "echo json"}\nworker list\nlist --state fai')
    shell.see("job 201 enqueued: echo json")
    shell.see("no workers are running")
    shell.see_line("queuectl> list --state fai")
    text = shell.text
    assert text.index("job 1 enqueued: echo 0") < text.index("job 200 enqueued: echo 199")
    assert states(shell) == dict.fromkeys(range(1, 202), "pending")


def test_one_pasted_line_waits_for_enter(shell: Shell) -> None:
    shell.paste("remove all --yes\n")
    shell.see_line("queuectl> remove all --yes")
    shell.run("", "there are no jobs yet")


def test_many_jobs_are_touched_only_after_a_yes(shell: Shell) -> None:
    shell.paste("enqueue true\nenqueue true\nversion\n")
    shell.see("queuectl 0")
    shell.type("cancel all" + ENTER)
    shell.see("cancel 2 jobs? [y/n]")
    shell.type("n")
    shell.see("nothing was changed")
    shell.type("cancel all" + ENTER)
    shell.wait_for(lambda: shell.text.count("[y/n]") == 2, "the question again")
    shell.type("y")
    shell.see("job 2 cancelled")


def test_the_toolbar_follows_other_processes(shell: Shell) -> None:
    shell.wait_for(lambda: shell.toolbar.startswith("no jobs"), "an empty store")
    shell.queuectl("enqueue", "true")
    shell.wait_for(lambda: shell.toolbar.startswith("1 pending"), "a job of another process")


def test_a_dumb_terminal_will_do(tmp_path: Path) -> None:
    with Shell(tmp_path, environ={"TERM": "dumb"}) as shell:
        shell.type("worker start" + ENTER)
        shell.see("1 worker")
        shell.type("enqueue echo hi" + ENTER)
        shell.see("job 1 enqueued: echo hi")
        shell.queuectl("wait", "1")
        shell.type("exit" + ENTER)
        assert shell.exit_status() == 0
        assert b"\x1b" not in shell.written


def test_no_colour_when_none_is_wanted(tmp_path: Path) -> None:
    with Shell(tmp_path, environ={"NO_COLOR": "1"}) as shell:
        shell.run("nonsense", "no command")
        for colour in (b"\x1b[31m", b"\x1b[0;31m", b"\x1b[32m", b"38;5"):
            assert colour not in shell.written


def test_cd_and_pwd_are_about_the_jobs(shell: Shell) -> None:
    (shell.directory / "folder").mkdir()
    shell.type("cd fol" + TAB)
    shell.wait_for(lambda: shell.line == "queuectl> cd folder/", "the directory")
    shell.run("", f"{shell.directory}/folder")
    shell.run("pwd", f"{shell.directory}/folder")
    shell.run("!pwd", f"{shell.directory}/folder")


def test_json_answers_when_started_with_json(tmp_path: Path) -> None:
    with Shell(tmp_path, "--json", columns=140) as shell:
        shell.run("list", "[]")
        shell.run("nonsense", '"exit_code": 2')
