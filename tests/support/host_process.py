"""A worker host as a process of its own, told what to do by lines on its standard input.

Arguments: the store's URL, how many workers to start with, and a JSON object of constants to change
before that, such as {"queuectl.host.recovery.LEASE": 1}. Every line is answered by one; in between come
`settled JOB STATE` lines. At the end of its input it dies without a word. With QUEUECTL_TEST_GUARDED
in its environment it has a front above it, as a detached host has.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from queuectl.store.base import Settled, Settlement


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def tell(settlement: Settlement, settled: Settled) -> None:
    say("settled", settlement.job_id, settled.state)


def recover(url: str) -> None:
    """Do what the front of a command line does (queuectl.cli)."""
    from queuectl.host.recovery import Recoverer
    from queuectl.store import open_store

    store = open_store(url)
    try:
        Recoverer(store, "", lambda change: change(store), lambda _: None).look()
    finally:
        store.close()


def main() -> None:
    url, workers, constants = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    if os.environ.get("QUEUECTL_TEST_GUARDED"):
        from queuectl import front

        front.split(lambda: recover(url))
    for name, value in constants.items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)
    from queuectl.host import handover
    from queuectl.host.worker import WorkerHost
    from queuectl.paths import host_path, hosts_directory
    from queuectl.store import open_store

    store = open_store(url)
    host = WorkerHost(store, on_settled=tell)
    guardian = handover.link()
    if guardian is not None:
        guardian.announce(host_path(hosts_directory(store.local_directory), host.id))
        host.guarded_by(guardian)
    if workers:
        host.start(workers)
    say("ready", host.id, os.getpid())
    answers: dict[str, Callable[[list[str]], tuple[object, ...]]] = {
        "start": lambda rest: ("workers", host.start(int(rest[0]), rest[1:])),
        "stop": lambda _: ("stopping", *(claim.job_id for claim in host.stop())),
        "id": lambda _: ("id", host.id),
        "trouble": lambda _: ("trouble", host.trouble),
        "errors": lambda _: ("errors", *host.errors),
        "waiting": lambda _: ("waiting", *host.queue.waiting()),
        "close": lambda _: ("closed", host.close(timeout=20)),
    }
    for line in sys.stdin:
        verb, *rest = line.split()
        say(*answers[verb](rest))
    os._exit(3)


if __name__ == "__main__":
    main()
