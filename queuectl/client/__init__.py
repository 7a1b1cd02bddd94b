"""The Python API: `queuectl.connect()` for a queue, and `ClientThread` for programs of jqueue.

import queuectl

with queuectl.connect() as q:
    job_id = q.enqueue("make -j4")
    q.wait(job_id)
    print(q.output(job_id).decode())
"""

from __future__ import annotations

from queuectl.client.queue import Queue, connect
from queuectl.client.thread import ClientThread, FetchedJob
from queuectl.client.work import ClaimedJob
from queuectl.errors import ClaimOver

__all__ = ["ClaimOver", "ClaimedJob", "ClientThread", "FetchedJob", "Queue", "connect"]
