"""The table of the HTTP API: the only definition. Routing, roles, limits and OpenAPI derive from it."""

from __future__ import annotations

from queuectl.record import Record
from queuectl.store.remote.wire import ADMIN, SUBMIT, WORK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KIB, MIB, GIB = 1024, 1024**2, 1024**3


class Query(Record):
    """A parameter behind the question mark."""

    name: str
    #: its JSON schema type: string, integer, boolean, or `duration`
    type: str
    help: str
    choices: tuple[str, ...] = ()


class Route(Record):
    """One method of one path."""

    method: str
    path: str
    #: what answers it, as function of queuectl.intake.MODULE; imported when it is first asked for
    run: str
    #: what its token must be good for; None: nobody is asked
    role: str | None
    summary: str
    query: tuple[Query, ...] = ()
    #: name of the schema of its body (see schemas); None: it has none
    body: str | None = None
    #: name of the schema of its answer
    answer: str = "Anything"
    #: status of success
    status: int = 200
    #: bytes of a body
    most: int = 64 * KIB
    #: it waits for something on the event loop, so it is a coroutine
    waits: bool = False
    #: it reads its body piece by piece
    streams_in: bool = False
    description: str = ""

    def load(self) -> Callable[..., Any]:
        """Import and return what answers it."""
        module, _, function = self.run.partition(":")
        loaded: Callable[..., Any] = getattr(
            __import__(f"queuectl.intake.http.{module}", fromlist=[function]), function
        )
        return loaded


_QUEUE = Query("queue", "string", "only jobs of this queue")
_TIMEOUT = Query("timeout", "duration", "how long to wait at the most, 1h at the most")
_STREAM = Query("stream", "string", "one of the two streams; both in order of arrival if not given",
                ("stdout", "stderr"))  # fmt: skip

ROUTES: tuple[Route, ...] = (
    # ---- jobs ---------------------------------------------------------------------------------
    Route("POST", "/jobs", "jobs:enqueue", WORK, "enqueue one job, or a list: all or none",
          body="NewJobs", answer="Ids", status=201, most=16 * MIB,
          description="The fields are those of `enqueue {…}` on the command line. A job runs as the"
          " server's user, in the server's directory unless `cwd` says otherwise."),
    Route("GET", "/jobs", "jobs:list_jobs", SUBMIT, "list jobs, a page at a time, by id",
          (
              Query("state", "string", "only jobs in these states, comma-separated"), _QUEUE,
              Query("exit", "string", "only jobs whose last attempt ended so: 0, 75,100-110, KILL, signals, timeout, lost"),
              Query("limit", "integer", "at most so many, 1 to 1000; 100 if not given"),
              Query("after", "integer", "only jobs with a greater id: `next` of the page before"),
          ), answer="JobPage"),
    Route("GET", "/jobs/{job_id}", "jobs:show", SUBMIT, "show a job, by id or name", answer="Job"),
    Route("DELETE", "/jobs/{job_id}", "jobs:remove", ADMIN,
          "delete a job that does not run, with its history and output", answer="Changed"),
    Route("POST", "/jobs/{job_id}/cancel", "jobs:cancel", WORK, "cancel a job",
          (Query("now", "boolean", "SIGKILL at once when it runs"),), answer="Changed"),
    Route("POST", "/jobs/{job_id}/retry", "jobs:retry", WORK,
          "run a failed job now, or a final one afresh", answer="Changed"),
    Route("POST", "/jobs/{job_id}/pause", "jobs:pause", WORK,
          "hold a waiting job; stop (SIGSTOP) a running one", answer="Changed"),
    Route("POST", "/jobs/{job_id}/resume", "jobs:resume", WORK, "let a paused job go on",
          answer="Changed"),
    Route("GET", "/jobs/{job_id}/attempts", "jobs:attempts", SUBMIT,
          "list the attempts of a job, oldest first", answer="Attempts"),
    Route("GET", "/jobs/{job_id}/output", "output:output", SUBMIT,
          "what an attempt wrote, byte for byte, streamed",
          (
              _STREAM, Query("attempt", "integer", "which attempt; the newest if not given"),
              Query("follow", "boolean", "go on until the job has ended"),
          ), answer="Bytes", waits=True),
    Route("POST", "/jobs/{job_id}/wait", "jobs:wait", SUBMIT, "wait until a job has ended",
          (_TIMEOUT,), answer="Waited", waits=True),
    # ---- queues -------------------------------------------------------------------------------
    Route("GET", "/queues", "queues:list_queues", SUBMIT, "list the queues", answer="Queues"),
    Route("POST", "/queues", "queues:create", ADMIN, "create a queue", body="NewQueue",
          answer="Queue", status=201),
    Route("POST", "/queues/{queue}/messages", "queues:submit", SUBMIT,
          "submit messages to a queue that has a command, or whose jobs clients claim",
          body="Messages", answer="Ids", status=201, most=64 * MIB,
          description="text/plain: a message a line. application/json: a list of texts."
          " application/octet-stream: the bytes are the payload of one job of a pull queue."
          " With the role submit only queues with accept-messages on take any."),
    # ---- settings and looking -----------------------------------------------------------------
    Route("GET", "/settings", "queues:settings", SUBMIT, "every setting, its value and source",
          (Query("queue", "string", "as they are for jobs of this queue"),), answer="Settings"),
    Route("PUT", "/settings", "queues:change_settings", ADMIN,
          "make settings, all or none; null takes one back",
          (Query("queue", "string", "of this queue, not of the store"),),
          body="NewSettings", answer="Settings"),
    Route("GET", "/hosts", "queues:hosts", SUBMIT, "processes with workers", answer="Hosts"),
    Route("GET", "/status", "queues:status", SUBMIT, "counts, workers, what runs", answer="Status"),
    # ---- claims: work for clients in any language ---------------------------------------------
    Route("POST", "/claims", "claims:claim", WORK,
          "claim jobs of a queue, waiting for some if there are none", body="ClaimRequest",
          answer="Claims", waits=True,
          description="A claim is yours until its lease ends: renew it, and settle or release it."
          " One that is not renewed in time counts as a lost worker, and the job is run again."),
    Route("GET", "/claims/{token}/payload", "claims:payload", WORK,
          "a claimed job's standard input, streamed", answer="Bytes", waits=True),
    Route("POST", "/claims/{token}/renew", "claims:renew", WORK, "let the lease run anew",
          answer="Renewed"),
    Route("POST", "/claims/{token}/settle", "claims:settle", WORK,
          "say how it ended; the body is its output, streamed",
          (
              Query("exit_code", "integer", "0 is success; 0 if not given"),
              Query("message", "string", "why it failed, in a line"),
          ), body="Result", answer="Settled", most=GIB, waits=True, streams_in=True),
    Route("POST", "/claims/{token}/release", "claims:release", WORK,
          "give it back as if it had never been claimed", answer="Released"),
    # ---- the service --------------------------------------------------------------------------
    Route("GET", "/metrics", "metrics:metrics", SUBMIT, "numbers for Prometheus", answer="Text"),
    Route("GET", "/healthz", "metrics:healthz", None, "whether the store can be used",
          answer="Health"),
    Route("GET", "/openapi.json", "openapi:describe", None, "this description"),
    Route("GET", "/", "page:page", None, "a status page for a browser", answer="Html"),
    # ---- for --store http://…, see queuectl.store.remote.engine --------------------------------------
    Route("GET", "/store/changes", "store:changes", SUBMIT,
          "for queuectl itself: return when the store changes",
          (
              Query("since", "string", "what the last answer said"), _TIMEOUT,
          ), answer="Change", waits=True),
    Route("GET", "/store/payload/{job_id}", "store:payload", WORK,
          "for queuectl itself: a job's standard input", answer="Bytes", waits=True),
    Route("POST", "/store/{name}", "store:call", SUBMIT,
          "for queuectl itself: a method of the store", body="StoreCall", answer="StoreAnswer",
          most=64 * MIB, waits=True,
          description="The wire form is queuectl's own and may change with its version; the role"
          " needed depends on the method."),
)  # fmt: skip
