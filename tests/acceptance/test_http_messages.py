"""What is said of a server that cannot be reached, or cannot be started: the fault, by its name."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import queuectl
from queuectl import client
from queuectl.errors import Refused, StoreUnavailable, UsageError
from queuectl.intake.http.server import HttpIntake, Solo, Tls, Tokens, parse_bind
from queuectl.store import open_store
from tests.acceptance.test_http import certify
from tests.support.http_server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queuectl.store.base import Store
    from tests.support.cli import Cli

TOKEN = "x" * 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database file."""
    made = open_store(str(tmp_path / "queue.db"))
    yield made
    made.close()


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    """A server over it."""
    with Server(store) as made:
        yield made


def _asked(url: str) -> str:
    """Return what is said to who asks there."""
    with closing(open_store(url)) as remote, pytest.raises(StoreUnavailable) as told:
        remote.counts()
    return told.value.message


# ---- reaching one -------------------------------------------------------------------------------


def test_a_store_of_no_kind_is_told_of_all_kinds() -> None:
    """Servers too."""
    with pytest.raises(UsageError, match=r"http://host:port"):
        open_store("ftp://h")


def test_a_certificate_file_that_is_not_there_is_named(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL says nothing of it, and then trusts nobody of that kind."""
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    certify(certificate, key)
    intake = HttpIntake(
        Solo(store), "127.0.0.1:0", Tls(certificate, key), Tokens([("admin", TOKEN)])
    )
    intake.start()
    try:
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/cert.pem")
        said = _asked(intake.url)
        assert said.endswith("; SSL_CERT_FILE=/nowhere/cert.pem: No such file or directory")
        monkeypatch.delenv("SSL_CERT_FILE")
        assert "SSL_CERT_FILE" not in _asked(intake.url)
    finally:
        assert intake.stop()


def test_one_that_speaks_http_is_not_asked_for_https(server: Server) -> None:
    """The fault is in the URL, and so is the mend."""
    said = _asked(server.url.replace("http:", "https:"))
    assert said.endswith(f"it speaks http, not https: {server.url}")


@pytest.mark.parametrize(
    ("line", "hopeless"),
    [(b"error: no queue 'POST'\n", True), (b"HTTP/1.1 2", False), (b"HT", False)],
)
def test_one_that_speaks_no_http_is_given_up(line: bytes, hopeless: bool) -> None:
    """At once, and in one line; one that broke off in the middle is asked again."""
    asked = threading.Semaphore(0)

    def answer(listening: socket.socket) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            with sock:
                sock.recv(65536)
                asked.release()
                sock.sendall(line)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        said = _asked(f"http://127.0.0.1:{listening.getsockname()[1]}")
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert "\n" not in said
    assert said.endswith("speaks no HTTP") == hopeless
    assert asked.acquire(blocking=False)
    assert asked.acquire(blocking=False) != hopeless


def test_a_token_that_is_not_known_says_where_it_is_from(cli: Cli, server: Server) -> None:
    """Its file or the URL; never the token, and nothing of headers."""
    path = cli.directory / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    cli.env["QUEUECTL_STORE"] = server.url
    for words in (("status", "--token-file", "token"), ("status",)):
        if words == ("status",):
            cli.env["QUEUECTL_TOKEN_FILE"] = str(path)
        said = cli.refused(1, *words)
        assert said == f"queuectl: {server.url} does not know the token in {path}"
    cli.env["QUEUECTL_STORE"] = server.url.replace("://", f"://{TOKEN}@")
    said = cli.refused(1, "status")
    assert said == f"queuectl: {server.url} does not know the token in its URL"
    with (
        queuectl.connect(cli.env["QUEUECTL_STORE"], token_file=str(path)) as q,
        pytest.raises(Refused, match=f"the token in {path}"),
    ):
        q.queues()


def test_a_body_of_another_type_is_told_its_type(server: Server, store: Store) -> None:
    """As a client may send one that nobody typed."""
    store.create_queue("q", pull=True)
    form = "application/x-www-form-urlencoded"
    status, answer, _ = server.raw("POST", "/queues/q/messages", b"a", Content_Type=form)
    assert status == 415
    assert f"Content-Type is '{form}'".encode() in answer


@pytest.mark.parametrize("server_name", ["127.0.0.1:9", "nowhere.invalid:8470"])
def test_a_client_of_jqueue_says_once_that_nothing_answers(
    server_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At its first try, not at its last; and once, however often it is asked."""
    thread = client.ClientThread(server_name)
    thread.start()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            thread.get_job(0.7)
    thread.join()
    (said,) = [one for one in caplog.records if one.name == "queuectl.client"]
    assert said.levelno == logging.WARNING
    assert f"http://{server_name}" in said.getMessage()


# ---- starting one -------------------------------------------------------------------------------


def test_a_word_without_a_port_is_no_address() -> None:
    """An IP address alone is one, so is this machine's name for itself."""
    assert parse_bind("localhost") == ("localhost", 8470)
    assert parse_bind("::1") == ("::1", 8470)
    for text in ("foo", "box:"):
        with pytest.raises(UsageError, match=f"--http {text}: no port: HOST:PORT"):
            parse_bind(text)


def test_a_certificate_or_key_that_cannot_be_used_is_named(store: Store, tmp_path: Path) -> None:
    """Which of the two, and what is wrong with it."""
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    tokens = Tokens([("admin", TOKEN)])

    def refused() -> str:
        intake = HttpIntake(Solo(store), "127.0.0.1:0", Tls(certificate, key), tokens)
        with pytest.raises(Refused) as told:
            intake.start()
        return told.value.message

    assert f"certificate {certificate}: No such file" in refused()
    certify(certificate, str(tmp_path / "other.pem"))
    assert f"key of the certificate {key}: No such file" in refused()
    certify(str(tmp_path / "another.pem"), key)
    assert f"{certificate} and {key} cannot be used" in refused()
