"""PostgreSQL: no-op jobs beside procrastinate and pgqueuer, latency, and `true` beside SQLite.

One server, durable, on this machine and on a disk. No-op jobs are claimed and settled in batches
of 100, by 1, 2 and 4 processes, with no history and with 1,000,000 finished jobs
(--full: 5,000,000); the others (procrastinate with 20 coroutines a process, pgqueuer in batches
of 100) have none to carry. They are installed into an environment of their own for the time of the
run. Goals: >= 5 x procrastinate, >= 1 x pgqueuer with as many processes; `true` with two workers
>= 0.9 x SQLite. Latency is from before `add` to the start of the process, 1 and 100 jobs a second.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import venv
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from queuectl.job import NewJob
from queuectl.store import open_store
from tests.benchmarks.report import Line, at_least, at_most, percentile
from tests.benchmarks.run import ENVIRONMENT, ROOT, answer, python, start
from tests.support.postgres import Server, new_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.bench import Bench

BATCH = 100
PROCESSES = (1, 2, 4)
RIVALS = ("procrastinate", "pgqueuer")
JOB = NewJob("true", shell=False, cwd=str(ROOT), env={"PATH": ENVIRONMENT["PATH"]})
_SCRIPT = str(Path(__file__).with_name("postgres_rivals.py"))
_HISTORY = """
WITH made AS (
  INSERT INTO job_done (id, queue, track, lane, state, priority, due_at, command, shell, cwd,
    environment, policy, max_retries, submitter, created_at, finished_at, attempts, deliveries, runs)
  SELECT nextval('job_id'), queue, track, 4, 'completed', 0, due_at, command, shell, cwd, environment,
    policy, max_retries, submitter, created_at, due_at, 1, 1, 1
  FROM job AS model, generate_series(1, {jobs}) WHERE model.id = {model}
  RETURNING id, due_at)
INSERT INTO attempt (job_id, run, host, started_at, finished_at, kind, code, reason)
SELECT id, 1, 'host', due_at, due_at, 'exit', 0, 'exit 0' FROM made
"""


def measure(bench: Bench) -> Iterator[Line]:
    """Measure it."""
    server = Server({"shared_buffers": "512MB"}, on_disk=True)
    try:
        yield from _no_ops(bench, server)
        yield from _latency(bench, server)
        yield from _true(bench, server)
    finally:
        server.close()


# ---- no-op jobs -----------------------------------------------------------------------------------


def _no_ops(bench: Bench, server: Server) -> Iterator[Line]:
    rivals = _environment(bench)
    jobs = bench.pick(quick=400, normal=20_000)
    few = bench.pick(quick=200, normal=4000)
    url = server.url(schema=new_schema())
    with closing(open_store(url)):
        pass
    history = 0
    for wanted in bench.pick(
        quick=(0, 1000), normal=(0, 1_000_000), full=(0, 1_000_000, 5_000_000)
    ):
        _add_history(server, url, wanted - history)
        history = wanted
        for processes in PROCESSES:
            rates: dict[str, list[float]] = {name: [] for name in ("ours", *RIVALS)}
            for _ in range(bench.pick(quick=1, normal=3)):
                rates["ours"].append(_ours(url, jobs, processes))
                rates["procrastinate"].append(_theirs(server, rivals, RIVALS[0], few, processes))
                rates["pgqueuer"].append(_theirs(server, rivals, RIVALS[1], jobs, processes))
            for name, goal in zip(RIVALS, (5.0, 1.0), strict=True):
                ours, theirs = median(rates["ours"]), median(rates[name])
                yield Line(
                    f"no-op {processes}p {history:,}",
                    f"{ours:,.0f}/s beside {name} {theirs:,.0f}/s",
                    median(a / b for a, b in zip(rates["ours"], rates[name], strict=True)),
                    at_least(goal),
                )


def _ours(url: str, jobs: int, processes: int) -> float:
    with closing(open_store(url)) as store:
        for _ in range(0, jobs, 200):
            store.add([JOB] * 200)
    words = ("-m", "tests.benchmarks.postgres_host", url, str(BATCH))
    ended = _together([python(*words)] * processes)
    assert sum(one[2] for one in ended) == jobs
    return jobs / (max(one[1] for one in ended) - min(one[0] for one in ended))


def _theirs(server: Server, rivals: str, name: str, jobs: int, processes: int) -> float:
    database = f"{name}_{time.monotonic_ns()}"
    server.execute(f"CREATE DATABASE {database}")
    url = server.url(database)
    jobs = max(1000, jobs)
    subprocess.run([rivals, _SCRIPT, name, "fill", url, str(jobs)], check=True)
    ended = _together([[rivals, _SCRIPT, name, "drain", url]] * processes)
    server.execute(f"DROP DATABASE {database} WITH (FORCE)")
    return jobs / (max(one[1] for one in ended) - min(one[0] for one in ended))


def _together(commands: Sequence[list[str]]) -> list[list[float]]:
    """Start processes, let them go at the same moment, and return what each tells at its end."""
    running = [start(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for words in commands]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    told = [process.communicate()[0] for process in running]
    return [json.loads(text.splitlines()[-1]) for text in told]


def _add_history(server: Server, url: str, jobs: int) -> None:
    if jobs <= 0:
        return
    with closing(open_store(url)) as store:
        (model,) = store.add([JOB._replace(paused=True)])
        schema = url.partition("schema=")[2]
        with server.connect() as connection:
            connection.execute(f'SET search_path TO "{schema}"')
            for _ in range(0, jobs, 100_000):
                words = _HISTORY.format(jobs=min(jobs, 100_000), model=model)
                connection.execute(words)
        store.remove([model])


def _environment(bench: Bench) -> str:
    """Install the others; return the Python that has them."""
    directory = bench.directory / "rivals"
    venv.create(directory, with_pip=True)
    program = str(directory / "bin" / "python")
    subprocess.run(
        [program, "-m", "pip", "install", "-q", *RIVALS, "asyncpg", "psycopg[binary,pool]"],
        check=True, stdout=sys.stderr,
    )  # fmt: skip
    return program


# ---- latency --------------------------------------------------------------------------------------


def _latency(bench: Bench, server: Server) -> Iterator[Line]:
    """Enqueue in this process, run in another one."""
    for rate, jobs in bench.pick(quick=((100, 20),), normal=((1, 20), (100, 500))):
        url = server.url(schema=new_schema())
        with closing(open_store(url)) as store:
            host = start(
                python("-m", "tests.benchmarks.hosting", "stamps", url),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            assert host.stderr is not None
            host.stderr.readline()
            added = {}
            for _ in range(jobs):
                time.sleep(1 / rate)
                before = time.monotonic_ns()
                (job_id,) = store.add((JOB,))
                added[job_id] = before
            time.sleep(0.5)
            told, _ = host.communicate()
        stamps = {int(job): moments for job, moments in json.loads(told).items()}
        ran = [(stamps[job][1] - before) / 1e6 for job, before in added.items()]
        half, most = median(ran), percentile(ran, 0.99)
        yield Line(
            f"latency {rate}/s", f"p50 {half:.1f} ms, p99 {most:.1f} ms", half, at_most(10.0, "ms")
        )


# ---- true -----------------------------------------------------------------------------------------


def _true(bench: Bench, server: Server) -> Iterator[Line]:
    """Drain jobs `true` with two workers, here and on SQLite."""
    jobs = bench.pick(quick=200, normal=5000)
    ratios: list[float] = []
    theirs: list[float] = []
    ours: list[float] = []
    for _ in range(bench.pick(quick=1, normal=5)):
        place = bench.place()
        for url, rates in ((place.url, theirs), (server.url(schema=new_schema()), ours)):
            with closing(open_store(url)) as store:
                store.add([JOB] * jobs)
            words = ("drain", url, "2", str(jobs))
            told = answer(python("-m", "tests.benchmarks.hosting", *words))
            rates.append(jobs / told["seconds"])
        place.delete()
        ratios.append(ours[-1] / theirs[-1])
    figures = f"{median(ours):,.0f}/s beside SQLite {median(theirs):,.0f}/s"
    yield Line("true postgres", figures, median(ratios), at_least(0.9))
