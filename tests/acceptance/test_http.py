"""The HTTP API as other languages use it, and `--store http://…` for everything else."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from queuectl.errors import Refused, StoreUnavailable, UsageError
from queuectl.host.recovery import Recoverer
from queuectl.host.worker import WorkerHost
from queuectl.intake.http.auth import Tokens
from queuectl.intake.http.server import HttpIntake, Solo, Tls, load_tokens, parse_bind
from queuectl.job import EXIT, NewJob, Outcome
from queuectl.store import open_store
from queuectl.store.base import Filter, HostInfo, Settlement, Start
from queuectl.store.remote.engine import remote_store
from tests.support.http_server import Server
from tests.support.proxy import Proxy
from tests.support.worker import Fifo, Workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from queuectl.store.base import Store
    from tests.support.cli import Cli

PATIENCE = 30


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


# ---- jobs ---------------------------------------------------------------------------------------


def test_a_job_from_enqueue_to_output(store: Store) -> None:
    """A server whose process has workers: enqueue, wait, look, read what it wrote."""
    host = WorkerHost(store)
    try:
        with Server(store, host) as server:
            host.start(1)
            made = server.ok("POST", "/jobs", {"command": "echo", "args": ["a b"]})
            waited = server.ok("POST", f"/jobs/{made['id']}/wait?timeout=30")
            assert waited["ended"]
            assert waited["job"]["state"] == "completed"
            assert server.raw("GET", f"/jobs/{made['id']}/output")[1] == b"a b\n"
            (attempt,) = server.ok("GET", f"/jobs/{made['id']}/attempts")["attempts"]
            assert (attempt["attempt"], attempt["code"]) == (1, 0)
            found = server.ok("GET", "/jobs?exit=0,KILL")["jobs"]
            assert [job["ending"] for job in found] == ["exit"]
            assert server.ok("GET", "/jobs?exit=signals")["jobs"] == []
    finally:
        host.close()


def test_output_is_followed_until_the_job_ends(store: Store, tmp_path: Path) -> None:
    """Bytes come while it runs; the answer ends with the job."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    host = WorkerHost(store)
    try:
        with Server(store, host) as server:
            host.start(1)
            line = f"echo one; sleep 0.2; read _ < {gate}; echo two >&2"
            made = server.ok("POST", "/jobs", {"command": line})
            address = server.url.partition("://")[2]
            connection = http.client.HTTPConnection(address, timeout=PATIENCE)
            headers = {"Authorization": f"Bearer {server.tokens['submit']}"}
            connection.request("GET", f"/jobs/{made['id']}/output?follow=1", headers=headers)
            answer = connection.getresponse()
            assert answer.read1() == b"one\n"
            gate.write_text("\n")
            assert answer.read() == b"two\n"
            connection.close()
            assert server.raw("GET", f"/jobs/{made['id']}/output?stream=stderr")[1] == b"two\n"
    finally:
        host.close()


def test_many_jobs_are_all_or_none(server: Server) -> None:
    """A bad one names itself, and nothing is enqueued."""
    status, answer = server.json("POST", "/jobs", [{"command": "a"}, {"comand": "b"}])
    assert status == 400
    assert answer["error"].startswith("job 1: command: missing")
    assert answer["exit_code"] == 2
    assert server.ok("GET", "/jobs")["jobs"] == []
    made = server.ok("POST", "/jobs", [{"command": "a"}, {"command": "b", "priority": 3}])
    assert made["ids"] == [1, 2]


def test_pages_of_jobs(server: Server) -> None:
    """Each answer says where the next page begins."""
    server.ok("POST", "/jobs", [{"command": str(number)} for number in range(25)])
    seen, after = [], 0
    while after is not None:
        page = server.ok("GET", f"/jobs?limit=10&state=pending&queue=default&after={after}")
        seen += [job["id"] for job in page["jobs"]]
        after = page["next"]
    assert seen == list(range(1, 26))


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "text"),
    [
        ("GET", "/jobs/7", None, 404, "no job 7"),
        ("GET", "/jobs/nobody", None, 404, "no job nobody"),
        ("GET", "/jobs?state=ded", None, 400, "did you mean dead"),
        ("GET", "/jobs?stat=dead", None, 400, "did you mean state"),
        ("GET", "/jobs?exit=nonsense", None, 400, "exit: 'nonsense'"),
        ("GET", "/jobs?limit=0", None, 400, "limit"),
        ("POST", "/jobs", {"command": "x", "queue": "gpu"}, 404, "no queue 'gpu'"),
        ("POST", "/jobs", [], 400, "empty"),
        ("POST", "/jobs", "x", 400, "object"),
        ("POST", "/queues", {"queue": "a b"}, 400, "no name"),
        ("POST", "/queues", {"queue": "default"}, 409, "already"),
        ("PUT", "/settings", {"max-retrys": 3}, 400, "did you mean max-retries"),
        ("PUT", "/settings", {"max-retries": -3}, 400, "max-retries"),
        ("POST", "/queues/default/messages", ["a"], 409, "no command"),
        ("POST", "/claims", {"queue": "nix"}, 404, "no queue"),
        ("POST", "/claims", {"queue": "default", "want": 0}, 400, "want"),
        ("POST", "/claims/1.1.x/renew", None, 404, "no such claim"),
        ("POST", "/store/nothing", {}, 400, "no method"),
        ("POST", "/store/add", {"args": [[{"!r": ["NewJob", 5]}]]}, 400, "command does not fit"),
        ("GET", "/nowhere", None, 404, "openapi.json"),
        ("DELETE", "/jobs", None, 405, "no such method"),
    ],
)  # fmt: skip
def test_bad_requests(  # noqa: PLR0917 - parameters of the test
    server: Server, method: str, path: str, data: object, status: int, text: str
) -> None:
    """One line that names the fault, and the fitting status."""
    got, answer = server.json(method, path, data)
    assert got == status, answer
    assert text in answer["error"]
    assert "\n" not in answer["error"]


def test_verbs(server: Server, store: Store) -> None:
    """Pause, resume, cancel, retry, delete; what cannot be done is refused with 409."""
    job_id = server.ok("POST", "/jobs", {"command": "true"})["id"]
    for verb, state in (("pause", "pending"), ("resume", "pending"), ("cancel", "cancelled"),
                        ("retry", "pending")):  # fmt: skip
        assert server.ok("POST", f"/jobs/{job_id}/{verb}")["state"] == state
    assert server.json("POST", f"/jobs/{job_id}/retry")[0] == 409
    server.ok("DELETE", f"/jobs/{job_id}")
    assert store.get(job_id) is None
    assert server.json("POST", f"/jobs/{job_id}/cancel")[0] == 404


# ---- who may what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "method", "path", "data", "status"),
    [
        (None, "GET", "/jobs", None, 401),
        (None, "GET", "/healthz", None, 200),
        (None, "GET", "/openapi.json", None, 200),
        ("submit", "GET", "/jobs", None, 200),
        ("submit", "POST", "/jobs", {"command": "true"}, 403),
        ("submit", "POST", "/store/add", {"args": [[{"!r": ["NewJob", "true"]}]]}, 403),
        ("submit", "POST", "/store/counts", {}, 200),
        ("submit", "POST", "/queues/quiet/messages", ["a"], 403),
        ("submit", "POST", "/queues/open/messages", ["a"], 201),
        ("work", "POST", "/queues/quiet/messages", ["a"], 201),
        ("work", "POST", "/jobs", {"command": "true"}, 201),
        ("work", "PUT", "/settings", {"max-retries": 1}, 403),
        ("work", "POST", "/store/set", {"args": ["max-retries", "1"]}, 403),
        ("admin", "PUT", "/settings", {"max-retries": 1}, 200),
    ],
)  # fmt: skip
def test_roles(  # noqa: PLR0917 - parameters of the test
    server: Server,
    store: Store,
    role: str | None,
    method: str,
    path: str,
    data: object,
    status: int,
) -> None:
    """Look and submit; work and enqueue; everything."""
    for queue, accept in (("quiet", "off"), ("open", "on")):
        store.create_queue(queue)
        store.set("command", "echo", queue)
        store.set("accept-messages", accept, queue)
    assert server.json(method, path, data, role)[0] == status


def test_a_message_becomes_one_argument(server: Server, store: Store) -> None:
    """Whatever is in it; text is a message a line."""
    store.create_queue("q")
    store.set("command", "echo -n", "q")
    body = b"a  b; rm *\n$HOME\n"
    status, answer, _ = server.raw("POST", "/queues/q/messages", body, Content_Type="text/plain")
    assert status == 201
    jobs = [store.get(job_id) for job_id in json.loads(answer)["ids"]]
    assert [job and job.args for job in jobs] == [("-n", "a  b; rm *"), ("-n", "$HOME")]


def test_an_unknown_token_is_refused(server: Server) -> None:
    """However it looks."""
    for header in ("Bearer x", "Bearer", "Basic abc", "Bearer \xff\xfe", "bearer " + "a" * 5000):
        status, _, headers = server.raw("GET", "/jobs", role=None, Authorization=header)
        assert status == 401
        assert headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_file_is_made_once(tmp_path: Path) -> None:
    """For its owner only, with a token for every role; one that others can read is refused."""
    path = tmp_path / "state" / "tokens"
    load_tokens(str(path), make=True)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    load_tokens(str(path), make=True)
    assert path.read_text() == text
    lines = dict(line.split(":") for line in text.splitlines() if line[0] != "#")
    assert set(lines) == {"submit", "work", "admin"}
    assert load_tokens(str(path)).role_of(lines["work"]) == "work"
    path.chmod(0o644)
    with pytest.raises(Refused, match="chmod 600"):
        load_tokens(str(path))


@pytest.mark.parametrize("text", ["root:" + "x" * 20, "admin:short", "", "# nothing"])
def test_a_bad_token_file(tmp_path: Path, text: str) -> None:
    """It is named, with what is wrong."""
    path = tmp_path / "tokens"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(UsageError):
        load_tokens(str(path))


def test_it_does_not_listen_to_the_world_by_accident(store: Store) -> None:
    """Beyond this machine only with TLS, anywhere only with tokens, unless that is meant."""
    tokens = Tokens([("admin", "x" * 20)])
    for bind in ("0.0.0.0:0", "[::]:0", "192.168.1.1:0"):
        with pytest.raises(Refused, match="TLS"):
            HttpIntake(Solo(store), bind, None, tokens)
        HttpIntake(Solo(store), bind, Tls("c", "k"), tokens)
        HttpIntake(Solo(store), bind, None, tokens, allow_insecure=True)
    with pytest.raises(Refused, match="tokens"):
        HttpIntake(Solo(store), "127.0.0.1:0")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", ("127.0.0.1", 8470)), ("9000", ("127.0.0.1", 9000)), (":9000", ("127.0.0.1", 9000)),
        ("0.0.0.0", ("0.0.0.0", 8470)), ("[::1]:80", ("::1", 80)), ("box:1", ("box", 1)),
    ],
)  # fmt: skip
def test_addresses(text: str, address: tuple[str, int]) -> None:
    """A port, a host, or both; this machine only when no host is named."""
    assert parse_bind(text) == address


def test_a_bad_address_or_one_that_is_taken(store: Store, server: Server) -> None:
    """One line each."""
    tokens = Tokens([("admin", "x" * 20)])
    with pytest.raises(UsageError, match="HOST:PORT"):
        parse_bind("box:99999")
    again = HttpIntake(Solo(store), server.url.partition("://")[2], None, tokens)
    with pytest.raises(Refused, match="in use"):
        again.start()


def certify(certificate: str, key: str) -> None:
    """Make a certificate for this machine that nobody has signed."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip


def test_tls(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that trusts the certificate is served; one that does not says so."""
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    certify(certificate, key)
    tokens = Tokens([("admin", "x" * 20)])
    intake = HttpIntake(Solo(store), "127.0.0.1:0", Tls(certificate, key), tokens)
    intake.start()
    try:
        url = intake.url.replace("://", f"://{'x' * 20}@")
        with pytest.raises(StoreUnavailable, match="certificate is not trusted"):
            open_store(url).counts()
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        remote = open_store(url)
        assert remote.counts()["pending"] == 0
        intake.reload(Tokens([("admin", "y" * 20)]))
        with pytest.raises(Refused, match="token"):
            remote.counts()
        # a certificate that cannot be used changes nothing
        (tmp_path / "key.pem").write_text("no key")
        with pytest.raises(Refused, match="certificate"):
            intake.reload(Tokens([("admin", "z" * 20)]))
        fresh = open_store(url.replace("x" * 20, "y" * 20))
        assert fresh.counts()["pending"] == 0
        fresh.close()
        remote.close()
    finally:
        assert intake.stop()


def test_a_new_certificate_is_taken_without_a_pause(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the reload on who connects is shown it; who has connected is served on."""
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    certify(certificate, key)
    old = str(tmp_path / "old.pem")
    shutil.copy(certificate, old)
    intake = HttpIntake(
        Solo(store), "127.0.0.1:0", Tls(certificate, key), Tokens([("admin", "x" * 20)])
    )
    intake.start()
    try:
        url = intake.url.replace("://", f"://{'x' * 20}@")
        monkeypatch.setenv("SSL_CERT_FILE", old)
        connected = open_store(url)
        assert connected.counts()["pending"] == 0
        certify(certificate, key)
        intake.reload()
        assert connected.counts()["pending"] == 0
        with pytest.raises(StoreUnavailable, match="certificate is not trusted"):
            open_store(url).counts()
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        fresh = open_store(url)
        assert fresh.counts()["pending"] == 0
        fresh.close()
        connected.close()
    finally:
        assert intake.stop()


# ---- repeats ------------------------------------------------------------------------------------


def test_a_request_with_a_key_is_done_once(server: Server, store: Store) -> None:
    """The repeat gets the first answer; the same key for another request is an error."""
    key = str(uuid.uuid4())
    body = {"command": "true"}
    first = server.json("POST", "/jobs", body, Idempotency_Key=key)
    assert first == server.json("POST", "/jobs", body, Idempotency_Key=key)
    assert first[0] == 201
    assert sum(store.counts().values()) == 1
    status, answer = server.json("POST", "/jobs", {"command": "false"}, Idempotency_Key=key)
    assert status == 422
    assert "another request" in answer["error"]
    assert server.json("POST", "/jobs", body, Idempotency_Key="a b")[0] == 400


def test_the_same_key_from_many_at_once_is_done_once(server: Server, store: Store) -> None:
    """Whoever comes first; all get the same answer."""
    key = str(uuid.uuid4())

    def send(_: int) -> Any:
        return server.json("POST", "/jobs", {"command": "true"}, Idempotency_Key=key)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(32)))
    assert all(answer == answers[0] for answer in answers)
    assert sum(store.counts().values()) == 1


def test_an_answer_that_was_lost_is_given_again(server: Server, store: Store) -> None:
    """A remote store repeats what has no answer, with its key: nothing is done twice."""
    with Proxy(server.url) as proxy:
        remote = remote_store(proxy.url, {}, token=server.tokens["work"])
        proxy.lose(2)
        assert remote.add([NewJob("true")]) == [1]
        assert proxy.lost == 2
        remote.close()
    assert sum(store.counts().values()) == 1


def test_claims_whose_answers_never_came_are_not_lost(server: Server, store: Store) -> None:
    """When even the repeats get no answer, the next claim gets those jobs first."""
    with Proxy(server.url) as proxy:
        remote = remote_store(proxy.url, {}, token=server.tokens["work"])
        remote.add([NewJob("one")])
        remote.register(HostInfo("h", "b", "m", 1, "1", 1, (), remote.now(), remote.now()))
        proxy.lose(1000, b"claim")
        with pytest.raises(StoreUnavailable):
            remote.claim("h", 1)
        assert store.held_by("h")
        proxy.lose(0)
        remote.add([NewJob("two")])
        assert [claim.command for claim in remote.claim("h", 5)] == ["one"]
        assert [claim.command for claim in remote.claim("h", 5)] == ["two"]
        remote.close()


def test_a_group_that_failed_in_the_middle_is_not_done_twice(server: Server, store: Store) -> None:
    """The pump tries its whole batch again: what was done of it is answered from memory."""
    with Proxy(server.url) as proxy:
        remote = remote_store(proxy.url, {}, token=server.tokens["work"])

        def batch() -> list[int]:
            with remote.transaction():
                ids = remote.add([NewJob("true")])
                remote.cancel([ids[0]])
            return ids

        proxy.lose(1000, b"cancel")
        with pytest.raises(StoreUnavailable):
            batch()
        proxy.lose(0)
        assert batch() == [1]
        remote.close()
    assert store.counts()["cancelled"] == 1
    assert sum(store.counts().values()) == 1


# ---- claims -------------------------------------------------------------------------------------


def test_work_for_another_language(server: Server, store: Store) -> None:
    """Submit, claim, fetch the payload, renew, settle with a binary result, read it."""
    server.ok("POST", "/queues", {"queue": "wav", "pull": True})
    payload = bytes(range(256)) * 1000
    status, answer, _ = server.raw(
        "POST", "/queues/wav/messages", payload, Content_Type="application/octet-stream"
    )
    assert status == 201
    (claim,) = server.ok("POST", "/claims", {"queue": "wav"}, "work")["claims"]
    assert claim["payload"] is None
    assert server.raw("GET", claim["payload_url"], role="work")[1] == payload
    base = f"/claims/{claim['token']}"
    assert server.ok("POST", f"{base}/renew", role="work")["cancel_requested"] is False
    result = payload[::-1] * 3
    status, text, _ = server.raw("POST", f"{base}/settle", result, role="work")
    assert (status, json.loads(text)["state"]) == (200, "completed")
    assert server.raw("GET", f"/jobs/{claim['job_id']}/output")[1] == result
    for again in ("settle", "renew", "release"):
        assert server.json("POST", f"{base}/{again}", role="work")[0] == 409
    assert store.hosts() == []
    assert json.loads(answer)["ids"] == [claim["job_id"]]


def test_an_empty_payload_and_an_empty_result(server: Server) -> None:
    """They are bytes like others."""
    server.ok("POST", "/queues", {"queue": "q", "pull": True})
    server.raw("POST", "/queues/q/messages", b"", Content_Type="application/octet-stream")
    (claim,) = server.ok("POST", "/claims", {"queue": "q"})["claims"]
    assert base64.b64decode(claim["payload"]) == b""
    assert server.ok("POST", f"/claims/{claim['token']}/settle")["state"] == "completed"


def test_a_claim_waits_for_a_job(server: Server) -> None:
    """It is answered when one comes, not at the next look."""
    server.ok("POST", "/queues", {"queue": "q", "pull": True})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.ok, "POST", "/claims", {"queue": "q", "wait": 30})
        server.ok("POST", "/queues/q/messages", ["a"])
        (claim,) = waiting.result(PATIENCE)["claims"]
    assert claim["message"] == "a"
    assert server.ok("POST", "/claims", {"queue": "q", "wait": 0.05})["claims"] == []


def test_a_failure_says_why_and_the_job_is_retried(server: Server, store: Store) -> None:
    """By its policy, like any other."""
    server.ok("POST", "/queues", {"queue": "q", "pull": True})
    server.ok("POST", "/queues/q/messages", ["a"])
    (claim,) = server.ok("POST", "/claims", {"queue": "q"})["claims"]
    done = server.ok("POST", f"/claims/{claim['token']}/settle?exit_code=3&message=no+disk")
    assert done["state"] == "failed"
    assert done["next_run_at"]
    job = store.get(claim["job_id"])
    assert job is not None
    assert job.reason == "exit 3: no disk"


def test_a_lease_that_ends_gives_the_job_to_another(server: Server, store: Store) -> None:
    """The server takes it back by itself; the late settle is refused, and its body is not kept."""
    server.ok("POST", "/queues", {"queue": "q", "pull": True})
    store.set("backoff-base", "0", "q")
    server.ok("POST", "/queues/q/messages", ["a"])
    (first,) = server.ok("POST", "/claims", {"queue": "q", "lease": 1})["claims"]
    (second,) = server.ok("POST", "/claims", {"queue": "q", "wait": 30})["claims"]
    assert second["job_id"] == first["job_id"]
    assert second["attempt"] == first["attempt"] + 1
    assert server.raw("POST", f"/claims/{first['token']}/settle", b"late" * 50_000)[0] == 409
    server.raw("POST", f"/claims/{second['token']}/settle", b"in time")
    assert server.raw("GET", f"/jobs/{first['job_id']}/output")[1] == b"in time"
    left = [name for _, _, names in os.walk(store.local_directory) for name in names]
    assert left == []


def test_who_hangs_up_while_waiting_takes_nothing(server: Server, store: Store) -> None:
    """A job that comes later goes to somebody who is there."""
    server.ok("POST", "/queues", {"queue": "q", "pull": True})
    host, _, port = server.url.rpartition("/")[2].partition(":")
    body = json.dumps({"queue": "q", "wait": 60}).encode()
    gone = socket.create_connection((host, int(port)))
    gone.sendall(
        b"POST /claims HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        + server.tokens["work"].encode()
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(server.ok, "POST", "/claims", {"queue": "q", "wait": 60})
        gone.close()
        server.ok("POST", "/queues/q/messages", ["a", "b"])
        assert there.result(PATIENCE)["claims"]
        assert server.ok("POST", "/claims", {"queue": "q", "wait": 30})["claims"]


# ---- the service --------------------------------------------------------------------------------


def test_metrics(server: Server, store: Store) -> None:
    """Jobs by state and queue, what runs, the oldest wait, hosts."""
    store.add([NewJob("true")] * 3)
    text = server.raw("GET", "/metrics", role="submit")[1].decode()
    assert 'queuectl_jobs{queue="default",state="pending"} 3.0' in text
    assert "queuectl_running 0.0" in text
    assert "queuectl_oldest_wait_seconds" in text
    assert "queuectl_hosts 0.0" in text


def test_the_description_has_every_route(server: Server) -> None:
    """It is made of the same table."""
    from queuectl.intake.http.routes import ROUTES

    told = server.ok("GET", "/openapi.json")
    assert {(method.upper(), path) for path, item in told["paths"].items() for method in item} == {
        (route.method, route.path) for route in ROUTES
    }
    text = json.dumps(told)
    for name in set(json.loads(text)["components"]["schemas"]):
        assert name
    references = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert references <= set(told["components"]["schemas"])


@pytest.mark.parametrize("number", range(60))
def test_every_route_has_a_handler(number: int) -> None:
    """Whatever the table names is there."""
    from queuectl.intake.http.routes import ROUTES

    if number < len(ROUTES):
        assert callable(ROUTES[number].load())
    assert len(ROUTES) <= 60


def test_the_status_page_needs_nothing_from_elsewhere(server: Server) -> None:
    """One file; its policy lets it talk to this server only."""
    status, text, headers = server.raw("GET", "/", role=None)
    assert status == 200
    assert b"http://" not in text
    assert b"https://" not in text
    assert "connect-src 'self'" in headers["Content-Security-Policy"]


def test_two_hundred_clients_at_once(server: Server, store: Store) -> None:
    """Each enqueues, and none is lost or doubled; those that say nothing hold up nobody."""
    host, _, port = server.url.rpartition("/")[2].partition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(100)]
    for one in silent:
        one.sendall(b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n")

    def enqueue(number: int) -> int:
        return int(server.ok("POST", "/jobs", {"command": f"echo {number}"}, "work")["id"])

    with ThreadPoolExecutor(200) as pool:
        ids = list(pool.map(enqueue, range(200)))
    assert len(set(ids)) == 200
    assert {job.command for job in store.jobs(Filter())} == {f"echo {n}" for n in range(200)}
    for one in silent:
        one.close()


def test_a_body_that_is_too_long(server: Server) -> None:
    """413, before it has been read."""
    body = b'{"queue": "' + b"x" * (70 * 1024) + b'"}'
    assert server.raw("POST", "/claims", body)[0] == 413


def test_stop_ends_those_that_wait(store: Store) -> None:
    """They get their answer at once, not after their time."""
    server = Server(store)
    store.create_queue("q", pull=True)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.ok, "POST", "/claims", {"queue": "q", "wait": 600})
        while not server.intake._server.server_state.connections:  # type: ignore[union-attr]
            time.sleep(0.01)
        began = time.monotonic()
        server.stop()
        assert waiting.result(PATIENCE)["claims"] == []
    assert time.monotonic() - began < 15


# ---- --store http://… ---------------------------------------------------------------------------


@pytest.fixture
def remote(cli: Cli, server: Server) -> Cli:
    """A command line on the server, with a token file."""
    path = cli.directory / "token"
    path.write_text(server.tokens["admin"])
    path.chmod(0o600)
    cli.env["QUEUECTL_STORE"] = server.url
    cli.env["QUEUECTL_TOKEN_FILE"] = str(path)
    return cli


def test_the_command_line_over_http(remote: Cli, store: Store) -> None:
    """Enqueue here, run with workers here, read the output here; all of it is in the server's store."""
    assert remote.ok("enqueue", "--quiet", "echo hello; echo oops >&2; pwd") == "1\n"
    big = "head -c 300000 /dev/zero | tr '\\0' x"
    remote.ok("enqueue", big)
    remote.ok("enqueue", "--max-retries", "0", "exit 3")
    remote.run("worker", "start", "2", "--until-empty")
    assert store.counts()["completed"] == 2
    done = remote.run("output", "1")
    assert done.stdout == f"hello\n{remote.directory}\n"
    assert done.stderr == "oops\n"
    assert remote.ok("output", "2") == "x" * 300_000
    assert [job["id"] for job in remote.json("dlq", "list")] == [3]
    remote.ok("set", "max-retries", "5")
    assert store.settings()["max-retries"] == "5"


def test_many_lines_are_all_or_none_over_http(remote: Cli, store: Store) -> None:
    """However many, and the line at fault is told."""
    path = remote.directory / "lines"
    good = "".join(f"echo {number}\n" for number in range(5000))
    path.write_text(good + '{"command": "x", "queue": "nosuch"}\n')
    said = remote.refused(3, "enqueue", "--from", str(path))
    assert "line 5001: no queue 'nosuch'" in said
    path.write_text(good + '{"command": "x", "name": "a"}\n{"command": "y", "name": "a"}\n')
    assert "line 5002: the name 'a' is given in line 5001" in remote.refused(
        1, "enqueue", "--from", str(path)
    )
    assert store.newest_id() is None
    path.write_text(good)
    remote.ok("enqueue", "--from", str(path))
    assert store.newest_id() == 5000


def test_workers_on_a_store_named_behind_the_command(remote: Cli) -> None:
    """As one types it."""
    where = ("--store", remote.env.pop("QUEUECTL_STORE"))
    token = ("--token-file", remote.env.pop("QUEUECTL_TOKEN_FILE"))
    assert remote.ok("enqueue", *token, *where, "--quiet", "echo hello") == "1\n"
    remote.ok("worker", "start", "4", "--until-empty", *where, *token)
    assert remote.ok("output", "1", *where, *token) == "hello\n"


def test_a_host_in_the_background_works_over_http(remote: Cli, store: Store) -> None:
    """With the token file of the flag; it hears of a stop that is asked for."""
    path = remote.env.pop("QUEUECTL_TOKEN_FILE")
    flag = ("--token-file", path)
    remote.ok(*flag, "worker", "start", "2", "--detach")
    remote.ok(*flag, "enqueue", "echo detached")
    remote.ok(*flag, "wait", "1", "--timeout", "30s")
    assert remote.ok(*flag, "output", "1") == "detached\n"
    remote.ok(*flag, "worker", "stop", "--host", "all")
    deadline = time.monotonic() + PATIENCE
    while store.hosts():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("silent", [False, True], ids=["gone", "silent"])
def test_an_idle_host_whose_server_does_not_answer_ends_when_asked(
    remote: Cli, server: Server, store: Store, silent: bool
) -> None:
    """It has nothing to hand back, so it waits for nobody."""
    process = remote.start("worker", "start", "2")
    deadline = time.monotonic() + PATIENCE
    while not any(host.workers for host in store.hosts()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    port = int(server.url.rpartition(":")[2])
    server.stop()
    with socket.create_server(("127.0.0.1", port), reuse_port=False) as deaf:
        if silent:
            # its next request has come, and is not answered
            deaf.settimeout(PATIENCE)
            unanswered, _ = deaf.accept()
        else:
            deaf.close()
            assert process.stderr is not None
            while "these workers" not in process.stderr.readline():
                assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        # not minutes, which its tries would take
        out, err = process.communicate(timeout=25)
        if silent:
            unanswered.close()
    assert process.returncode == 0, err
    assert "workers ended after 1 signal" in out
    hosts = remote.directory / "state" / "remote"
    assert not list(hosts.rglob("*.host"))


def test_what_a_host_could_not_report_is_in_its_file(
    remote: Cli, server: Server, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It does not wait for ever for its server; the next host of this machine reports it."""
    monkeypatch.setattr("queuectl.host.worker.REPORT", 0.5)
    store.set("max-retries", "0")
    store.add([NewJob(f"read _ < {tmp_path}/gate; exit 7")])
    os.mkfifo(tmp_path / "gate")
    directory = str(tmp_path / "there.d")
    remote_one = remote_store(server.with_token(), {}, directory=directory)
    host = WorkerHost(remote_one)
    host.start(1)
    deadline = time.monotonic() + PATIENCE
    while not store.counts()["processing"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    server.stop()
    (tmp_path / "gate").write_text("\n")
    assert not host.close()
    remote_one.close()
    assert os.listdir(f"{directory}/hosts")
    with Server(store) as again, _closing(again, directory) as next_one:
        Recoverer(next_one, "", lambda change: change(next_one), lambda _: None).look()
    job = store.get(1)
    assert job is not None
    assert (job.state, job.reason) == ("dead", "exit 7")


def _closing(server: Server, directory: str) -> AbstractContextManager[Store]:
    return contextlib.closing(remote_store(server.with_token(), {}, directory=directory))


def test_a_server_over_postgresql(tmp_path: Path) -> None:
    """It serves that store alike: results of any size, and a remote worker's output."""
    from tests.support.stores import ENGINES

    engine = ENGINES["postgres"](tmp_path)
    try:
        with Server(engine.open()) as server:
            server.ok("POST", "/queues", {"queue": "q", "pull": True})
            server.ok("POST", "/queues/q/messages", ["a"])
            (claim,) = server.ok("POST", "/claims", {"queue": "q", "wait": 5})["claims"]
            result = bytes(range(256)) * 2000
            status, text, _ = server.raw("POST", f"/claims/{claim['token']}/settle", result)
            assert status == 200, text
            assert server.raw("GET", f"/jobs/{claim['job_id']}/output")[1] == result
            remote = open_store(server.with_token())
            host = WorkerHost(remote)
            host.start(1)
            (job_id,) = remote.add([NewJob("head -c 200000 /dev/zero | tr '\\0' x", cwd="/")])
            assert server.ok("POST", f"/jobs/{job_id}/wait?timeout=30")["ended"]
            assert server.raw("GET", f"/jobs/{job_id}/output")[1] == b"x" * 200_000
            host.close()
            remote.close()
    finally:
        engine.close()


def test_errors_of_the_store_are_the_same_over_http(remote: Cli) -> None:
    """The message, and the exit status."""
    assert "no job 7" in remote.refused(3, "cancel", "7")
    assert "no queue 'gpu'" in remote.refused(3, "enqueue", "--queue", "gpu", "true")
    remote.ok("enqueue", "--name", "a", "true")
    assert "taken by job 1" in remote.refused(1, "enqueue", "--name", "a", "true")


def test_no_server_and_no_token(cli: Cli, server: Server) -> None:
    """One line that says which, never the token."""
    cli.env["QUEUECTL_STORE"] = "http://sesame-sesame@127.0.0.1:9"
    told = cli.refused(75, "status")
    assert "127.0.0.1:9" in told
    assert "sesame" not in told
    cli.env["QUEUECTL_STORE"] = server.url
    assert "QUEUECTL_TOKEN_FILE" in cli.refused(1, "status")


def test_a_payload_of_the_servers_machine_reaches_a_remote_worker(
    remote: Cli, store: Store, tmp_path: Path
) -> None:
    """Whether it is in the store or in a file there."""
    file = tmp_path / "large"
    file.write_bytes(b"y" * 3_000_000)
    store.add([NewJob("wc -c", stdin=b"abc"), NewJob("wc -c", stdin_path=str(file))])
    remote.ok("worker", "start", "--until-empty")
    assert remote.ok("output", "1").strip() == "3"
    assert remote.ok("output", "2").strip() == "3000000"
    left = [name for _, _, names in os.walk(remote.directory / "state") for name in names]
    assert not [name for name in left if "-" in name and not name.endswith((".host", ".lock"))]


def test_a_payload_that_cannot_be_fetched_is_not_taken_for_a_copy(
    server: Server, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its path is the user's own file where server and worker share a file system: it stays."""
    file = tmp_path / "large"
    file.write_bytes(b"y")
    store.add([NewJob("wc -c", stdin_path=str(file))])
    remote: Any = remote_store(server.with_token(), {}, directory=str(tmp_path / "here.d"))

    def broken(*_: object) -> None:
        raise StoreUnavailable(store=server.url, reason="it is away")

    monkeypatch.setattr(remote._requests, "download", broken)
    (claim,) = remote.claim("host", 1)
    assert claim.stdin_path == str(file)
    remote.settle([Settlement(claim.job_id, claim.token, claim.run, Outcome(EXIT, 0))])
    remote.close()
    assert file.exists()


def test_a_claim_that_is_handed_out_again_has_its_payload_fetched_once(
    server: Server, store: Store, tmp_path: Path
) -> None:
    """As after a group that failed: the copy of the first time serves, and goes at the end."""
    file = tmp_path / "large"
    file.write_bytes(b"y")
    store.add([NewJob("wc -c", stdin_path=str(file))])
    remote = remote_store(server.with_token(), {}, directory=str(tmp_path / "here.d"))
    with pytest.raises(StoreUnavailable), remote.transaction():
        (first,) = remote.claim("host", 1)
        raise StoreUnavailable(store=server.url, reason="it is away")
    (again,) = remote.claim("host", 1)
    assert again == first
    assert os.listdir(tmp_path / "here.d" / "payloads") == [os.path.basename(str(again.stdin_path))]
    remote.release([(again.job_id, again.token)])
    assert os.listdir(tmp_path / "here.d" / "payloads") == []
    remote.close()


def test_a_running_job_is_followed_and_cancelled_over_http(
    remote: Cli, store: Store, tmp_path: Path
) -> None:
    """The remote host hears of the wish, ends the job and says so."""
    with Workers(remote) as workers:
        workers.start("1")
        gate = Fifo(remote, "gate")
        remote.ok("enqueue", f"echo begun; {gate.wait}; sleep 600")
        gate.open()
        remote.ok("cancel", "1", "--now")
        done = remote.run("wait", "1", "--for", "cancelled")
        assert done.returncode == 0, done.stderr
        assert remote.ok("output", "1") == "begun\n"
    job = store.get(1)
    assert job is not None
    assert job.state == "cancelled"


def test_job_control_asks_nothing_of_a_host(remote: Cli, store: Store) -> None:
    """Ctrl-Z is for its front: the host goes on, and the signal behind it is the first to end it."""
    with Workers(remote) as workers:
        process = workers.start("1")
        gate = Fifo(remote, "gate")
        remote.ok("enqueue", f"echo begun > {gate.path}; {gate.wait}")
        assert gate.read() == "begun\n"
        (host,) = store.hosts()
        os.kill(host.pid, signal.SIGTSTP)
        os.kill(host.pid, signal.SIGINT)
        assert process.stderr is not None
        assert "once more to hand back" in process.stderr.readline()
        gate.open()
        assert process.wait(PATIENCE) == 0
    job = store.get(1)
    assert job is not None
    assert (job.state, job.attempts) == ("completed", 1)


def test_jobs_of_a_remote_host_that_died_are_run_by_another(remote: Cli, store: Store) -> None:
    """Its guardian, or the next host on its machine, ends what is left and tells the server."""
    gate = Fifo(remote, "gate")
    remote.ok("set", "backoff-base", "0")
    remote.ok("enqueue", f"test -e once && echo again || {{ touch once; {gate.wait}; }}")
    with Workers(remote) as workers:
        victim = workers.start("1")
        deadline = time.monotonic() + PATIENCE
        while not (remote.directory / "once").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # the host itself, not the guardian in front of it
        os.kill(store.hosts()[0].pid, signal.SIGKILL)
        victim.wait()
        workers.start("1")
        remote.ok("wait", "1", "--timeout", "30s")
    assert remote.ok("output", "1") == "again\n"
    assert [attempt.kind for attempt in store.attempts(1)] == ["lost", EXIT]


def test_a_server_that_is_started_anew_is_found_again(remote: Cli, store: Store) -> None:
    """A remote host waits for it, and nothing is lost."""
    address = remote.env["QUEUECTL_STORE"].partition("://")[2]
    tokens = Tokens([("admin", (remote.directory / "token").read_text())])
    first = HttpIntake(Solo(store), "127.0.0.1:0", None, tokens)
    first.start()
    remote.env["QUEUECTL_STORE"] = first.url
    address = first.url.partition("://")[2]
    with Workers(remote) as workers:
        workers.start("1")
        gate = Fifo(remote, "gate")
        remote.ok("enqueue", f"{gate.wait}; echo ended")
        threading.Thread(target=gate.open).start()
        assert first.stop()
        again = HttpIntake(Solo(store), address, None, tokens)
        again.start()
        try:
            remote.ok("wait", "1", "--timeout", "60s")
            assert remote.ok("output", "1") == "ended\n"
        finally:
            workers.__exit__()
            assert again.stop()


def test_a_fenced_settle_over_http_is_refused(server: Server, store: Store) -> None:
    """As by any store: whoever has the token now decides."""
    remote = open_store(server.with_token("work"))
    remote.add([NewJob("true")])
    for name in ("a", "b"):
        remote.register(HostInfo(name, "m", "u", 1, "1", 1, (), remote.now(), remote.now()))
    (claim,) = remote.claim("a", 1)
    remote.start([Start(claim.job_id, claim.token, claim.run, remote.now())])
    remote.release([(claim.job_id, claim.token)])
    remote.claim("b", 1)
    outcome = Outcome(EXIT, 0, started_at=1, finished_at=2)
    (settled,) = remote.settle([Settlement(claim.job_id, claim.token, claim.run, outcome)])
    assert settled.state is None
    remote.close()


def test_a_write_that_changes_nothing_wakes_nobody(server: Server) -> None:
    """Else a host that looks after each change, and asks for wishes, would keep itself awake."""
    import select

    remote = open_store(server.with_token("work"))
    remote.register(HostInfo("h", "m", "u", 1, "1", 1, (), remote.now(), remote.now()))
    listener = remote.listener("h")
    while select.select([listener.fileno()], [], [], 1.0)[0]:
        # the beginning, and what came just before
        listener.clear()
    for _ in range(5):
        assert remote.take_wishes("h") == []
    assert not select.select([listener.fileno()], [], [], 0.5)[0]
    remote.add([NewJob("true")])
    assert select.select([listener.fileno()], [], [], PATIENCE)[0]
    listener.close()
    remote.close()
