"""`serve`, its unit and its background: what cannot work is refused at once, and nothing is started."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Cli

WAYS = ("--install-unit", "--detach", "")


def without(cli: Cli, module: str) -> None:
    """Take a module away from the processes of a test."""
    directory = cli.directory / "without"
    directory.mkdir()
    text = f"raise ModuleNotFoundError(\"No module named '{module}'\", name={module!r})\n"
    (directory / f"{module}.py").write_text(text)
    cli.env["PYTHONPATH"] = f"{directory}{os.pathsep}{cli.env['PYTHONPATH']}"


def refused(cli: Cli, code: int, words: tuple[str, ...], way: str) -> str:
    """Expect one line and nothing else, neither a unit nor a host."""
    said = cli.refused(code, "serve", *words, *([way] if way else []))
    assert not (cli.directory / ".config").exists()
    assert cli.json("worker", "list") == []
    return said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("code", "words", "named"),
    [
        (2, ("--spool", "/nosuchdir"), "/nosuchdir: there is no such directory"),
        (2, ("--spool", "/etc/hostname"), "/etc/hostname: that is no directory"),
        (2, ("--messages", "bogus"), "HOST:PORT"),
        (2, ("--messages", "0.0.0.0:0"), "--allow-remote"),
        (1, ("--http", "0.0.0.0:8470"), "without TLS"),
        (2, ("--http", "foo:bar"), "HOST:PORT"),
        (1, ("--http", "127.0.0.1:0", "--tls-cert", "a", "--tls-key", "b"), "certificate"),
        (2, ("--http", "127.0.0.1:0", "--token-file", "nowhere"), "nowhere"),
        (1, ("--socket", "/nosuchdir/socket"), "/nosuchdir"),
        (2, ("--resource", "gpu"), "gpu"),
        (2, ("--tls-cert", "a"), "--tls-key"),
        (3, ("--queue", "nowhere"), "nowhere"),
    ],
)
def test_flags_that_cannot_work(
    cli: Cli, code: int, words: tuple[str, ...], named: str, way: str
) -> None:
    """With the same words and the same code in the foreground, in the background and for systemd."""
    assert named in refused(cli, code, words, way)


@pytest.mark.parametrize("way", WAYS)
def test_a_missing_extra_of_the_server(cli: Cli, way: str) -> None:
    """It says what to install, and from where: the name belongs to somebody else elsewhere."""
    without(cli, "uvicorn")
    said = refused(cli, 1, ("--http", "127.0.0.1:0"), way)
    assert "pip install '.[serve]'" in said
    assert "clone" in said
    assert "uvicorn" in said


def test_a_missing_extra_of_a_store(cli: Cli) -> None:
    """The same cause has the same code."""
    without(cli, "psycopg")
    said = cli.refused(1, "--store", "postgresql://localhost/jobs", "status")
    assert "pip install '.[postgres]'" in said
    assert "clone" in said


def test_a_usage_error_is_not_tried_again(cli: Cli) -> None:
    """What failed is started anew, but not what cannot be understood."""
    cli.ok("serve", "--install-unit")
    unit = cli.directory / ".config" / "systemd" / "user" / "queuectl.service"
    assert "\nRestartPreventExitStatus=2\n" in unit.read_text()


@pytest.mark.parametrize("words", [("serve",), ("worker", "start")])
@pytest.mark.parametrize("kind", ["none", "file", "foreign"])
def test_a_log_that_cannot_be_written(
    cli: Cli, tmp_path: Path, words: tuple[str, ...], kind: str
) -> None:
    """Nobody is told of a log that is not there; nothing is started."""
    logs = {"none": "/proc/x", "file": str(tmp_path / "file"), "foreign": str(tmp_path / "foreign")}
    (tmp_path / "file").write_text("")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign").chmod(0o500)
    cli.env["QUEUECTL_LOG_DIR"] = logs[kind]
    if kind == "foreign" and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    said = cli.refused(1, *words, "--detach")
    assert logs[kind] in said
    assert cli.json("worker", "list") == []


def test_a_full_set_of_flags_is_accepted(cli: Cli, tmp_path: Path) -> None:
    """What would run has a unit; looking at it takes no address and makes no file of tokens."""
    (tmp_path / "spool").mkdir()
    words = (
        "--messages",
        "127.0.0.1:1234",
        "--http",
        "127.0.0.1:8470",
        "--spool",
        "spool",
        "--resource",
        "gpu=1",
    )
    cli.ok("serve", *words, "--install-unit")
    assert not (tmp_path / "state" / "tokens").exists()


@pytest.mark.skipif(not os.path.exists("/usr/bin/openssl"), reason="makes a certificate")
def test_a_certificate_is_looked_at(cli: Cli, tmp_path: Path) -> None:
    """A key that belongs to another one is refused."""
    for name in ("a", "b"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
             "-keyout", f"{name}.key", "-out", f"{name}.pem"],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
    flags = ("serve", "--http", "0.0.0.0:8470", "--tls-cert", "a.pem", "--tls-key")
    assert "certificate" in cli.refused(1, *flags, "b.key", "--install-unit")
    cli.ok(*flags, "a.key", "--install-unit")
