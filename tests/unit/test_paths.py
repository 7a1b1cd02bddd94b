"""Where things lie, who may see them, and what a URL of a store means."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from queuectl.errors import UsageError
from queuectl.paths import (
    default_url,
    host_path,
    hosts_directory,
    make_private,
    output_path,
    state_directory,
    wake_hosts,
    wake_path,
)
from queuectl.store import open_store
from queuectl.store.sqlite.engine import MemoryStore, SqliteStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({"QUEUECTL_STATE_DIR": "/q", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/q"),
        ({"QUEUECTL_STATE_DIR": "", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/queuectl"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/queuectl"),
        ({"XDG_STATE_HOME": "", "HOME": "/h"}, "/h/.local/state/queuectl"),
        ({"HOME": "/h"}, "/h/.local/state/queuectl"),
    ],
)
def test_the_state_directory_follows_the_xdg_rules(
    environ: dict[str, str], directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative XDG path is to be ignored, says the specification."""
    monkeypatch.setattr(sys, "platform", "linux")
    assert state_directory(environ) == directory
    assert default_url(environ) == f"sqlite://{directory}/queue.db"


def test_macos_has_a_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its users look."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert state_directory({"HOME": "/h"}) == "/h/Library/Application Support/queuectl"
    assert state_directory({"HOME": "/h", "XDG_STATE_HOME": "/x"}) == "/x/queuectl"


def test_a_relative_state_directory_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not move when somebody changes directory."""
    monkeypatch.chdir(tmp_path)
    assert state_directory({"QUEUECTL_STATE_DIR": "q"}) == str(tmp_path / "q")


def test_files_of_hosts_and_outputs_lie_in_the_local_directory() -> None:
    """A thousand jobs to a directory of outputs."""
    assert hosts_directory("/d") == "/d/hosts"
    assert (wake_path("/d/hosts", "h"), host_path("/d/hosts", "h")) == (
        "/d/hosts/h.wake", "/d/hosts/h.host",
    )  # fmt: skip
    assert output_path("/d", 12_345, 2) == "/d/output/12/12345-2"


def test_private_directories_are_made_for_the_owner_only(tmp_path: Path) -> None:
    """All that were missing, and none that was there."""
    tmp_path.chmod(0o755)
    deep = tmp_path / "a" / "b" / "c"
    before = os.umask(0)
    try:
        make_private(str(deep))
        make_private(str(deep))
    finally:
        os.umask(before)
    assert [stat.S_IMODE(made.stat().st_mode) for made in (deep, *list(deep.parents)[:3])] == [
        0o700, 0o700, 0o700, 0o755,
    ]  # fmt: skip


def test_waking_reaches_every_host_but_one(tmp_path: Path) -> None:
    """Whoever is gone, full or something else is passed over."""
    pipes = {}
    for name in ("a", "b", "full"):
        os.mkfifo(tmp_path / f"{name}.wake")
        pipes[name] = os.open(tmp_path / f"{name}.wake", os.O_RDWR | os.O_NONBLOCK)
    os.mkfifo(tmp_path / "gone.wake")
    (tmp_path / "a.host").touch()
    with pytest.raises(BlockingIOError):
        while True:
            os.write(pipes["full"], b"x" * 4096)
    wake_hosts(str(tmp_path), except_for="b")
    assert os.read(pipes["a"], 10) == b"w"
    with pytest.raises(BlockingIOError):
        os.read(pipes["b"], 10)
    for pipe in pipes.values():
        os.close(pipe)


def test_waking_nobody_is_no_fault(tmp_path: Path) -> None:
    """The directory need not be there."""
    wake_hosts(str(tmp_path / "nowhere"))


def test_a_url_opens_its_store(tmp_path: Path) -> None:
    """And makes it where there is none."""
    store = open_store(f"sqlite://{tmp_path}/a/queue.db", {"timeout": "5s"})
    assert isinstance(store, SqliteStore)
    assert (store.name, store.local_directory) == (
        f"sqlite://{tmp_path}/a/queue.db", f"{tmp_path}/a/queue.db.d",
    )  # fmt: skip
    assert store.local_settings == {"timeout": "5s"}
    store.close()


@pytest.mark.parametrize("form", ["{}/q.db", "./q.db", "../{name}/q.db", "~/q.db"])
def test_a_bare_path_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """As people type it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    store = open_store(form.format(tmp_path, name=tmp_path.name))
    assert store.name == f"sqlite://{tmp_path}/q.db"
    store.close()


def test_four_slashes_are_three(tmp_path: Path) -> None:
    """Others write an absolute path so; it must not be another store."""
    store = open_store(f"sqlite:///{tmp_path}/q.db")
    assert store.name == f"sqlite://{tmp_path}/q.db"
    store.close()


def test_memory_is_a_store_of_this_process() -> None:
    """Each time another one."""
    one, other = open_store("memory:"), open_store("memory:")
    assert isinstance(one, MemoryStore)
    assert one.name == "memory:"
    one.create_queue("q")
    assert "q" not in [queue.name for queue in other.queues()]
    one.close()
    other.close()


@pytest.mark.parametrize(
    "url",
    ["", "queue.db", "sqlite:", "sqlite://", "sqlite:///", "sqlite:////", "sqlite://relative/q.db", "memory:x",
     "mysql://box/db", "http:", "file:///x", "memory"],
)  # fmt: skip
def test_what_is_no_url_of_a_store_is_refused(url: str) -> None:
    """With what one looks like."""
    with pytest.raises(UsageError, match=r"a store is sqlite:///absolute/path"):
        open_store(url)


def test_a_password_is_never_shown() -> None:
    """Not even in an error."""
    with pytest.raises(UsageError) as caught:
        open_store("mysql://me:secret@box/db")
    assert "secret" not in caught.value.message
    assert "mysql://me@box/db" in caught.value.message
