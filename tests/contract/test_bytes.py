"""What people type is kept to the byte, whatever the bytes are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queuectl.store.base import Filter
from tests.support.stores import ENGINES
from tests.support.work import EXIT_0, claim_one, job_of, put, run_one

if TYPE_CHECKING:
    from pathlib import Path

    from queuectl.store.base import Store

STRANGE = [
    "plain",
    "",
    "ümlaut €",
    "\udcff\udcfe",
    "cut \udcc3(short",
    "line\nfeed\tand\rreturn",
    "quote ' \" \\ %s {} ? ?1 :x",
    " blanks \u00a0\u2028 ",
    "emoji \U0001f600",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", STRANGE)
def test_a_command_is_kept_to_the_byte(store: Store, text: str) -> None:
    """In the job and in its claim."""
    job_id = put(store, text)
    assert job_of(store, job_id).command == text
    assert claim_one(store).command == text


@pytest.mark.parametrize("text", STRANGE)
def test_args_are_kept_to_the_byte(store: Store, text: str) -> None:
    """Empty ones, repeated ones, at both ends."""
    args = ("", text, "", text, "")
    job_id = put(store, "echo", args=args)
    assert job_of(store, job_id).args == args
    assert claim_one(store).args == args


def test_no_args_and_an_empty_arg_differ(store: Store) -> None:
    """None is a command line, () an argv of one word, ("",) of two."""
    args: tuple[tuple[str, ...] | None, ...] = (None, (), ("",), ("", ""))
    ids = [put(store, "echo", args=each) for each in args]
    assert tuple(job_of(store, job_id).args for job_id in ids) == args


@pytest.mark.parametrize("text", STRANGE)
def test_an_environment_is_kept_to_the_byte(store: Store, text: str) -> None:
    """Values may hold anything, an equals sign too."""
    env = {"EMPTY": "", "TEXT": text, "PAIR": f"a=b={text}", "N\udcff": "1"}
    job_id = put(store, env=env)
    assert job_of(store, job_id).env == env
    assert claim_one(store).env == env


@pytest.mark.parametrize("text", STRANGE)
def test_a_directory_is_kept_to_the_byte(store: Store, text: str) -> None:
    """File names are bytes."""
    job_id = put(store, cwd=f"/srv/{text}")
    assert job_of(store, job_id).cwd == claim_one(store).cwd == f"/srv/{text}"


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xfe\n", bytes(range(256)) * 1000])
def test_standard_input_is_kept_to_the_byte(store: Store, data: bytes) -> None:
    """Empty is not none."""
    put(store, stdin=data)
    assert claim_one(store).stdin == data


def test_a_policy_is_kept_to_the_byte(store: Store) -> None:
    """A hook is a command line like any other."""
    policy = {"shell": "/opt/ba\udcffsh", "on-success": "echo 'a=b'\nfalse \udcff"}
    job_id = put(store, policy=policy)
    assert job_of(store, job_id).policy == policy


def test_edited_fields_are_kept_to_the_byte(store: Store) -> None:
    """Edit goes another way than enqueue."""
    job_id = put(store)
    changes = {
        "command": "\udcff",
        "args": ("", "\udcfe"),
        "cwd": "/\udcfd",
        "env": {"A": "\udcfc"},
    }
    store.edit(job_id, changes)
    job = job_of(store, job_id)
    assert {"command": job.command, "args": job.args, "cwd": job.cwd, "env": job.env} == changes


def test_jobs_with_strange_bytes_are_listed_and_run_like_others(store: Store) -> None:
    """Nothing on the way stumbles."""
    for text in STRANGE:
        put(store, text, args=(text,), env={"A": text}, cwd=f"/{text}")
    assert [job.command for job in store.jobs(Filter())] == STRANGE
    for _ in STRANGE:
        run_one(store, EXIT_0)
    assert store.counts()["completed"] == len(STRANGE)


#: what a program may be given: any bytes but NUL
_words = st.binary(max_size=8).map(
    lambda data: data.replace(b"\0", b"").decode(errors="surrogateescape")
)
_names = _words.filter(lambda word: "=" not in word)


@pytest.mark.parametrize("engine_name", list(ENGINES))
def test_anything_that_a_program_can_be_given_comes_back(engine_name: str, directory: Path) -> None:
    """Any command, words and environment."""
    engine = ENGINES[engine_name](directory)
    store = engine.open()

    @settings(max_examples=100)
    @given(_words, st.none() | st.lists(_words), st.dictionaries(_names, _words))
    def comes_back(command: str, args: list[str] | None, env: dict[str, str]) -> None:
        with store.transaction():
            words = None if args is None else tuple(args)
            job = job_of(store, put(store, command, args=words, env=env))
        assert (job.command, job.args, job.env) == (command, words, env)

    comes_back()
    engine.close()
