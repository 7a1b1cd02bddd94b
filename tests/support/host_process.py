"""A worker host as a process of its own, told what to do by lines on its standard input.

Arguments: the store's URL, how many workers to start with, and a JSON object of constants to change
before that, such as {"queuectl.recovery.LEASE": 1}. Every line is answered by one; in between come
`settled JOB STATE` lines. At the end of its input it dies without a word.
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


def main() -> None:
    url, workers, constants = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    for name, value in constants.items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)
    from queuectl.store import open_store
    from queuectl.worker import WorkerHost

    store = open_store(url)
    host = WorkerHost(store, on_settled=tell)
    if workers:
        host.start(workers)
    say("ready", host.id)
    answers: dict[str, Callable[[list[str]], tuple[object, ...]]] = {
        "start": lambda rest: ("workers", host.start(int(rest[0]), rest[1:])),
        "stop": lambda _: ("stopping", *(claim.job_id for claim in host.stop())),
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
