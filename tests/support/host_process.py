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
    for line in sys.stdin:
        verb, *rest = line.split()
        if verb == "start":
            say("workers", host.start(int(rest[0]), tuple(rest[1:])))
        elif verb == "stop":
            say("stopping", *(claim.job_id for claim in host.stop(now="now" in rest)))
        elif verb == "join":
            say("joined", host.join())
        elif verb == "trouble":
            say("trouble", host.trouble)
        elif verb == "errors":
            say("errors", *host.errors)
        elif verb == "waiting":
            say("waiting", *host.queue.waiting())
        elif verb == "close":
            say("closed", host.close(now="now" in rest, timeout=20))
            return
    os._exit(3)


if __name__ == "__main__":
    main()
