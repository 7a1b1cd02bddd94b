"""Output for readers on other machines: cut into pieces, put together again."""

from __future__ import annotations

import os
import tempfile
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.errors import StoreUnavailable
from queuectl.host import shipping
from queuectl.host.shipping import Mirror, Place, Shipper, next_piece, shipped, sweep
from queuectl.job import EXIT, Outcome, Output
from queuectl.paths import output_path
from queuectl.process.output import INLINE_LIMIT, STDERR, STDOUT, Piece, pieces
from queuectl.process.recorder import MARK, MARKS_SUFFIX
from queuectl.store.sqlite.engine import MemoryStore
from tests.support.hosts import eventually
from tests.support.work import put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queuectl.job import Claim
    from queuectl.store.base import Store

#: seconds until a test gives up on something that should come at once
PATIENCE = 10
TOKEN = "abc"


class SharedStore:
    """What is shipped, as a store keeps it."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, bytes, bytes]] = []
        self.token = TOKEN
        self.broken = False
        self.arrived = threading.Semaphore(0)

    def ship(  # noqa: PLR0917
        self, job_id: int, run: int, token: str, offset: int, data: bytes, marks: bytes
    ) -> bool:
        assert (job_id, run) == (7, 1)
        if self.broken:
            raise StoreUnavailable(store="postgresql://db", reason="it is away")
        if token != self.token:
            return False
        self.pieces.append((offset, data, marks))
        self.arrived.release()
        return True

    def shipped(self, job_id: int, run: int, offset: int = 0) -> list[tuple[int, bytes, bytes]]:
        assert (job_id, run) == (7, 1)
        return [piece for piece in self.pieces if piece[0] >= offset][:2]

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data, _ in self.pieces)


class FakeClaim:
    """As much of a claim as a shipper knows."""

    job_id, run, token = 7, 1, TOKEN

    def __init__(self, limit: str = "8MiB") -> None:
        self.policy = {"ship-limit": limit}


def claim_with(limit: str = "8MiB") -> Claim:
    return cast("Claim", FakeClaim(limit))


def write(path: str, *found: Piece) -> None:
    """Append to an output file as a recorder does."""
    end = os.path.getsize(path) if os.path.exists(path) else 0
    with open(path, "ab") as data, open(path + MARKS_SUFFIX, "ab") as marks:
        for piece in found:
            data.write(piece.data)
            end += len(piece.data)
            marks.write(MARK.pack(end, piece.at << 2 | piece.stream))


def ended(path: str) -> Outcome:
    """Return how an attempt ended whose output is in a file."""
    output = Output(path=path, stdout_bytes=os.path.getsize(path))
    return Outcome(EXIT, 0, started_at=1, finished_at=2, output=output)


def bytes_of(found: list[Piece]) -> list[tuple[int, int, int]]:
    """Return stream, time and byte of every byte: pieces may be cut anywhere."""
    return [(piece.stream, piece.at, byte) for piece in found for byte in piece.data]


@pytest.fixture
def store() -> SharedStore:
    return SharedStore()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "output")


@pytest.fixture
def errors() -> list[Exception]:
    return []


@pytest.fixture
def shipper(store: SharedStore, path: str, errors: list[Exception]) -> Iterator[Shipper]:
    """Return a shipper of a host that runs job 7."""
    shipper = Shipper(cast("Store", store), lambda: [claim_with()], lambda _: path, errors.append)
    yield shipper
    shipper.stop()


WRITTEN = st.lists(
    st.builds(
        Piece,
        st.sampled_from((STDOUT, STDERR)),
        st.integers(1, 5),
        st.binary(min_size=1, max_size=9),
    ),
    max_size=12,
)


@given(WRITTEN, st.integers(1, 7))
def test_pieces_of_any_size_make_the_output_again(written: list[Piece], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch, shipping_directory() as directory:
        patch.setattr(shipping, "PIECE", most)
        patch.setattr(shipping, "_MARKS", 3)
        path = f"{directory}/output"
        write(path, *written)
        place, data, marks = Place(), b"", b""
        while (found := next_piece(path, place, 2**40))[0]:
            assert len(found[0]) <= most
            data, marks, place = data + found[0], marks + found[1], found[2]
            sofar = list(pieces(Output(data, marks, stdout_bytes=len(data))))
            assert bytes_of(sofar) == bytes_of(written)[: len(data)]
        assert len(data) == sum(len(piece.data) for piece in written)


def shipping_directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def test_what_has_no_mark_yet_waits(path: str) -> None:
    assert next_piece(path, Place(), 100) == (b"", b"", Place())
    write(path, Piece(STDOUT, 1, b"one"))
    with open(path, "ab") as file:
        file.write(b"two")
    data, _, place = next_piece(path, Place(), 100)
    assert (data, place) == (b"one", Place(3, 1))
    assert next_piece(path, place, 100)[0] == b""


# ---- the end of an attempt ----------------------------------------------------------------------


def test_a_small_file_goes_into_the_settlement_and_is_deleted_when_that_is_in_the_store(
    shipper: Shipper, store: SharedStore, path: str
) -> None:
    write(path, Piece(STDOUT, 1, b"out\n"), Piece(STDERR, 2, b"err\n"))
    outcome = shipper.finish(claim_with(), ended(path))
    assert outcome.output is not None
    assert (outcome.output.path, outcome.output.data) == (None, b"out\nerr\n")
    assert [piece.stream for piece in pieces(outcome.output)] == [STDOUT, STDERR]
    assert store.pieces == []
    assert os.path.exists(path)
    shipper.settled(TOKEN)
    assert not os.path.exists(path)
    assert not os.path.exists(path + MARKS_SUFFIX)


def test_the_beginning_of_a_large_file_is_shipped(
    shipper: Shipper, store: SharedStore, path: str
) -> None:
    write(path, *[Piece(STDOUT, 1, bytes([n]) * 1000) for n in range(200)])
    outcome = shipper.finish(claim_with("150000"), ended(path))
    assert outcome == ended(path)
    assert store.data == b"".join(bytes([n]) * 1000 for n in range(150))
    shipper.settled(TOKEN)
    assert os.path.exists(path)


def test_an_outcome_does_not_wait_for_a_store_that_is_away(
    shipper: Shipper, store: SharedStore, path: str, errors: list[Exception]
) -> None:
    write(path, Piece(STDOUT, 1, b"x" * (INLINE_LIMIT + 1)))
    store.broken = True
    assert shipper.finish(claim_with(), ended(path)) == ended(path)
    assert errors == []


def test_nothing_is_shipped_of_a_claim_that_others_have(
    shipper: Shipper, store: SharedStore, path: str
) -> None:
    write(path, Piece(STDOUT, 1, b"x" * (INLINE_LIMIT + 1)))
    store.token = "other"
    assert shipper.finish(claim_with(), ended(path)) == ended(path)
    assert store.pieces == []


def test_output_in_memory_is_left_as_it_is(shipper: Shipper) -> None:
    outcome = Outcome(EXIT, 0, output=Output(b"a", b"", stdout_bytes=1))
    assert shipper.finish(claim_with(), outcome) is outcome
    assert shipper.finish(claim_with(), Outcome(EXIT, 0)) == Outcome(EXIT, 0)


# ---- while it runs ------------------------------------------------------------------------------


def test_what_a_followed_job_writes_is_shipped_as_it_comes(
    shipper: Shipper, store: SharedStore, path: str
) -> None:
    write(path, Piece(STDOUT, 1, b"one\n"))
    shipper.follow(TOKEN)
    assert store.arrived.acquire(timeout=PATIENCE)
    write(path, Piece(STDOUT, 2, b"two\n"))
    assert store.arrived.acquire(timeout=PATIENCE)
    assert store.data == b"one\ntwo\n"


def test_at_the_end_only_the_rest_is_shipped(
    shipper: Shipper, store: SharedStore, path: str
) -> None:
    write(path, Piece(STDOUT, 1, b"x" * INLINE_LIMIT))
    shipper.follow(TOKEN)
    assert store.arrived.acquire(timeout=PATIENCE)
    write(path, Piece(STDOUT, 2, b"y"))
    shipper.finish(claim_with(), ended(path))
    assert [offset for offset, _, _ in store.pieces] == [0, INLINE_LIMIT]


def test_nobody_ships_when_nobody_follows_any_more(
    shipper: Shipper, store: SharedStore, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "FOLLOWED", -1.0)
    write(path, Piece(STDOUT, 1, b"one\n"))
    shipper.follow(TOKEN)
    shipper.follow("of a job that is not here")
    eventually(lambda: not shipper._followed)
    assert store.pieces == []


def test_errors_of_one_job_do_not_end_the_thread(
    shipper: Shipper, store: SharedStore, path: str, errors: list[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    error = ValueError("of the test")
    raised = [error]

    def failing(*where: object) -> object:
        if raised:
            raise raised.pop()
        return next_piece(*where)  # type: ignore[arg-type]

    monkeypatch.setattr(shipping, "next_piece", failing)
    write(path, Piece(STDOUT, 1, b"one\n"))
    shipper.follow(TOKEN)
    assert store.arrived.acquire(timeout=PATIENCE)
    assert errors == [error]


def test_files_of_jobs_that_are_gone_are_swept(tmp_path: Path) -> None:
    store = MemoryStore({})
    kept = put(store)
    removed = put(store)
    store.remove([removed])
    paths = [output_path(store.local_directory, job_id, 1) for job_id in (kept, removed, 5000)]
    for path in paths:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, Piece(STDOUT, 1, b"x"))
    try:
        assert sweep(store, lambda: False) == 2
        assert [os.path.exists(path) for path in paths] == [True, False, False]
        assert not os.path.exists(paths[1] + MARKS_SUFFIX)
        assert sweep(store, lambda: False) == 0
    finally:
        store.close()


def test_a_file_that_somebody_else_deletes_meanwhile_ends_no_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pump prunes at the same time: what it was faster with is gone, as it should be."""
    store = MemoryStore({})
    paths = [output_path(store.local_directory, job_id, 1) for job_id in (7, 8)]
    for path in paths:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, Piece(STDOUT, 1, b"x"))
    jobs = store.jobs

    def pruned_meanwhile(where: Any) -> Any:
        os.unlink(paths[0])
        return jobs(where)

    monkeypatch.setattr(store, "jobs", pruned_meanwhile)
    try:
        assert sweep(store, lambda: False) == 2
        assert os.listdir(os.path.dirname(paths[0])) == []
    finally:
        store.close()


# ---- the reader's end ---------------------------------------------------------------------------


def test_a_gap_ends_what_can_be_read(store: SharedStore) -> None:
    store.pieces = [(0, b"ab", b""), (2, b"c", b""), (3, b"d", b""), (9, b"z", b"")]
    data = b"".join(data for data, _ in shipped(cast("Store", store), 7, 1))
    assert data == b"abcd"


def test_a_mirror_grows_and_asks_now_and_then(
    store: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "QUICK", -1.0)
    asked: list[int] = []
    mirror = Mirror(cast("Store", store), 7, 1, lambda: asked.append(1))
    assert not mirror.fetch()
    for end, data in ((3, b"abc"), (5, b"de")):
        store.pieces.append((end - len(data), data, MARK.pack(end, 1 << 2 | STDERR)))
        assert mirror.fetch()
    assert list(pieces(Output(path=mirror.path))) == [
        Piece(STDERR, 1, b"abc"),
        Piece(STDERR, 1, b"de"),
    ]
    assert asked == [1]
    monkeypatch.setattr(shipping, "ASK_AGAIN", -1.0)
    mirror.fetch()
    assert asked == [1, 1]
    mirror.close()
    assert not os.path.exists(os.path.dirname(mirror.path))


def test_who_may_not_ask_reads_what_there_is(store: SharedStore) -> None:
    def refuse() -> None:
        raise StoreUnavailable(store="postgresql://db", reason="this role may only read")

    store.pieces = [(0, b"abc", b"")]
    mirror = Mirror(cast("Store", store), 7, 1, refuse)
    assert mirror.fetch()
    mirror.close()
