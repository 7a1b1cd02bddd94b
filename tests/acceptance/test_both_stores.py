"""The same walk on SQLite and on PostgreSQL: whoever types it cannot tell the two apart.

With QUEUECTL_TEST_STORE=postgres nearly all other tests of whole processes run on PostgreSQL too.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.test_walkthrough import BASIC, COMMANDS, FAILURES, check
from tests.shell.screen import CTRL_D, Shell
from tests.support.backend import POSTGRES, SQLITE
from tests.support.cli import Cli

if TYPE_CHECKING:
    from pathlib import Path

    import _pytest.fixtures

KINDS = (SQLITE, POSTGRES)
#: what is another one at every run
_CHANGES = re.compile(
    r"\d\d:\d\d:\d\d|\d+(\.\d+)?(ms|s| [KM]iB)\b|\b[0-9a-f]{8}\b|\d+h\d+m|pid \d+"
)


@pytest.fixture(params=KINDS)
def kind(request: _pytest.fixtures.SubRequest) -> str:
    return str(request.param)


@pytest.fixture
def cli(tmp_path: Path, kind: str) -> Cli:
    return Cli(tmp_path, kind)


def test_the_walk_of_the_readme(cli: Cli) -> None:
    done = cli.script(*COMMANDS, *BASIC, *FAILURES, "exit")
    assert done.returncode == 0, done.stderr
    check(cli)


def _walk(cli: Cli) -> list[str]:
    """Do a little of everything; return all that was shown."""
    said = []
    for words in (
        ("set", "max-retries", "1"), ("set", "backoff-base", "0"),
        ("queue", "create", "gpu", "--limit", "1"),
        ("enqueue", "--name", "first", "echo out; echo err >&2"),
        ("enqueue", "--queue", "gpu", "exit 3"),
        ("enqueue", "--after", "first", "--name", "second", "cat /dev/null"),
        ("enqueue", "--unique", "once", "true"), ("enqueue", "--unique", "once", "true"),
        ("enqueue", "--output-limit", "10", "echo 12345678901234567890"),
        ("enqueue", "echo {} {#}", ":::", "a", "b"),
        ("enqueue", "--paused", "never"), ("enqueue", "--priority", "oops", "true"),
        ("enqueue", "--name", "first", "true"), ("enqueue", "--queue", "gp", "true"),
        ("list",), ("why", "second"), ("status",), ("cancel", "99"), ("lst",),
        ("worker", "start", "--until-empty"),
        ("list",), ("list", "--state", "dead"), ("output", "first"), ("output", "5"),
        ("dlq", "list"), ("dlq", "retry", "2"), ("worker", "start", "2", "--until-empty"),
        ("status", "2"), ("queue", "list"), ("queue", "pause", "gpu"), ("queue", "list"),
        ("edit", "8", "--priority", "3"), ("resume", "8"), ("move", "8", "--first"),
        ("cancel", "8"), ("remove", "8"), ("remove", "8"), ("retry", "5"),
        ("schedule", "add", "nightly", "0 3 * * *", "--tz", "UTC", "--", "true"),
        ("schedule", "pause", "nightly"), ("schedule", "remove", "nightly"),
        ("set", "timeout", "soon"), ("set", "timeout", "10m", "--queue", "gpu"), ("set",),
        ("wait", "5", "--timeout", "0"), ("worker", "list"), ("remove", "all", "--yes"), ("list",),
    ):  # fmt: skip
        done = cli.run(*words)
        text = f"{words} {done.returncode}\n{done.stdout}{done.stderr}"
        text = _CHANGES.sub("*", text.replace(str(cli.directory), "HERE"))
        said.append(re.sub("  +", " ", text))
    return said


def test_everything_looks_the_same(tmp_path: Path) -> None:
    """Every word that is shown, on both streams, and every exit status."""
    clis = []
    for kind in KINDS:
        (tmp_path / kind).mkdir()
        clis.append(Cli(tmp_path / kind, kind))
    with ThreadPoolExecutor(len(clis)) as pool:
        seen = list(pool.map(_walk, clis))
    for here, there in zip(*seen, strict=True):
        assert here.replace("HERE/state", "") == there.replace("HERE/state", "")


def test_a_shell_at_the_prompt(tmp_path: Path, kind: str) -> None:
    with Shell(tmp_path, kind=kind) as shell:
        shell.run("enqueue echo Hello World", "job 1 enqueued")
        shell.run("worker start 2", "2 workers", "job 1 completed (exit 0, ")
        shell.run("enqueue sleep 60", "job 2 enqueued")
        shell.wait_for(lambda: shell.toolbar.startswith("1 processing"), "a running job")
        shell.run("pause 2", "job 2")
        shell.run("resume 2", "job 2")
        shell.type(CTRL_D)
        shell.see("Job 2 runs here")
        shell.type("s")
        assert shell.exit_status() == 0
    assert '"state": "pending"' in shell.queuectl("status", "2", "--json")


def _exported(cli: Cli, name: str) -> str:
    cli.ok("export", "--file", name, "--force")
    first, rest = (cli.directory / name).read_text().split("\n", 1)
    assert '"format"' in first
    # what `halt-on` counts begins anew in another store
    return re.sub(r'"deaths":\d+', '"deaths":0', rest)


def test_an_export_goes_there_and_back(tmp_path: Path) -> None:
    """Jobs, history, outputs, queues, settings and schedules, ids and times as they were."""
    stores = {}
    for name, kind in (("a", SQLITE), ("b", POSTGRES), ("c", SQLITE)):
        (tmp_path / name).mkdir()
        stores[name] = Cli(tmp_path / name, kind)
    a, b, c = stores.values()
    _fill(a)
    first = _exported(a, "jobs")
    b.ok("import", str(tmp_path / "a/jobs"))
    second = _exported(b, "jobs")
    c.ok("import", str(tmp_path / "b/jobs"))
    assert second == first
    assert _exported(c, "jobs") == first
    for cli in stores.values():
        assert cli.ok("enqueue", "--quiet", "true") == "7\n"
        assert cli.run("output", "1").stderr == "err\n"
        assert len(cli.ok("output", "3")) == 200_000


def _fill(cli: Cli) -> Any:
    cli.ok("set", "max-retries", "1")
    cli.ok("set", "backoff-base", "0")
    cli.ok("queue", "create", "gpu", "--limit", "2")
    cli.ok("set", "timeout", "10m", "--queue", "gpu")
    cli.ok("enqueue", "--name", "good", "echo out; echo err >&2")
    cli.ok("enqueue", "--queue", "gpu", "echo no; exit 3")
    cli.ok("enqueue", "head -c 200000 /dev/zero")
    cli.ok("worker", "start", "2", "--until-empty")
    cli.ok("enqueue", "--name", "first", "--paused", "--priority", "7", "cat")
    cli.ok("enqueue", "--after", "first", "--stdin", "-", "wc -c", stdin="some bytes")
    cli.ok("enqueue", "--unique", "once", "--queue", "gpu", "--paused", "true")
    cli.ok("schedule", "add", "nightly", "0 3 * * *", "--tz", "UTC", "--", "true")
