"""`why`: one sentence on why a job is not running, and what would change that."""

from __future__ import annotations

from queuectl.commands import picking
from queuectl.commands.reasons import COUNTED, reasons_for, sentence, surroundings
from queuectl.commands.result import Result, Text
from queuectl.selection import LAST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.commands.context import Context
    from queuectl.commands.reasons import Surroundings
    from queuectl.job import Job
    from queuectl.store.base import Store
    from queuectl.table import Args


def why(ctx: Context, args: Args) -> Result:
    """Run the command; the last job without a selection."""
    chosen = picking.selection_of(ctx, args)
    if chosen.empty:
        chosen = chosen._replace(single=(LAST,))
    # the jobs first: one that has changed since is then told of as it is now
    jobs = list(picking.jobs_of(ctx, chosen))
    around = surroundings(ctx.store)
    answers = [_answer(ctx.store, job, around) for job in jobs]
    if not answers:
        return Result([], notes=(picking.where_they_are(ctx.store, chosen.states),))
    lines = "\n".join(f"job {answer['id']} {answer['why']}" for answer in answers)
    single = chosen.only_single and len(answers) == 1
    return Result(answers[0] if single else answers, (Text(lines),))


def _answer(store: Store, job: Job, around: Surroundings) -> dict[str, object]:
    reasons = reasons_for(job, around)
    if reasons[0].kind == "turn":
        reasons = reasons_for(job, around, store.ahead_of(job.id, COUNTED))
    return {
        "id": job.id,
        "state": job.state,
        "reasons": [reason.kind for reason in reasons],
        "why": sentence(reasons),
    }
