"""isqueue's README from top to bottom: spool files, a consumer, and messages by TCP."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.hosts import eventually
from tests.support.service import Service

if TYPE_CHECKING:
    from tests.support.cli import Cli

#: tells what it was given: each argument on a line of its own
IDENTIFY = '#!/bin/sh\nprintf "%s\\n" "$#" "$@" >>"$0.out"\n'


def identify(directory: Path) -> Path:
    """Return the README's script: it takes the message as its last argument."""
    script = directory / "identify.sh"
    script.write_text(IDENTIFY)
    script.chmod(0o755)
    return script


def said(script: Path) -> list[str]:
    """Return the messages that the script was given, in order of the jobs."""
    out = script.with_suffix(".sh.out")
    lines = out.read_text(errors="surrogateescape").split("\n")[:-1] if out.exists() else []
    assert lines[::2] == ["1"] * len(lines[::2])
    return lines[1::2]


def spool(cli: Cli) -> Path:
    directory = cli.directory / "spool"
    directory.mkdir()
    return directory


def test_the_readme_from_top_to_bottom(cli: Cli) -> None:
    """Produce, peek, consume with four processes, and count what waits."""
    script, directory = identify(cli.directory), spool(cli)
    cli.env["QUEUECTL_SPOOL"] = str(directory)
    # sent before anybody listens: the queue is a text file
    for url in ("google.com", "yahoo.com", "darkcoding.net"):
        cli.ok("produce", "server_type", url)
    file = directory / "server_type.queue"
    assert file.read_text() == "google.com\nyahoo.com\ndarkcoding.net\n"
    with Service(cli, "-p", "4", "-q", "server_type", str(script), command="consume") as service:
        assert service.facts["workers"] == 4
        eventually(lambda: len(said(script)) == 3)
        # another one, by hand
        with file.open("a") as spooled:
            spooled.write("github.com\n")
        eventually(lambda: len(said(script)) == 4)
        assert service.stop() == 0
    assert sorted(said(script)) == ["darkcoding.net", "github.com", "google.com", "yahoo.com"]
    # while nobody consumes they wait, and can be counted
    cli.ok("produce", "server_type", "one", "two")
    with Service(cli, "-p", "1", "-q", "server_type", str(script), command="consume"):
        eventually(lambda: len(said(script)) == 6)
    assert said(script)[4:] == ["one", "two"]


def test_messages_by_network(cli: Cli) -> None:
    """`echo … | nc`, and Python without a newline, as the README has them."""
    script = identify(cli.directory)
    cli.ok("queue", "create", "server_type", "--command", str(script), "--accept-messages")
    with Service(cli, "--messages", "127.0.0.1:0") as service:
        assert service.say(b"server_type github.com\n") == "ok 1\n"
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.connect(("127.0.0.1", service.port))
        sock.send(b"server_type gs.com")
        sock.close()
        eventually(lambda: said(script) == ["github.com", "gs.com"])


@pytest.mark.skipif(not shutil.which("nc"), reason="the pages' own lines")
def test_the_lines_with_netcat(cli: Cli) -> None:
    """Those of the pages: they return at once, whichever netcat is there."""
    cli.ok("queue", "create", "server_type", "--command", "true", "--accept-messages")
    page = Path("docs/howto/run-as-a-service.md").read_text()
    (line,) = re.findall(r"^\$ (echo .* \| nc .*)$", page, re.MULTILINE)
    if "-N" not in subprocess.run(["nc", "-h"], capture_output=True, text=True, check=False).stderr:
        line = line.replace(" -N", "")
    with Service(cli, "--messages", "127.0.0.1:0", "--workers", "0") as service:
        line = line.replace(" 1234", f" {service.port}")
        done = subprocess.run(line, shell=True, capture_output=True, timeout=30, check=True)
        assert done.stdout == b"ok 1\n"


def test_no_message_is_mangled(cli: Cli) -> None:
    """Blanks, stars, quotes, bytes that are no text: one argument, as it came, by every way."""
    script, directory = identify(cli.directory), spool(cli)
    cli.ok("queue", "create", "q", "--command", str(script), "--accept-messages")
    messages = [
        "  two  blanks ",
        "*",
        "$(touch owned); `id`",
        "a'b\"c\\d",
        "-n",
        "tab\there",
        "\udcff\udc80é",
    ]
    with Service(cli, "--messages", ":0", "--spool", str(directory)) as service:
        data = b"".join(b"q " + os.fsencode(message) + b"\n" for message in messages)
        assert service.say(data).split() == [w for n in range(1, 8) for w in ("ok", str(n))]
        with (directory / "q.queue").open("ab") as spooled:
            spooled.write(b"".join(os.fsencode(message) + b"\n" for message in messages))
        eventually(lambda: len(said(script)) == 14)
        cli.ok(
            "produce",
            "--spool",
            str(directory),
            "q",
            *(f" {m}" if m == "-n" else m for m in messages[:-1]),
        )
        eventually(lambda: len(said(script)) == 20)
    assert said(script)[:7] == messages
    assert said(script)[7:14] == messages
    assert not (cli.directory / "owned").exists()


def test_bytes_that_are_no_text_are_shown_as_such(cli: Cli) -> None:
    """Where an answer names what was said."""
    cli.ok("queue", "create", "q", "--command", "echo", "--accept-messages")
    with Service(cli, "--messages", "127.0.0.1:0", "--workers", "0") as service:
        assert service.say(b"\xff\xfe\x00b x\n\xff\n\\udcff x\n").splitlines() == [
            r"error no queue '\xff\xfe\x00b'",
            r"error no message for queue '\xff': a line is QUEUE MESSAGE",
            r"error no queue '\\udcff'",
        ]
        with service.connect() as sock:
            sock.sendall(b"queue: echo \xff\xfe \xc3\xa9\nstatus: 1\n")
            with sock.makefile() as answers:
                assert json.loads(answers.readline())["message"] == r"Job queued: echo \xff\xfe é"
                assert json.loads(answers.readline())["command"] == r"echo \xff\xfe é"
        service.stop()


def test_two_hundred_clients_at_once(cli: Cli) -> None:
    """Each gets an answer of its own, and each message becomes one job."""
    cli.ok("queue", "create", "q", "--command", "true", "--accept-messages")
    with Service(cli, "--workers", "0", "--messages", "127.0.0.1:0") as service:
        with ThreadPoolExecutor(200) as pool:
            answers = list(pool.map(lambda number: service.say(b"q %d\n" % number), range(200)))
        jobs = {job["id"]: job["message"] for job in service.ask("list")[0]}
        assert sorted(jobs.values(), key=int) == [str(number) for number in range(200)]
        told = [jobs[int(answer.removeprefix("ok "))] for answer in answers]
        assert told == [str(number) for number in range(200)]


def test_only_queues_that_say_so_take_messages(cli: Cli) -> None:
    """Nobody can run a command of their own, and each line gets its answer in its place."""
    cli.ok("queue", "create", "open", "--command", "echo", "--accept-messages")
    cli.ok("queue", "create", "closed", "--command", "echo")
    with Service(cli, "--messages", "127.0.0.1:0") as service:
        answers = service.say(
            b"closed x\ndefault rm -rf /\nopn x\nopen\nopen nul\0byte\nopen ok\n\n"
        ).splitlines()
        assert [answer.split()[0] for answer in answers] == ["error"] * 5 + ["ok"]
        assert "--accept-messages" in answers[0]
        assert "did you mean open?" in answers[2]
        long = b"open " + b"x" * 140_000
        assert "more than" in service.say(long + b"\n")
        assert "no HTTP" in service.say(b"POST / HTTP/1.1\r\n\r\nopen evil\r\n")
        assert len(service.ask("list")[0]) == 1


def test_a_line_without_a_queue_ends_nothing(cli: Cli) -> None:
    """One that begins with a blank is an error like any other: those behind it have their answers."""
    cli.ok("queue", "create", "open", "--command", "echo", "--accept-messages")
    with Service(cli, "--messages", "127.0.0.1:0") as service:
        answers = service.say(b" open x\nopen a\n \nopen b\n").splitlines()
        assert answers == [
            "error no queue before the blank: a line is QUEUE MESSAGE", "ok 1", "ok 2",
        ]  # fmt: skip


def test_what_is_not_for_us_is_refused_and_said_once(cli: Cli) -> None:
    """A symbolic link, another's file, a name that is none: said once, nothing is read."""
    directory = spool(cli)
    cli.ok("queue", "create", "q", "--command", "echo", "--accept-messages")
    cli.ok("queue", "create", "other", "--command", "echo", "--accept-messages")
    (cli.directory / "secret").write_text("secret\n")
    (directory / "q.queue").symlink_to(cli.directory / "secret")
    (directory / "bad name.queue").write_text("x\n")
    (directory / "nowhere.queue").write_text("x\n")
    (directory / "other.queue").write_text("x\n")
    if os.geteuid() == 0:
        os.chown(directory / "other.queue", 12345, 12345)
    else:
        (directory / "other.queue").unlink()
    os.mkfifo(directory / "default.queue")
    with Service(cli, "--spool", str(directory)) as service:
        eventually(lambda: "nowhere" in service.log)
        service.signal(signal.SIGHUP)
        eventually(lambda: "read again" in service.log)
        assert service.ask("list")[0] == []
        (directory / "marker.queue").write_text("x\n")
        eventually(lambda: "marker" in service.log)
        for text in ("symbolic link", "bad name.queue", "no queue 'nowhere'", "no regular file"):
            # once at the beginning, once after the hang-up
            assert 1 <= service.log.count(text) <= 2, service.log
        assert "queue create" not in service.log
        assert "queue: 'bad name' is not a queue's name" in service.log
    refused = cli.refused(2, "produce", "--spool", str(directory), "../q", "x")
    assert "no slash" in refused
    assert not (cli.directory / "q.queue").exists()


def test_a_queue_that_comes_later_gets_what_waited(cli: Cli) -> None:
    """Lines wait in their file until somebody wants them."""
    directory = spool(cli)
    (directory / "later.queue").write_text("one\ntwo\n")
    with Service(cli, "--spool", str(directory)) as service:
        eventually(lambda: "later" in service.log)
        service.ask("queue create later --command echo --accept-messages")
        eventually(lambda: len(service.ask("list")[0]) == 2)


def test_produce_needs_no_store(cli: Cli) -> None:
    """Nor a service; and it refuses what would become two lines."""
    directory = spool(cli)
    where = ("produce", "--spool", str(directory), "q")
    cli.ok("--store", "sqlite:///nowhere/at/all.db", *where, "x")
    assert "one line" in cli.refused(2, *where, "a\nb")
    assert "produce what" in cli.refused(2, *where)
    assert "produce: 'a b' is not a queue's name" in cli.refused(2, *where[:3], "a b", "x")
    assert "no such directory" in cli.refused(2, "produce", "--spool", "nowhere", "q", "x")
    # a line somebody left without an end does not swallow ours
    with (directory / "q.queue").open("a") as file:
        file.write("half")
    cli.ok(*where, "whole")
    assert (directory / "q.queue").read_text() == "x\nhalf\nwhole\n"


def test_producers_do_not_mix(cli: Cli) -> None:
    """Several processes at once: every line is whole."""
    directory = spool(cli)
    messages = [[f"{number}-{'x' * 5000}-{at}" for at in range(20)] for number in range(4)]
    started = [cli.start("produce", "--spool", str(directory), "q", *some) for some in messages]
    for process in started:
        assert process.wait(60) == 0
        process.communicate()
    lines = (directory / "q.queue").read_text().splitlines()
    assert sorted(lines) == sorted(message for some in messages for message in some)
