"""The Python API over every store, the client of jqueue, and the page that describes them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import queuectl
from queuectl import client
from queuectl.errors import (
    NameTaken,
    NoSuchJob,
    NoSuchQueue,
    NotFound,
    Refused,
    StoreUnavailable,
    UsageError,
)
from queuectl.host.worker import WorkerHost
from queuectl.store import open_store
from tests.support.backend import sqlite_only
from tests.support.hosts import eventually
from tests.support.http_server import Server
from tests.support.worker import Fifo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queuectl.client import Queue
    from tests.support.cli import Cli

PATIENCE = 30


def _sqlite(directory: Path) -> Iterator[str]:
    yield str(directory / "queue.db")


def _http(directory: Path) -> Iterator[str]:
    store = open_store(str(directory / "queue.db"))
    with Server(store) as server:
        yield server.with_token("admin")
    store.close()


def _postgres(directory: Path) -> Iterator[str]:
    from tests.support.stores import ENGINES

    engine = ENGINES["postgres"](directory)
    # else nobody is recovered for ten minutes after the test server began
    yield f"{engine.url}&lease=2"
    engine.close()


@pytest.fixture(params=[_sqlite, _http, _postgres], ids=["sqlite", "http", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store of each kind."""
    make: Callable[[Path], Iterator[str]] = request.param
    yield from make(tmp_path)


@pytest.fixture
def q(url: str) -> Iterator[Queue]:
    """A queue on it."""
    with queuectl.connect(url) as made:
        yield made


def test_jobs(q: Queue) -> None:
    """Enqueue, look, change, wait."""
    first = q.enqueue("true", max_retries=1, env={"A": "1"}, name="one")
    second = q.enqueue("ls", "-l", "a b", delay=3600)
    job = q.get("one")
    assert (job.id, job.max_retries, job.env["A"]) == (first, 1, "1")
    assert q.get(second).args == ("-l", "a b")
    assert [job.id for job in q.jobs(newest=True)] == [second, first]
    q.cancel([first, "one"])
    assert [job.state for job in q.wait([first], timeout=5)] == ["cancelled"]
    assert [job.state for job in q.wait(second, timeout=0)] == ["pending"]
    q.retry(first)
    q.pause(first)
    assert q.get(first).paused
    q.resume(first)
    q.remove(first)
    with pytest.raises(NoSuchJob):
        q.get(first)


def test_bad_arguments(q: Queue) -> None:
    """Each is named; nothing is enqueued."""
    q.enqueue("true", name="a")
    for make, error in (
        (lambda: q.enqueue("true", max_retry=3), UsageError),
        (lambda: q.enqueue("true", max_retries=-1), UsageError),
        (lambda: q.enqueue(" "), UsageError),
        (lambda: q.enqueue("a\0b"), UsageError),
        (lambda: q.enqueue("true", queue="gpu"), NoSuchQueue),
        (lambda: q.enqueue("true", name="a"), NameTaken),
        (lambda: q.submit("default", "a"), Refused),
        (lambda: q.put("default", b"a"), Refused),
        (lambda: list(q.claim("gpu")), NoSuchQueue),
        (lambda: q.output(1), NotFound),
        (lambda: q.create_queue("a b"), UsageError),
    ):
        with pytest.raises(error):
            make()
    assert len(list(q.jobs())) == 1


def test_arguments_of_a_wrong_kind(q: Queue) -> None:
    """The same one line over every store, and nothing is done."""
    call: Any = q
    q.create_queue("work", pull=True)
    for make, said in (
        (lambda: call.enqueue(7), "command: a int is no text"),
        (lambda: call.enqueue("ls", 7), "command: a int is no text"),
        (lambda: call.enqueue("x" * 200_000), "more than 131071 bytes"),
        (lambda: call.enqueue("\ud800"), "half a character"),
        (lambda: call.enqueue("x", priority="a"), "priority: 'a' is not a whole number"),
        (lambda: call.enqueue("x", priority=True), "priority: True is not a whole number"),
        (lambda: call.enqueue("x", priority=2**63), "is not a whole number"),
        (lambda: call.enqueue("x", queue=3), "queue: a int is no text"),
        (lambda: call.enqueue("x", name="a b"), "name: 'a b' is not a name"),
        (lambda: call.enqueue("x", delay=-1), "delay: -1 is not a number of seconds"),
        (lambda: call.enqueue("x", delay=float("nan")), "delay: nan is not"),
        (lambda: call.enqueue("x", delay="soon"), "delay: 'soon' is not"),
        (lambda: call.enqueue("x", cwd=3), "cwd: 3 is not a path"),
        (lambda: call.enqueue("x", env={"A B": "1"}), "env: 'A B' is not a variable"),
        (lambda: call.enqueue("x", env={"A": 1}), "env: A: a int is no text"),
        (lambda: call.enqueue("x", env=["A"]), "env: 'list' is not a mapping"),
        (lambda: call.enqueue("x", stdin="text"), "stdin: a str is no bytes"),
        (lambda: call.enqueue("x", paused=1), "paused: 1 is not True or False"),
        (lambda: call.enqueue("x", unique=""), "unique: '' is not a key"),
        (lambda: call.enqueue("x", timeout=None), "timeout: 'NoneType' is not a text, a number"),
        (lambda: call.enqueue("x", prioritty=3), "no setting 'prioritty'; did you mean priority?"),
        (lambda: call.enqueue("x", need={}), "no setting 'need'; did you mean needs?"),
        (lambda: call.enqueue("x", needs=3), "needs: 3 is not a mapping"),
        (lambda: call.enqueue("x", needs={"gpu": 1.5}), "need gpu: 1.5 is not a whole number"),
        (lambda: call.enqueue("x", after=True), "after: True is not the id or name of a job"),
        (lambda: call.enqueue("x", after=[0]), "after: 0 is not a whole number from 1"),
        (lambda: call.enqueue("x", after="all"), "name: 'all' is not a name"),
        (lambda: call.submit("work", 3), "message: a int is no text"),
        (lambda: call.submit("work", "a\0"), "without NUL"),
        (lambda: call.put("work", "text"), "payload: a str is no bytes"),
        (lambda: call.get(1.5), "job: 1.5 is not the id or name"),
        (lambda: call.cancel(None), "jobs: 'NoneType' is not the id or name"),
        (lambda: call.cancel(1, now="yes"), "now: 'yes' is not True or False"),
        (lambda: call.jobs(state="foo"), "no state; there are pending, processing"),
        (lambda: call.jobs(state="complete"), "did you mean completed?"),
        (lambda: call.jobs(state=["pending", "running"]), "did you mean processing?"),
        (lambda: call.jobs(newest=2), "newest: 2 is not True or False"),
        (lambda: call.jobs(queue=2), "queue: a int is no text"),
        (lambda: call.output(1, stream=3), "stream: 3 is not a whole number from 1 to 2"),
        (lambda: call.wait([], timeout="long"), "timeout: 'long' is not a number of seconds"),
        (lambda: call.create_queue(3), "queue: a int is no text"),
        (lambda: call.create_queue("b", limit=0), "limit: 0 is not a whole number from 1"),
        (lambda: call.create_queue("b", pull="yes"), "pull: 'yes' is not True or False"),
        (lambda: call.claim("work", want=0), "want: 0 is not a whole number from 1"),
        (lambda: call.claim("work", wait="long"), "wait: 'long' is not a number of seconds"),
        (lambda: call.claim_one(3), "queue: a int is no text"),
        (lambda: queuectl.connect("memory:", lease="x"), "lease: 'x' is not a number"),  # type: ignore[arg-type]
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            make()
    with pytest.raises(NoSuchJob):
        q.get(2**70)
    assert not list(q.jobs())
    assert "b" not in {one.name for one in q.queues()}
    q.submit("work", "a")
    job: Any = q.claim_one("work")
    with pytest.raises(UsageError, match="exit_code: 0 is not a whole number from 1 to 255"):
        job.fail(exit_code=0)
    with pytest.raises(UsageError, match="reason: a int is no text"):
        job.fail(3)
    with pytest.raises(UsageError, match="result: a str is no bytes"):
        job.complete("x")
    job.complete()


def test_a_closed_queue(url: str) -> None:
    """Every call says that the store cannot be used."""
    q = queuectl.connect(url)
    q.enqueue("true")
    q.close()
    for call in (
        lambda: q.enqueue("true"), lambda: q.submit("default", "a"), lambda: q.put("default", b""),
        lambda: q.get(1), q.jobs, lambda: q.attempts(1), lambda: q.wait(1),
        lambda: q.cancel(1), lambda: q.remove([]), q.queues, lambda: q.create_queue("a"),
        lambda: q.claim("default"), lambda: q.claim_one("default"),
    ):  # fmt: skip
        with pytest.raises(StoreUnavailable, match="this Queue is closed"):
            call()


def test_jobs_that_wait_for_others(q: Queue) -> None:
    """By id and by name, until they complete, end or die."""
    first = q.enqueue("true", name="first")
    second = q.enqueue("true", after="first", after_any=[first], after_failed=q.enqueue("false"))
    found = [(one.on, one.when) for one in q.store.dependencies(second)]
    assert sorted(found) == [(first, "completed"), (first, "ended"), (second - 1, "failed")]
    assert q.get(second).unmet == 3
    q.cancel(first)
    # what can never be met cancels it, unless it is to be kept
    assert q.get(second).state == "cancelled"
    third = q.enqueue("true")
    kept = q.enqueue("true", after=third, unmet="keep")
    q.cancel(third)
    assert q.get(kept).state == "pending"
    with pytest.raises(NoSuchJob):
        q.enqueue("true", after=77)
    with pytest.raises(NotFound):
        q.enqueue("true", after="nobody")
    with pytest.raises(UsageError, match="both to complete and to die"):
        q.enqueue("true", after=second, after_failed=[second])


def test_only_one_of_a_kind(q: Queue) -> None:
    """A key of one's own, or what `auto` makes of the command."""
    assert q.enqueue("a", unique="nightly") == q.enqueue("b", unique="nightly") == 1
    assert q.enqueue("ls", "-l", unique="auto") == q.enqueue("ls", "-l", unique="auto")
    assert q.enqueue("ls", "-a", unique="auto") != q.enqueue("ls", "-l", unique="auto")


def test_what_a_job_needs(q: Queue) -> None:
    """As JSON says it, or as one text."""
    made = q.enqueue("true", needs={"gpu": 1, "mem": "8G", "slots": 2})
    assert dict(q.get(made).needs) == {"gpu": 1, "mem": 8 * 1024**3, "slots": 2}
    assert dict(q.get(q.enqueue("true", needs="gpu=2,mem=1k")).needs) == {"gpu": 2, "mem": 1024}


def test_claim_complete_and_read(q: Queue) -> None:
    """Messages and payloads in, results of any size out."""
    assert q.create_queue("work", pull=True)
    q.submit("work", "one", "zwei ü")
    payloads = [b"", bytes(range(256)), b"x" * 1_000_000]
    for payload in payloads:
        q.put("work", payload)
    seen: list[bytes] = []
    for job in q.claim("work"):
        data = job.payload if job.message is None else job.message.encode()
        seen.append(data)
        job.complete(data * 2)
    assert seen == [b"one", "zwei ü".encode(), *payloads]
    assert [q.output(job.id) for job in q.jobs()] == [data * 2 for data in seen]
    assert {job.state for job in q.jobs()} == {"completed"}


def test_fail_release_and_the_context_manager(q: Queue) -> None:
    """How a job can end."""
    q.create_queue("work", pull=True)
    q.submit("work", "a")
    job = q.claim_one("work")
    assert job is not None
    job.release()
    assert q.get(job.id).attempts == 0
    with pytest.raises(Refused):
        job.complete()
    with pytest.raises(KeyError), next(q.claim("work")):
        raise KeyError("x")
    found = q.get(job.id)
    assert (found.state, found.reason) == ("failed", "exit 1: KeyError: 'x'")
    q.retry(job.id)
    with next(q.claim("work")) as again:
        assert again.attempt in {2, 3}
    assert q.get(job.id).state == "completed"


def test_what_is_not_settled_goes_back_at_the_end(url: str) -> None:
    """A Queue that is closed holds nothing, and leaves no host behind."""
    with queuectl.connect(url) as q:
        q.create_queue("work", pull=True)
        q.submit("work", "a", "b")
        assert len([q.claim_one("work"), q.claim_one("work")]) == 2
    with queuectl.connect(url) as q:
        assert q.store.hosts() == []
        assert [job.state for job in q.jobs()] == ["pending", "pending"]


def test_claims_wait_for_work(url: str) -> None:
    """Put in by another program meanwhile."""
    with queuectl.connect(url) as q, queuectl.connect(url) as other:
        q.create_queue("work", pull=True)
        timer = threading.Timer(0.2, lambda: other.submit("work", "late"))
        timer.start()
        job = q.claim_one("work", wait=PATIENCE)
        assert job is not None
        assert job.message == "late"
        job.complete()
        assert q.claim_one("work", wait=0.05) is None
        timer.join()


def test_a_lease_is_renewed_while_a_job_is_worked_on(url: str) -> None:
    """Longer than it lasts, and nobody else gets the job."""
    with queuectl.connect(url, lease=1.0) as q, queuectl.connect(url) as other:
        q.create_queue("work", pull=True)
        q.submit("work", "a")
        job = q.claim_one("work")
        assert job is not None
        assert other.claim_one("work", wait=2.5) is None
        job.complete(b"mine")
        assert q.output(job.id) == b"mine"


def test_a_cancel_reaches_the_program(url: str) -> None:
    """It may go on or end; when it fails then, the job is cancelled."""
    with queuectl.connect(url, lease=1.0) as q:
        q.create_queue("work", pull=True)
        q.submit("work", "a")
        job = q.claim_one("work")
        assert job is not None
        q.cancel(job.id)
        deadline = time.monotonic() + PATIENCE
        while not job.cancel_requested:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        job.fail("asked to end")
        assert q.get(job.id).state == "cancelled"


def test_a_look_at_a_cancel_does_not_wait_for_the_lease(url: str) -> None:
    """It asks the store at once; and tells of a claim that is over."""
    with queuectl.connect(url, lease=600) as q:
        q.create_queue("work", pull=True)
        q.submit("work", "a", "b")
        first, second = q.claim("work", want=2)
        assert not first.look()
        q.cancel(first.id)
        assert first.look()
        assert first.cancel_requested
        first.fail("asked to end")
        assert q.get(first.id).state == "cancelled"
        with pytest.raises(client.ClaimOver):
            first.look()
        q.store.release([(second.id, second.token)])
        with pytest.raises(client.ClaimOver):
            second.look()


def test_a_program_that_dies_loses_its_jobs_to_others(url: str) -> None:
    """When its lease has ended; the attempt counts as lost."""
    program = textwrap.dedent(f"""
        import queuectl, time
        q = queuectl.connect({url!r}, lease=1.0)
        print(q.claim_one("work").id, flush=True)
        time.sleep(600)
    """)
    with queuectl.connect(url) as q:
        q.create_queue("work", pull=True)
        q.store.set("backoff-base", "0", "work")
        q.submit("work", "a")
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"1\n"
            victim.send_signal(signal.SIGKILL)
        job = q.claim_one("work", wait=PATIENCE)
        assert job is not None
        job.complete()
        assert [one.kind for one in q.attempts(job.id)] == ["lost", "exit"]


def test_a_stale_result_is_refused(url: str) -> None:
    """Whoever has the job now decides what its result is."""
    with queuectl.connect(url) as q, queuectl.connect(url) as other:
        q.create_queue("work", pull=True)
        q.submit("work", "a")
        stale = q.claim_one("work")
        assert stale is not None
        other.store.release([(stale.id, stale.token)])
        fresh = other.claim_one("work")
        assert fresh is not None
        with pytest.raises(client.ClaimOver):
            stale.complete(b"stale" * 50_000)
        fresh.complete(b"fresh")
        assert q.output(stale.id) == b"fresh"


def test_commands_run_by_workers(tmp_path: Path) -> None:
    """The API and workers see the same jobs."""
    path = str(tmp_path / "queue.db")
    host = WorkerHost(open_store(path))
    try:
        host.start(1)
        with queuectl.connect(path) as q:
            job_id = q.enqueue("echo out; echo err >&2", cwd=str(tmp_path))
            assert q.wait(job_id, timeout=PATIENCE)[0].state == "completed"
            assert q.output(job_id, stream=1) == b"out\n"
            assert q.output(job_id, stream=2) == b"err\n"
    finally:
        host.close()
        host.store.close()


def test_a_submit_token_is_enough_for_messages(tmp_path: Path) -> None:
    """And for no command."""
    store = open_store(str(tmp_path / "queue.db"))
    store.create_queue("mail")
    store.set("command", "echo", "mail")
    store.set("accept-messages", "on", "mail")
    with Server(store) as server:
        token = tmp_path / "token"
        token.write_text(f"submit:{server.tokens['submit']}\n")
        token.chmod(0o600)
        with queuectl.connect(server.url, token_file=str(token)) as q:
            (job_id,) = q.submit("mail", "hello; world")
            assert q.get(job_id).args == ("hello; world",)
            with pytest.raises(Refused, match="role work"):
                q.enqueue("true")
    store.close()


# ---- jqueue -------------------------------------------------------------------------------------

JQUEUE = """
import os
import tempfile

from queuectl import client

SERVER = {server!r}

if __name__ == '__main__':
    handler_thread = client.ClientThread(SERVER)
    handler_thread.start()

    while True:
        job = handler_thread.get_job(...)
        if job is None:
            break

        wav_in = tempfile.mktemp(suffix='.wav')
        mp3_out = tempfile.mktemp(suffix='.mp3')
        with open(wav_in, 'wb') as in_stream:
            in_stream.write(job.data)

        os.system('ffmpeg "{{}}" "{{}}"'.format(wav_in, mp3_out))

        with open(mp3_out, 'rb') as out_stream:
            mp3_data = out_stream.read()
        handler_thread.submit_result(mp3_data)

    handler_thread.terminate()
    handler_thread.join()
"""


def test_a_program_of_jqueue_runs_with_its_import_changed(tmp_path: Path) -> None:
    """Several of them share the files, an empty one too, and end when nothing is left."""
    store = open_store(str(tmp_path / "queue.db"))
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "ffmpeg"
    tool.write_text('#!/bin/sh\ntr a-z A-Z < "$1" > "$2"\n')
    tool.chmod(0o755)
    with Server(store) as server:
        with queuectl.connect(server.with_token()) as q:
            q.create_queue("batch", pull=True)
            ids = [
                q.put("batch", data) for data in (b"", b"abc", *(b"%d x" % n for n in range(20)))
            ]
        program = tmp_path / "encode.py"
        token = tmp_path / "token"
        token.write_text(server.tokens["work"])
        token.chmod(0o600)
        program.write_text(JQUEUE.format(server=server.url.partition("://")[2]))
        env = {**os.environ, "PYTHONPATH": os.getcwd(), "TMPDIR": str(tmp_path),
               "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "QUEUECTL_TOKEN_FILE": str(token)}  # fmt: skip
        clients = [subprocess.Popen([sys.executable, str(program)], env=env) for _ in range(3)]
        assert [one.wait(60) for one in clients] == [0, 0, 0]
        with queuectl.connect(server.with_token()) as q:
            assert q.output(ids[0]) == b""
            assert q.output(ids[1]) == b"ABC"
            assert {job.state for job in q.jobs()} == {"completed"}
    store.close()


@sqlite_only
def test_a_batch_without_a_command_is_a_server_of_jqueue(cli: Cli, tmp_path: Path) -> None:
    """It runs nothing, and ends when clients have made every result; one that fails is named."""
    names = ["A.wav", "B.wav", "empty.wav"]
    for name, text in zip(names, ("a", "b", ""), strict=True):
        (cli.directory / name).write_text(text)
    refused = "batch: -j what? for example: batch -j 4 'wc -l' ::: *.txt"
    assert cli.refused(2, "batch", "-j", "2", ":::", *names).endswith(refused)
    process = cli.start("batch", "--max-retries", "0", ":::", *names, "missing.wav")
    assert process.stderr is not None
    assert process.stderr.readline() == "missing.wav: No such file or directory\n"
    told = "3 files in the queue batch, for programs that claim them\n"
    assert process.stderr.readline() == told
    # workers would take them: they are not let in
    assert "wait for programs" in cli.refused(1, "batch", "cat", ":::", *names)
    assert "worker start" not in cli.ok("why", "1")
    store = open_store(str(cli.directory / "state" / "queue.db"))
    token = tmp_path / "token"
    with Server(store) as server:
        token.write_text(server.tokens["work"])
        token.chmod(0o600)
        thread = client.ClientThread(server.url, token_file=str(token))
        thread.start()
        for _ in names:
            job = thread.get_job(PATIENCE)
            assert job is not None
            thread.submit_result(job.data.upper())
        assert thread.get_job() is None
        thread.terminate()
        thread.join()
    store.close()
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (4, "")
    assert out == "3 of 4 files done; 1 failed\n"
    found = [(cli.directory / f"{name}.result").read_text() for name in names]
    assert found == ["A", "B", ""]


@sqlite_only
def test_a_worker_cannot_do_what_is_for_programs(cli: Cli) -> None:
    """One that takes from a pull queue by name fails: the payload is not taken for done."""
    cli.ok("set", "max-retries", "0")
    with queuectl.connect(str(cli.directory / "state" / "queue.db")) as q:
        q.create_queue("wav", pull=True)
        ids = [q.put("wav", b"data"), *q.submit("wav", "message")]
        cli.ok("worker", "start", "1", "--queue", "wav", "--until-empty")
        assert [q.get(job_id).state for job_id in ids] == ["dead", "dead"]
        q.retry(ids)
        assert sorted(job.payload for job in q.claim("wav")) == [b"", b"data"]


@sqlite_only
def test_clients_of_jqueue_share_the_files_of_a_batch(cli: Cli, tmp_path: Path) -> None:
    """They get what is in each file, and the batch writes their results beside the files."""
    for name in ("a", "b", "c", "gone"):
        (cli.directory / name).write_text(f"in {name}\n")
    gate = Fifo(cli, "gate")
    process = cli.start("batch", "-j", "1", "--max-retries", "0", f"{gate.wait}; cat", ":::",
                        "a", "b", "gone", "c")  # fmt: skip
    eventually(lambda: "processing" in {job["state"] for job in cli.json("list")})
    (cli.directory / "gone").unlink()
    store = open_store(str(cli.directory / "state" / "queue.db"))
    token = tmp_path / "token"
    with Server(store) as server:
        token.write_text(server.tokens["work"])
        token.chmod(0o600)
        thread = client.ClientThread(server.url, token_file=str(token))
        thread.start()
        for name in ("b", "c"):
            job = thread.get_job(PATIENCE)
            assert job is not None
            assert job.data == f"in {name}\n".encode()
            thread.submit_result(job.data.upper())
        gate.open()
        # what the batch itself holds is waited for
        assert thread.get_job() is None
        thread.terminate()
        thread.join()
    store.close()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4, out + err
    assert "3 of 4 files done; 1 failed" in out
    assert "gone: job 3 dead" in err
    found = {name: (cli.directory / f"{name}.result").read_text() for name in ("a", "b", "c")}
    assert found == {"a": "in a\n", "b": "IN B\n", "c": "IN C\n"}


def test_get_job_waits_while_others_hold_some(tmp_path: Path) -> None:
    """One that comes back is another's; None only when nothing is left."""
    url = str(tmp_path / "queue.db")
    with queuectl.connect(url) as q:
        q.create_queue("batch", pull=True)
        q.put("batch", b"only")
        held = q.claim_one("batch")
        assert held is not None
        thread = client.ClientThread(url)
        thread.start()
        assert thread.get_job(0.1) is None
        threading.Timer(0.3, held.release).start()
        job = thread.get_job()
        assert job is not None
        assert job.data == b"only"
        thread.submit_result(b"done")
        with pytest.raises(Refused):
            thread.submit_result(b"twice")
        assert thread.get_job() is None
        thread.terminate()
        thread.join()


def test_a_job_that_was_not_submitted_goes_back(tmp_path: Path) -> None:
    """When the next is asked for, and at the end."""
    url = str(tmp_path / "queue.db")
    with queuectl.connect(url) as q:
        q.create_queue("batch", pull=True)
        q.put("batch", b"a")
        thread = client.ClientThread(url)
        thread.start()
        first = thread.get_job()
        second = thread.get_job()
        assert first is not None
        assert second is not None
        assert first.id == second.id
        thread.terminate()
        thread.join()
        assert q.get(first.id).state == "pending"


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("box", "http://box:8470"), ("box:99", "http://box:99"), ("https://box", "https://box"),
        ("::1", "http://[::1]:8470"), ("[::1]:99", "http://[::1]:99"), ("/a/b.db", "/a/b.db"),
        ("", None), ("memory:", "memory:"),
    ],
)  # fmt: skip
def test_what_a_server_may_be_called(server: str, url: str | None) -> None:
    """A name, with a port, or the URL of any store."""
    from queuectl.client.thread import _url_of

    assert _url_of(server) == url


# ---- the page and the cost ----------------------------------------------------------------------


def test_the_examples_of_the_page_run() -> None:
    """In order, as one program."""
    page = Path("docs/reference/python-api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "python-api.md", "exec"), names)


def test_importing_queuectl_imports_nothing() -> None:
    """`connect` is fetched when it is asked for."""
    program = (
        "import queuectl, sys; print([name for name in sys.modules if name.startswith('queuectl')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert done.stdout.strip() == "['queuectl']"
    with pytest.raises(AttributeError):
        queuectl.connekt  # noqa: B018
