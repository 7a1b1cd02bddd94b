"""Which directory spool files are in, and what is said when that is not the one that is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.hosts import eventually
from tests.support.service import Service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Cli

NOWHERE = "there is no such directory"


def test_produce_says_where_is_read(cli: Cli, tmp_path: Path) -> None:
    """When a service here reads another directory than the default one, and nobody reads that."""
    (tmp_path / "elsewhere").mkdir()
    cli.ok("queue", "create", "q", "--command", "true", "--accept-messages")
    with Service(cli, "--spool", "elsewhere") as service:
        done = cli.run("produce", "q", "x")
        assert done.returncode == 0
        assert (tmp_path / "state" / "spool" / "q.queue").read_text() == "x\n"
        assert f"--spool {tmp_path}/elsewhere" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        # who names one knows
        assert cli.run("produce", "--spool", "elsewhere", "q", "x").stderr == ""
        with Service(cli, "-q", "q", "cat", command="consume") as consumer:
            assert cli.run("produce", "q", "x").stderr == ""
            assert f"--spool {tmp_path}/elsewhere" in cli.run("produce", "another", "x").stderr
            consumer.stop()
        assert cli.run("produce", "q", "x").stderr
        service.process.kill()
        service.process.wait()
    # a dead one reads nothing
    assert cli.run("produce", "q", "x").stderr == ""


def test_only_the_default_directory_is_made(cli: Cli, tmp_path: Path) -> None:
    """One that somebody names must be there, by whatever way and for whatever command."""
    nowhere = tmp_path / "nosuch"
    produce, consume = ("q", "x"), ("-q", "x", "cat")
    for command, words in (("produce", produce), ("serve", ()), ("consume", consume)):
        said = cli.refused(2, command, "--spool", str(nowhere), *words)
        assert f"--spool {nowhere}: {NOWHERE}" in said
    cli.env["QUEUECTL_SPOOL"] = str(nowhere)
    for command, words in (("produce", produce), ("consume", consume)):
        assert f"QUEUECTL_SPOOL={nowhere}: {NOWHERE}" in cli.refused(2, command, *words)
    assert not nowhere.exists()
    assert "x" not in {queue["queue"] for queue in cli.json("queue", "list")}
    nowhere.write_text("")
    assert "no directory" in cli.refused(2, "consume", "-q", "x", "cat")
    del cli.env["QUEUECTL_SPOOL"]
    assert "no directory" in cli.refused(2, "serve", "--spool", str(nowhere))
    assert "no directory" in cli.refused(2, "produce", "--spool", str(nowhere), "q", "x")
    with Service(cli, "-q", "x", "cat", command="consume") as service:
        cli.ok("produce", "x", "one")
        eventually(lambda: bool(cli.json("list")))
        service.stop()


def test_a_flag_behind_the_messages_is_refused(cli: Cli) -> None:
    """It would be a message, too; behind -- it is one."""
    told = cli.refused(2, "produce", "q", "a", "--spool", "/tmp/x")
    assert "--spool behind a message would be one, too" in told
    assert "--json" in cli.refused(2, "produce", "q", "a", "--json")
    assert cli.ok("produce", "q", "--", "a", "--spool").startswith("2 messages appended")
